"""What the control protocol's texts mean: paths of messages, error texts, addresses, and values that may stand in a frame.

Nothing here keeps anything.
"""

import json
import re
import ssl
from collections.abc import Sequence
from typing import NamedTuple

from dracht.errors import CommandFailed, UriError
from dracht.link.base import DialogReference, Flow, Forking, HeaderList, ProxyOptions
from dracht.tls import Tls

__all__ = [
    "Target",
    "WirePath",
    "dialog_text",
    "failure",
    "fields_text",
    "in_order",
    "one_word",
    "proxy_meta",
]


class WirePath:
    """Where a message came from or went, as the tokens of its frame say: read when asked for."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, tokens: list[str], at: int) -> None:
        self._tokens = tokens
        self._at = at

    @property
    def transport(self) -> str:
        """`udp`, `tcp`, `tls`, `ws` or `wss`; "" where the server does not say."""
        return self._tokens[self._at]

    @property
    def peer(self) -> tuple[str, int]:
        """The peer's address and port; for a request of ours over UDP a server may give its own."""
        address, port = self._tokens[self._at + 1 : self._at + 3]
        return address.strip("[]"), int(port) if port.isdecimal() else 5060

    @property
    def local(self) -> tuple[str, int] | None:
        """The server's address and port, where it says: for a new request."""
        tokens = self._tokens
        if tokens[1] != "sip" or len(tokens) < 12 or not tokens[11].isdecimal():
            return None
        return tokens[10].strip("[]"), int(tokens[11])

    @property
    def flow(self) -> Flow:
        """The way back to the sender of a request, where the server says: the last token of the frame, but for a certificate."""
        tokens = self._tokens
        if len(tokens) < 11 or tokens[1:3] != ["sip", "network"]:
            return Flow(None, False)
        said = tokens[-2] if tokens[-1].startswith("{") else tokens[-1]
        token, _, nat = said.partition(";")
        return Flow(token if token.startswith("dr") else None, nat == "nat")

    @property
    def peer_certificate(self) -> tuple[Sequence[str], str] | None:
        """Names and subject of the certificate that the sender of a request proved to have, as dracht's servers say it."""
        # The token is JSON in which `|` is escaped, and the last one where there is one.
        if not self._tokens[-1].startswith('{"subject":'):
            return None
        read = json.loads(self._tokens[-1])
        return read["names"], read["subject"]

    def __repr__(self) -> str:
        return f"<{self.transport or 'unknown'} {self.peer[0]}:{self.peer[1]}>"


class Target(NamedTuple):
    """Where a control connection leads."""

    secure: bool
    host: str
    port: int

    @staticmethod
    def parse(text: str) -> "Target":
        """Reads `tcp://HOST:PORT` or `tls://HOST:PORT`; `HOST:PORT` alone is tcp, and the port 9022 where none is given.

        Raises:
            ValueError: it cannot be read.
        """
        scheme, mark, rest = text.strip().partition("://")
        if not mark:
            scheme, rest = "tcp", text.strip()
        host, port = rest.rstrip("/"), ""
        if host.startswith("["):
            host, closed, tail = host[1:].partition("]")
            if not closed or (tail and not tail.startswith(":")):
                host = ""
            port = tail[1:]
        elif host.count(":") == 1:
            host, _, port = host.partition(":")
        number = int(port) if port.isdecimal() else 0 if port else 9022
        if (
            scheme not in ("tcp", "tls")
            or not host
            or not 0 <= number < 65536
            or (port and not port.isdecimal())
        ):
            raise ValueError(f"{text!r} is no address of a server: write tcp://HOST:PORT or tls://HOST:PORT")
        return Target(scheme == "tls", host, number)

    def context(self, tls: Tls | ssl.SSLContext | bool | None) -> ssl.SSLContext | None:
        """The TLS context to connect with: the one given, the system's for `tls://` or True, or none."""
        if isinstance(tls, Tls):
            # Where servers and listeners share one configuration, `tcp://` stays what it says.
            return tls.client_context() if self.secure else None
        if isinstance(tls, ssl.SSLContext):
            return tls
        return ssl.create_default_context() if self.secure or tls else None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.secure else 'tcp'}://{host}:{self.port}"


# How the servers' texts begin or what they hold, and the code of the engine that means the same.
_CODES = (
    ("unknown transaction", "unknown-transaction"),
    ("unable to cancel", "no-invite"),
    ("unable to find dialog", "unknown-dialog"),
    ("unable to find active leg", "unknown-dialog"),
    ("automatically generated", "ack-is-automatic"),
    ("unable to find iip", "no-invite"),
    ("invalid request-uri", "invalid-uri"),
    ("invalid from", "invalid-header"),
    ("invalid or missing method", "invalid-method"),
    ("missing content-type", "missing-content-type"),
    ("too many hops", "too-many-hops"),
    ("can not send request to myself", "loop"),
    ("transport not available", "no-transport"),
    ("does not support 100rel", "no-100rel"),
    # What follows is in the words of dracht's own server, for errors that drachtio's has no words for.
    ("no such transaction", "unknown-transaction"),
    ("no such dialog", "unknown-dialog"),
    ("a final response was sent already", "already-answered"),
    ("was proxied or answered already", "already-proxied"),
    ("the ack of a failure", "ack-is-automatic"),
    ("no invite it belongs to", "no-invite"),
    ("invalid uri", "invalid-uri"),
    ("invalid method", "invalid-method"),
    ("invalid header", "invalid-header"),
    ("max-forwards is 0", "too-many-hops"),
    ("come back to this server", "loop"),
    ("limit reached", "limit"),
    ("request pending", "request-pending"),
    ("flow failed", "flow-failed"),
    ("the flow is none of", "flow-forged"),
    ("rejected", "rejected"),
    ("no usable contact", "no-contact"),
    ("not confirmed yet", "early-dialog"),
    ("is here already", "dialog-exists"),
)


def failure(text: str) -> CommandFailed:
    """The error for what a server says went wrong."""
    lower = text.lower()
    code = next((code for part, code in _CODES if part in lower), "failed")
    return CommandFailed(code, text)


def one_word(text: str, what: str) -> str:
    """The text, when it may stand as one token of a frame or as one word of a start line.

    Raises:
        UriError: it holds a space, a `|` or a control character.
    """
    if not text.isprintable() or " " in text or "|" in text:
        raise UriError(f"{what} has a space, a `|` or a control character in it: {text!r}")
    return text


def fields_text(headers: HeaderList) -> str:
    """Header fields as lines. They were checked when the application gave them."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers])


def dialog_text(dialog: DialogReference | None) -> str:
    """A dialog as the protocol names it."""
    if dialog is None:
        return ""
    if isinstance(dialog, tuple):
        return one_word(f"{dialog[0]};from-tag={dialog[1]}", "the name of a dialog")
    return str(dialog)


def in_order(targets: Sequence[str], forking: Forking) -> list[str]:
    """Targets for a server that knows nothing of q: bare URIs, for an order by q the highest q first."""
    bare = [(_uri(target), _weight(target)) for target in targets]
    if forking == "by_q":
        bare.sort(key=lambda one: -one[1])
    return [uri for uri, _ in bare]


_Q = re.compile(r";\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE)


def _uri(target: str) -> str:
    """The URI of a target that may be written as a Contact value is."""
    return target[1:].partition(">")[0] if target.startswith("<") else target


def _weight(target: str) -> float:
    """Its q; 1 where there is none that can be read (RFC 3261 §20.10)."""
    found = _Q.search(target.partition(">")[2])
    return float(found[1]) if found else 1.0


_PATHS = {"always": "remainInDialog", "if_supported": "pathIfSupported", "required": "pathRequired"}
# A drachtio-server takes every word but `simultaneous` for `serial`.
_ORDERS = {"serial": "serial", "simultaneous": "simultaneous", "by_q": "byQ"}


def proxy_meta(options: ProxyOptions, *, extended: bool) -> str:
    """The tokens of a proxy frame that say how; `extended` with the words that only dracht's own server knows."""
    stays = _PATHS[options.path if extended else "always"]
    order = "stateless" if options.stateless and extended else _ORDERS[options.forking]
    if extended and not options.trusted:
        order += ";untrusted"
    if extended and options.consumed:
        order += ";consumed=" + ",".join(map(str, options.consumed))
    return "|".join(
        (
            stays if options.record_route else "",
            "fullResponse",
            "followRedirects" if options.follow_redirects else "",
            order,
            _milliseconds(options.provisional_timeout),
            _milliseconds(options.final_timeout),
        )
    )


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{max(1, round(value * 1000))}ms"
