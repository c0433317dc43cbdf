"""`Publication`: event state of ours, kept at a compositor with PUBLISH (RFC 3903): refreshed, changed, taken away.

`compositor` is the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dracht.digest import Credentials
from dracht.errors import CommandFailed, ConnectionLost, DrachtError, RequestRefused, RequestTimeout
from dracht.message import Body, HeadersInput, body_bytes, header_list, number
from dracht.transaction import ClientTransaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from dracht.dispatch import Dispatcher
    from dracht.transaction import IncomingResponse

__all__ = ["Publication"]

# A PUBLISH that nobody answers is given up by the engine after 64*T1; with a margin, seconds.
_LIMIT = 40.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
# Statuses with which trying again has a chance.
_TEMPORARY = frozenset({408, 480, 500, 503, 504})


class Publication:
    """A publication; `agent.publish` makes it.

    `await` it, or enter it as a context manager, to publish; leaving the block removes the state. In between it is refreshed at
    about nine tenths of the time that the compositor granted, and published anew when the compositor has forgotten it (412).
    """

    def __init__(
        self,
        way: Callable[[], Dispatcher],
        uri: str,
        event: str,
        body: Body,
        *,
        content_type: str,
        expires: int = 3600,
        headers: HeadersInput | None = None,
        auth: Credentials | None = None,
        next_hop: str | None = None,
    ) -> None:
        self.uri = uri
        """The resource."""
        self.event = event
        """The event package."""
        self.etag: str | None = None
        """The entity tag of the state as it is at the compositor; None while it holds none."""
        self.error: Exception | None = None
        """Why it is kept no longer; None while it is."""
        self._way = way
        self._body = body_bytes(body)
        self._content_type = content_type
        self._expires = expires
        self._headers = header_list(headers)
        self._auth = auth
        self._next_hop = next_hop
        self._lock = asyncio.Lock()
        self._refresh_at = self._ends_at = 0.0
        self._pause = _FIRST_PAUSE
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> Self:
        """Publishes; returns when it is accepted. Awaiting the publication does this.

        Raises:
            RequestRefused: the compositor does not want it.
            RequestTimeout, CommandFailed, ConnectionLost: it could not be asked.
        """
        if self._task is None:
            async with self._lock:
                await self._publish(fresh=True)
            self._task = asyncio.create_task(self._keep(), name=f"publication of {self.event}")
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self.start().__await__()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(DrachtError):
            await self.remove()

    async def modify(self, body: Body, *, content_type: str | None = None) -> None:
        """Publishes another state in place of this one (RFC 3903 §4.1).

        Args:
            body: the state.
            content_type: of the body; that of the one before when None.

        Raises:
            RequestRefused, RequestTimeout, CommandFailed, ConnectionLost: it was not; the state before stands.
            DrachtError: the publication was removed.
        """
        if self._task is None:
            raise DrachtError("the publication was removed, or never began")
        async with self._lock:
            kept = self._body, self._content_type
            self._body, self._content_type = body_bytes(body), content_type or self._content_type
            try:
                await self._publish(fresh=True)
            except BaseException:
                self._body, self._content_type = kept
                raise
        self._changed.set()

    async def remove(self) -> None:
        """Takes the state away (RFC 3903 §4.2). Does nothing when it is gone already.

        Raises:
            RequestRefused, RequestTimeout, CommandFailed, ConnectionLost: the compositor was not reached; it forgets the state
                when its time is up.
        """
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with self._lock:
            etag, self.etag = self.etag, None
            if etag is not None and not isinstance(self.error, ConnectionLost):
                response = await self._send(0, etag, with_body=False)
                if not response.ok and response.status != 412:
                    raise RequestRefused(response)

    async def lost(self) -> None:
        """Waits until it can be kept no longer, and raises why."""
        while self.error is None:
            self._changed.clear()
            await self._changed.wait()
        raise self.error

    # ---- inside

    async def _send(self, expires: int, etag: str | None, *, with_body: bool) -> IncomingResponse:
        fields = [("Event", self.event), ("Expires", str(expires)), *self._headers]
        if etag is not None:
            fields.append(("SIP-If-Match", etag))
        if with_body:
            fields.append(("Content-Type", self._content_type))
        transaction = ClientTransaction(
            self._way(), "PUBLISH", self.uri, fields, self._body if with_body else b"",
            next_hop=self._next_hop, auth=self._auth, retry_interval=False,
        )  # fmt: skip
        await transaction.start()
        return await transaction.final(timeout=_LIMIT)

    async def _publish(self, *, fresh: bool) -> None:
        """One PUBLISH, and what RFC 3903 §4 has follow on 412 and 423. `fresh`: with the body, not only a refresh."""
        response = await self._send(self._expires, self.etag, with_body=fresh or self.etag is None)
        if response.status == 423:
            least = number(response.headers.get("Min-Expires"))
            if least is not None and least > self._expires:
                self._expires = least
                response = await self._send(least, self.etag, with_body=fresh or self.etag is None)
        if response.status == 412 and self.etag is not None:
            self.etag = None
            response = await self._send(self._expires, None, with_body=True)
        if not response.ok:
            raise RequestRefused(response)
        etag = response.headers.get("SIP-ETag")
        granted = number(response.headers.get("Expires"))
        # A compositor that gives no tag cannot be asked to refresh: the next one is published anew.
        self.etag = etag.strip() if etag else None
        left = self._expires if granted is None else granted
        now = asyncio.get_running_loop().time()
        self._ends_at = now + left
        self._refresh_at = now + max(1.0, left * random.uniform(0.86, 0.94))
        self._pause = _FIRST_PAUSE

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._refresh_at):
                    await self._changed.wait()
                    continue
            try:
                async with self._lock:
                    if loop.time() < self._refresh_at:
                        continue
                    await self._publish(fresh=False)
            except ConnectionLost as error:
                return self._fail(error)
            except RequestRefused as error:
                if error.status not in _TEMPORARY:
                    return self._fail(error)
                self._later(number(error.response.headers.get("Retry-After")))
            except (RequestTimeout, CommandFailed):
                self._later(None)

    def _later(self, seconds: int | None) -> None:
        """Tries again after a while, longer each time."""
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        now = asyncio.get_running_loop().time()
        self._refresh_at = now + max(pause * random.uniform(0.5, 1.0), seconds or 0)
        if now >= self._ends_at:
            self.etag = None

    def _fail(self, error: Exception) -> None:
        self.error = error
        self.etag = None
        self._changed.set()

    def __repr__(self) -> str:
        return f"<Publication of {self.event} at {self.uri}: {self.error or self.etag or 'none'}>"
