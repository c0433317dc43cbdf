"""When a request of ours is sent again by itself, and what changes in it: one small rule for each response that asks for it.

    401, 407   credentials are added (RFC 3261 §22)                                     where `auth=` was given
    400        credentials that nobody had asked for are left out                       where they were for another request-URI
    422        Session-Expires and Min-SE are raised (RFC 4028 §7.3)                    unless `retry_interval=False`
    423        Expires is raised (RFC 3261 §10.2.8, RFC 6665 §4.1.2.1, RFC 3903 §4)     unless `retry_interval=False`
    491        the same again after a while (RFC 3261 §14.1, RFC 3311 §5.3)             unless `retry_glare=False`

Nothing else is: a 420 is the application's to answer with fewer extensions, a 503 with Retry-After its to wait for. Rules look at
plain messages and give back what to change and how long to wait; `ClientTransaction` does the sending and the waiting.
"""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from dracht.digest.answering import Answering
from dracht.digest.credentials import Credentials, keyring
from dracht.errors import HeaderError
from dracht.message import number

if TYPE_CHECKING:
    from dracht._core import Message
    from dracht.link.base import DialogId, DialogReference, Origin

__all__ = ["Again", "Attempt", "Retries", "pinned_hop"]

# How often one request is sent again for the same reason.
_MAX_INTERVAL = 3
_MAX_GLARE = 8
# The longest interval that is taken because a server asks for it: the application wanted something shorter. A week; seconds.
_LONGEST = 7 * 24 * 3600


class Attempt:
    """One time that a request was put on the wire."""

    __slots__ = ("_message", "cause", "status")

    def __init__(self, cause: str, status: int, message: Message | bytes) -> None:
        self.cause = cause
        """Why: `first`, `challenge`, `unasked`, `session-interval`, `interval` or `glare`."""
        self.status = status
        """The status that led to it; 0 for the first."""
        self._message = message

    @property
    def msg(self) -> Message:
        """The request as sent."""
        message = self._message
        if isinstance(message, bytes):
            from dracht._core import Message

            message = self._message = Message.parse(message)
        return message

    def __repr__(self) -> str:
        return f"<Attempt {self.cause}{f' after {self.status}' if self.status else ''}>"


class Again(NamedTuple):
    """That a request is to be sent again."""

    cause: str
    headers: Sequence[tuple[str, str]] = ()
    """Header fields that replace those of the same name."""
    delay: float = 0.0
    """Seconds to wait before."""


class Asked(NamedTuple):
    """What a rule may look at besides the response."""

    msg: Message
    """The request as sent."""
    dialog: DialogReference | None
    """The dialog it was sent within."""
    owns: Callable[[DialogReference], bool]
    """Whether the Call-ID of a dialog is ours: we sent the request that began it."""


Rule: TypeAlias = Callable[[Asked, "Message"], Again | None]


def session_interval(asked: Asked, response: Message) -> Again | None:
    """422: the session is to last at least Min-SE. Both header fields are raised to it (RFC 4028 §7.3)."""
    least = number(response.header("Min-SE"))
    before = number(asked.msg.header("Min-SE")) or 0
    if least is None or least <= before or least > _LONGEST:
        return None
    own = asked.msg.header("Session-Expires") or asked.msg.header("x") or ""
    expires = max(number(own) or 0, least)
    _, semicolon, params = own.partition(";")
    return Again(
        "session-interval", [("Session-Expires", f"{expires}{semicolon}{params}"), ("Min-SE", str(least))]
    )


def interval(asked: Asked, response: Message) -> Again | None:
    """423: a registration, subscription or publication is to last at least Min-Expires."""
    least = number(response.header("Min-Expires"))
    if (
        least is None
        or not 0 < least <= _LONGEST
        or asked.msg.method not in ("REGISTER", "SUBSCRIBE", "PUBLISH")
    ):
        return None
    raised = False

    def longer(found: re.Match[str]) -> str:
        nonlocal raised
        if found[2] is None or not 0 < int(found[2]) < least:
            return found[0]
        raised = True
        return f"{found[1]}{least}"

    headers: list[tuple[str, str]] = []
    if asked.msg.method == "REGISTER":
        headers += [("Contact", _EXPIRES.sub(longer, value)) for value in asked.msg.headers_all("Contact")]
    expires = number(asked.msg.header("Expires"))
    if (expires is None and not raised) or (expires is not None and 0 < expires < least):
        # What asks for nothing gets the least; what ends something (Expires: 0) is left alone.
        headers.append(("Expires", str(least)))
        raised = True
    return Again("interval", headers) if raised else None


def glare(asked: Asked, response: Message) -> Again | None:
    """491: both sides changed the session at once. Who owns the Call-ID waits longer, so that they do not meet again."""
    if asked.dialog is None or asked.msg.method not in ("INVITE", "UPDATE"):
        return None
    from dracht._core import glare_back_off

    return Again("glare", delay=glare_back_off(asked.owns(asked.dialog), random.getrandbits(64)))


_INTERVALS: dict[int, Rule] = {422: session_interval, 423: interval}
# `expires` parameters of Contacts, outside of quoted names and of URIs.
_EXPIRES = re.compile(r'"(?:\\.|[^"\\])*"|<[^>]*>|(;\s*expires\s*=\s*)(\d{1,10})(?!\d)', re.IGNORECASE)


class Retries:
    """The rules as they apply to one request, and what they have done so far."""

    __slots__ = ("_answering", "_glare", "_interval", "_times", "_uri", "fields", "ring")

    def __init__(self, auth: Credentials | None, *, glare: bool, interval: bool) -> None:
        self.ring = keyring(auth)
        self.fields: list[tuple[str, str]] = []
        """The credentials of the attempt under way; the ACK of a 2xx repeats them (RFC 3261 §22.1)."""
        self._answering = Answering(self.ring) if self.ring is not None else None
        self._glare = glare
        self._interval = interval
        self._times: dict[str, int] = {}
        self._uri = ""

    def begin(self, method: str, uri: str, body: bytes, places: Sequence[Hashable]) -> None:
        """Before the first attempt: credentials that earlier requests to one of these places were accepted with."""
        answering = self._answering
        if answering is not None and answering.begin(places):
            # Within a dialog the engine chooses the request-URI; this is the one it is expected to choose.
            self._uri = uri or answering.target
            if self._uri:
                self.fields = answering.fields(method, self._uri, body)

    def after(self, asked: Asked, response: Message, body: bytes) -> Again | None:
        """What to do after a final response; None: it is the application's."""
        again = self._chosen(asked, response)
        if again is not None:
            self._times[again.cause] = self._times.get(again.cause, 0) + 1
            if self._answering is not None:
                self._uri = asked.msg.uri
                self.fields = self._answering.fields(asked.msg.method, self._uri, body)
        return again

    def _chosen(self, asked: Asked, response: Message) -> Again | None:
        status = response.status
        if status in (401, 407):
            answering = self._answering
            return Again("challenge") if answering is not None and answering.challenged(response) else None
        if status == 400:
            answering = self._answering
            if answering is None or not answering.unasked or self._uri == asked.msg.uri:
                return None
            # The remote target had changed, and RFC 7616 §3.4.6 has a server say 400 to another URI.
            answering.withdraw()
            return Again("unasked")
        if status in _INTERVALS and self._interval and self._times.get("interval", 0) < _MAX_INTERVAL:
            return self._limited(_INTERVALS[status](asked, response), _MAX_INTERVAL)
        if status == 491 and self._glare:
            return self._limited(glare(asked, response), _MAX_GLARE)
        return None

    def _limited(self, again: Again | None, limit: int) -> Again | None:
        return None if again is None or self._times.get(again.cause, 0) >= limit else again

    def accepted(
        self, asked: Asked, response: Message, places: Sequence[tuple[Hashable, bool]]
    ) -> bool | None:
        """A response that is no challenge; see `Answering.accepted`."""
        if self._answering is None or not self.fields or response.status in (400, 401, 403, 407):
            return None
        return self._answering.accepted(response, places, _target(asked, response))


def places_before(
    dispatcher: object, uri: str, headers: Sequence[tuple[str, str]], dialog: DialogReference | None
) -> list[Hashable]:
    """Where a request is going, by all that is known before it is sent."""
    if dialog is not None:
        return [("call", dialog[0])] if isinstance(dialog, tuple) else [("dialog", id(dispatcher), dialog)]
    places: list[Hashable] = []
    to = uri
    for name, value in headers:
        if name.lower() in ("to", "t"):
            to = _address(value)
        elif name.lower() in ("call-id", "i"):
            places.append(("call", value))
    return [("to", to, uri), *places]


def places_after(
    dispatcher: object, msg: Message, dialog: DialogReference | None, created: DialogId | None
) -> list[tuple[Hashable, bool]]:
    """Where a request went, and whether a proxy's credentials count there: they do within a Call-ID (RFC 3261 §22.3)."""
    places: list[tuple[Hashable, bool]] = [(("call", msg.call_id), True)]
    for one in (created, dialog):
        if one is not None and not isinstance(one, tuple):
            places.append((("dialog", id(dispatcher), one), True))
    if dialog is None:
        # RFC 3261 §22.2: by the value of To. By the request-URI too: credentials are for where they were asked for.
        places.append((("to", _address(msg.header("To") or ""), msg.uri), False))
    return places


def again_headers(
    asked: Message, kept: Sequence[tuple[str, str]], again: Again, within: bool
) -> list[tuple[str, str]]:
    """The header fields of the next attempt, credentials apart."""
    fresh = list(again.headers)
    replaced = {name.lower() for name, _ in fresh} | {"authorization", "proxy-authorization"}
    if "session-expires" in replaced:
        replaced.add("x")
    if "contact" in replaced:
        replaced.add("m")
    if not within:
        # RFC 3261 §22.2, RFC 4028 §7.3: the same Call-ID, From and To, the next CSeq.
        cseq = asked.cseq
        replaced |= {"from", "f", "call-id", "i", "cseq"}
        fresh = [
            ("From", asked.header("From") or ""),
            ("Call-ID", asked.call_id),
            ("CSeq", f"{cseq.number + 1} {cseq.method}"),
            *fresh,
        ]
    return [*fresh, *(item for item in kept if item[0].lower() not in replaced)]


def pinned_hop(asked: Message, origin: Origin | None) -> str | None:
    """Where to send the request with credentials: to the server that challenged, since another one behind the same host name
    need not know the nonce. None where the name decides nothing, or where a certificate is checked against it."""
    from dracht._core import parse_uri

    if origin is None or origin.transport not in ("udp", "tcp") or asked.header("Route") is not None:
        return None
    uri = parse_uri(asked.uri)
    if uri.scheme != "sip" or _is_ip_address(uri.host):
        return None
    address, port = origin.peer
    host = f"[{address}]" if ":" in address else address
    return f"sip:{host}:{port};transport={origin.transport}"


def _target(asked: Asked, response: Message) -> str:
    """The request-URI that the next request of the dialog is expected to have."""
    if response.status < 300 and asked.msg.method in ("INVITE", "SUBSCRIBE", "UPDATE", "REFER", "NOTIFY"):
        try:
            contacts = response.contacts
            if contacts and not contacts[0].is_wildcard:
                return contacts[0].uri_text
        except HeaderError:
            return ""
    return asked.msg.uri if asked.dialog is not None else ""


def _address(value: str) -> str:
    from dracht._core import Address

    try:
        return Address.parse(value).uri_text
    except HeaderError:
        return value


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
