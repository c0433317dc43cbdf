"""`ProxyResult`: what became of a proxied request, branch by branch. The proxying itself is the engine's."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from dracht.link.base import Origin

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from dracht._core import Address, Message, Uri

    Target: TypeAlias = str | Uri | Address | tuple[str | Uri, float] | "ProxyTarget"

__all__ = [
    "REQUEST_URI",
    "BranchResponse",
    "BranchResponses",
    "ProxyResult",
    "ProxyTarget",
    "Proxying",
    "check_words",
    "flow_token",
    "seconds",
    "target_texts",
]


class ProxyTarget(NamedTuple):
    """A target of `req.proxy` with all that may be said about it."""

    uri: str | Uri
    """The URI, which becomes the request-URI."""
    q: float = 1.0
    """Its weight, from 0 to 1 (RFC 3261 §20.10)."""
    flow: str | None = None
    """The flow to take (RFC 5626): `req.flow` of the REGISTER from which it is known."""


class BranchResponse(NamedTuple):
    """A response of one branch."""

    time: float
    """When it arrived: seconds of the loop's clock after `req.proxy` was called."""
    status: int
    msg: Message


class BranchResponses:
    """Every response of one branch, that is of one target."""

    __slots__ = ("address", "branch", "messages", "port")

    def __init__(self, branch: int, origin: Origin | None) -> None:
        self.branch = branch
        """The number of the branch: embedded, the index of its target; over a control connection, in order of first response."""
        self.address, self.port = origin.peer if origin is not None else ("", 0)
        self.messages: list[BranchResponse] = []

    @property
    def final(self) -> BranchResponse | None:
        """Its final response."""
        return next((one for one in reversed(self.messages) if one.status >= 200), None)


class ProxyResult:
    """What became of a proxied request."""

    __slots__ = ("final_status", "responses", "winner")

    def __init__(
        self, final_status: int | None, winner: BranchResponses | None, responses: list[BranchResponses]
    ) -> None:
        self.final_status = final_status
        """The status that the caller got; None for what has none (an ACK, a stateless proxy)."""
        self.winner = winner
        """The branch whose response was sent upstream; None when the engine made it."""
        self.responses = responses
        """Every branch that answered, with each of its responses."""

    @property
    def connected(self) -> bool:
        """Whether the caller got a 2xx."""
        return self.final_status is not None and 200 <= self.final_status <= 299

    @property
    def final_response(self) -> BranchResponse | None:
        """The response that was sent upstream, as its branch gave it."""
        return self.winner.final if self.winner is not None else None

    def to_dict(self) -> dict[str, Any]:
        """The result in the shape of drachtio: `connected`, `finalStatus`, `finalResponse`, `responses`."""
        final = self.final_response
        return {
            "connected": self.connected,
            "finalStatus": self.final_status,
            "finalResponse": _plain(final) if final is not None else None,
            "responses": [
                {"address": one.address, "port": one.port, "msgs": [_plain(each) for each in one.messages]}
                for one in self.responses
            ],
        }

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        branches = ", ".join(
            f"{one.address}:{one.port} {'/'.join(str(each.status) for each in one.messages)}"
            for one in self.responses
        )
        return f"<ProxyResult {self.final_status} ({branches})>"


class Proxying:
    """The completion of `req.proxy`: collects what the branches answer."""

    __slots__ = ("_branches", "_loop", "_started", "finished", "refused")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._started = loop.time()
        self._branches: dict[int, BranchResponses] = {}
        self.finished: asyncio.Future[ProxyResult] = loop.create_future()
        self.refused = False

    def response(self, branch: int, message: Message, origin: Origin | None) -> None:
        """A response of one branch."""
        held = self._branches.get(branch)
        if held is None:
            held = self._branches[branch] = BranchResponses(branch, origin)
        held.messages.append(BranchResponse(self._loop.time() - self._started, message.status, message))

    def done(self, status: int | None, winner: int | None) -> None:
        """The end."""
        responses = [self._branches[number] for number in sorted(self._branches)]
        chosen = self._branches.get(winner) if winner is not None else None
        if not self.finished.done():
            self.finished.set_result(ProxyResult(status, chosen, responses))

    def failed(self, error: Exception) -> None:
        """It was not proxied, or the link is gone."""
        self.refused = getattr(error, "code", None) in (
            "invalid-uri",
            "invalid-header",
            "no-transport",
            "limit",
        )
        if not self.finished.done():
            self.finished.set_exception(error)


_WORDS = {
    "forking": ("serial", "simultaneous", "by_q"),
    "path": ("always", "if_supported", "required"),
    "type": ("stateful", "stateless"),
}


def check_words(**given: str) -> None:
    """Checks the options of `req.proxy` that are one of a few words.

    Raises:
        ValueError: one is none of them.
    """
    for name, word in given.items():
        if word not in _WORDS[name]:
            *first, last = (repr(one) for one in _WORDS[name])
            raise ValueError(f"{name} is {', '.join(first)} or {last}, not {word!r}")


class _RequestUri(tuple["Target", ...]):
    """What `targets` of `req.proxy` is when it is left out: told by identity from a list that happens to be empty."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<the request-URI>"


REQUEST_URI = _RequestUri()
"""No targets were named: the request goes to its request-URI."""


def target_texts(targets: Target | Iterable[Target], flow: str | None = None) -> list[str]:
    """The targets of `req.proxy` as a link takes them; none for `REQUEST_URI` itself, and only for it.

    An empty list is a look-up that found nobody: would it mean the request-URI, which the caller chose, whoever relays to what
    a look-up gives would be an open relay.

    Raises:
        ValueError: there are none, the q of one is not from 0 to 1, or a flow is no token.
        TypeError: one of them is no target.
    """
    if targets is REQUEST_URI:
        return []
    if _is_target(targets):
        return [_target_text(targets, flow)]
    if isinstance(targets, bytes | Mapping) or not isinstance(targets, Iterable):
        raise _no_target(targets)
    texts = [_target_text(one, flow) for one in targets]
    if not texts:
        raise ValueError(
            "req.proxy got an empty list of targets, and so has nowhere to go: answer the request yourself, as with "
            "res.send(480), or leave the argument out to proxy to the request-URI"
        )
    return texts


def _is_target(targets: Target | Iterable[Target]) -> TypeIs[Target]:
    """Whether it is one target and not several: a pair of a URI and a number is one."""
    if isinstance(targets, tuple) and not isinstance(targets, ProxyTarget):
        return len(targets) == 2 and isinstance(targets[1], int | float)
    return _names_uri(targets) or isinstance(targets, ProxyTarget)


def _names_uri(value: object) -> TypeIs[str | Uri | Address]:
    from dracht._core import Address, Uri

    return isinstance(value, str | Uri | Address)


def _no_target(value: object) -> TypeError:
    return TypeError(
        f"a target of req.proxy is a URI as text or Uri, an Address, (uri, q) or ProxyTarget(uri, ...), not {value!r}; "
        "for the request-URI leave the argument out"
    )


_TOKEN = re.compile(r"[A-Za-z0-9_-]{3,128}")


def flow_token(flow: str) -> str:
    """The token of a flow, as `req.flow` gives it.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(flow, str) or not _TOKEN.fullmatch(flow):
        raise ValueError(f"{flow!r} is no flow: give the text that req.flow was")
    return flow


def _target_text(target: Target, flow: str | None = None) -> str:
    """A target as a link takes it: a URI, or one in angle brackets with its q and the flow to take."""
    if isinstance(target, ProxyTarget):
        flow = target.flow if target.flow is not None else flow
        target = (target.uri, target.q)
    if flow is not None:
        text = _target_text(target)
        return f"{text if text.startswith('<') else f'<{text}>'};flow={flow_token(flow)}"
    if isinstance(target, tuple):
        if len(target) != 2 or not isinstance(target[1], int | float) or isinstance(target[0], tuple):
            raise _no_target(target)
        uri, q = target
        if not 0 <= q <= 1:
            raise ValueError(f"the q of a target is from 0 to 1, not {q!r}")
        return f"<{_target_text(uri)}>;q={q:.3f}"
    if not _names_uri(target):
        raise _no_target(target)
    uri_text = getattr(target, "uri_text", None)
    if uri_text is not None:
        q_text = cast("Address", target).param("q")
        return f"<{uri_text}>;q={q_text}" if q_text else str(uri_text)
    text = str(target).strip()
    if text.startswith("<") or text.lower().startswith(("sip:", "sips:", "tel:")):
        return text
    return f"sip:{text}"


def seconds(value: float | str | None) -> float | None:
    """A time as an application writes it: a number of seconds, or a text as drachtio has it, `"2s"` or `"100ms"`.

    Raises:
        ValueError: it is neither, or not positive.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        number, unit = (text[:-2], 0.001) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
        try:
            value = float(number) * unit
        except ValueError:
            raise ValueError(f"{text!r} is not a time: give seconds, '2s' or '100ms'") from None
    if not 0 < value < 86_400 * 365:
        raise ValueError(f"a timeout is a positive number of seconds, not {value!r}")
    return float(value)


def _plain(response: BranchResponse) -> dict[str, Any]:
    msg = response.msg
    headers: dict[str, str] = {}
    for name, value in msg.fields():
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    return {
        "time": round(response.time, 6),
        "status": response.status,
        "msg": {
            "type": "response",
            "status": msg.status,
            "reason": msg.reason,
            "version": "2.0",
            "headers": headers,
            "body": msg.body.decode("utf-8", "replace"),
        },
    }
