"""`Publications`: an event state compositor (RFC 3903 §6): takes PUBLISH, keeps what was published for as long as it was granted.

The store is in memory and bounded. What the states of a resource mean together, and who subscribes to them, is the application's:
`on_change` tells it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from dracht.errors import SipError, UriError
from dracht.message import event_of, number

if TYPE_CHECKING:
    from dracht._core import Uri
    from dracht.request import Request
    from dracht.response import Response

__all__ = ["Publications", "PublishedState"]

log = logging.getLogger("dracht")


class PublishedState(NamedTuple):
    """One publication."""

    resource: str
    """Whose state it is: the user and host of the request-URI."""
    event: str
    """The event package."""
    etag: str
    """Its entity tag, new with every PUBLISH."""
    content_type: str
    """Of the body."""
    body: bytes
    """The state."""
    ends_at: float
    """When it is forgotten; a time of the loop, in seconds."""


OnChange: TypeAlias = Callable[[str, str, list[PublishedState]], None]
_Key: TypeAlias = tuple[str, str]


class _Kept(NamedTuple):
    state: PublishedState
    timer: asyncio.TimerHandle


class Publications:
    """An event state compositor. `await publications.handle(req, res)` answers a PUBLISH; it is a handler as it stands.

    Args:
        events: the event packages that are taken, or each with the content types that may be published to it.
        on_change: called with the resource, the package and all its states, the latest changed last, whenever one came, changed,
            was removed or ran out.
        min_expires: the shortest time that is granted (423 below; 0 removes); seconds.
        max_expires: the longest; seconds.
        limit: how many publications are kept; further ones get 503.
        content_bytes: the longest body; longer ones get 413.
    """

    def __init__(
        self,
        events: Iterable[str] | Mapping[str, Iterable[str]],
        *,
        on_change: OnChange | None = None,
        min_expires: int = 60,
        max_expires: int = 3600,
        limit: int = 100_000,
        content_bytes: int = 64 * 1024,
    ) -> None:
        if isinstance(events, str):
            raise TypeError("events is a list of event packages, not one")
        if not 0 < min_expires <= max_expires:
            raise ValueError("min_expires is at least 1 and at most max_expires")
        self._types = (
            {event: {kind.lower() for kind in kinds} for event, kinds in events.items()}
            if isinstance(events, Mapping)
            else {event: set[str]() for event in events}
        )
        self._on_change = on_change
        self._least = min_expires
        self._most = max_expires
        self._limit = limit
        self._content_bytes = content_bytes
        self._kept: dict[_Key, dict[str, _Kept]] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many publications it keeps."""
        return self._count

    def states(self, resource: str | Uri, event: str) -> list[PublishedState]:
        """The states of a resource, the latest changed last; a URI stands for its user and host."""
        kept = self._kept.get((_resource(str(resource)), event), {})
        return [one.state for one in kept.values()]

    def clear(self) -> None:
        """Forgets everything, without telling."""
        for kept in self._kept.values():
            for one in kept.values():
                one.timer.cancel()
        self._kept.clear()
        self._count = 0

    async def __call__(self, req: Request, res: Response) -> None:
        """See `handle`."""
        await self.handle(req, res)

    async def handle(self, req: Request, res: Response) -> None:
        """Answers a PUBLISH (RFC 3903 §6): 200 with SIP-ETag and Expires, else 400, 412, 413, 415, 423, 489 or 503.

        That the resource is one of this server's, and the publisher its owner, is to be seen to before.

        Raises:
            ConnectionLost: the answer could not be given.
        """
        try:
            headers = self._take(req)
        except SipError as error:
            await res.send(error.status, error.reason, headers=error.headers)
        else:
            await res.send(200, headers=headers)

    # ---- inside

    def _take(self, req: Request) -> dict[str, str]:
        events = req.headers.getall("Event")
        package = event_of(events[0])[0] if len(events) == 1 else ""
        if package not in self._types:
            raise SipError(489, headers={"Allow-Events": ", ".join(sorted(self._types))})
        tags = req.headers.getall("SIP-If-Match")
        if len(tags) > 1 or (tags and "," in tags[0]):
            raise SipError(400, "One SIP-If-Match Only")
        try:
            key = _resource(str(req.uri)), package
        except UriError as error:
            raise SipError(400) from error
        held = self._kept.get(key, {}).get(tags[0].strip()) if tags else None
        if tags and held is None:
            raise SipError(412)
        expires = self._expires(req)
        self._check_body(req, package, is_first=held is None)
        if held is None and self._count >= self._limit and expires:
            raise SipError(503, headers={"Retry-After": "60"})
        return self._store(key, req, held, expires)

    def _expires(self, req: Request) -> int:
        text = req.headers.get("Expires")
        asked = self._most if text is None else number(text)
        if asked is None:
            raise SipError(400, "Bad Expires")
        if 0 < asked < self._least:
            raise SipError(423, headers={"Min-Expires": str(self._least)})
        return min(asked, self._most)

    def _check_body(self, req: Request, package: str, *, is_first: bool) -> None:
        if not req.body:
            if is_first:
                raise SipError(400, "A First PUBLISH Has A Body")
            return
        if len(req.body) > self._content_bytes:
            raise SipError(413)
        kinds = self._types[package]
        kind = (req.content_type or "").partition(";")[0].strip().lower()
        if kinds and kind not in kinds:
            raise SipError(415, headers={"Accept": ", ".join(sorted(kinds))})

    def _store(self, key: _Key, req: Request, held: _Kept | None, expires: int) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        etag = secrets.token_hex(8)
        kept = self._kept.setdefault(key, {})
        if held is not None:
            held.timer.cancel()
            del kept[held.state.etag]
            self._count -= 1
        before = (held.state.content_type, held.state.body) if held is not None else ("", b"")
        content_type, body = (req.content_type or "", req.body) if req.body else before
        if expires:
            ends_at = loop.time() + expires
            timer = loop.call_at(ends_at, self._ran_out, key, etag)
            kept[etag] = _Kept(PublishedState(*key, etag, content_type, body, ends_at), timer)
            self._count += 1
        elif not kept:
            del self._kept[key]
        # A refresh changes nothing that anybody watches (RFC 3903 §6 step 5).
        if (expires and (held is None or req.body)) or (not expires and held is not None):
            self._changed(key)
        return {"SIP-ETag": etag, "Expires": str(expires)}

    def _ran_out(self, key: _Key, etag: str) -> None:
        kept = self._kept.get(key, {})
        if kept.pop(etag, None) is None:
            return
        self._count -= 1
        if not kept:
            del self._kept[key]
        self._changed(key)

    def _changed(self, key: _Key) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(*key, self.states(*key))
        except Exception:
            log.exception("on_change of the publications raised for %s", key)


def _resource(uri: str) -> str:
    """`user@host` of a URI; parameters and port say how to reach a server, not whose state it is (RFC 3903 §3)."""
    if "@" in uri and ":" not in uri.partition("@")[0]:
        user, _, host = uri.partition("@")
        return f"{user}@{host.lower()}"
    from dracht._core import parse_uri

    parsed = parse_uri(uri)
    host = (parsed.host or "").lower()
    return f"{parsed.user}@{host}" if parsed.user else host
