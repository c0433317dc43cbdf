"""`Subscription`: events of another party, kept coming (RFC 6665). It refreshes, notices the end, and begins again when asked to.

What has been notified waits in a bounded line until it is read. Times are the loop's; the engine's own clock of the same
subscription only ends what this one has left alone. It is above 400 lines for its docstrings: one class, one life.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

from dracht.dialogid import DialogHandle
from dracht.digest import Credentials
from dracht.errors import CommandFailed, ConnectionLost, DrachtError, RequestRefused, RequestTimeout
from dracht.link.base import DialogReference
from dracht.message import Body, HeadersInput, body_bytes, event_of, header_list, number
from dracht.notification import Asking, Notification, Watcher

if TYPE_CHECKING:
    from dracht.dispatch import Dispatcher
    from dracht.request import Request
    from dracht.transaction import IncomingResponse

__all__ = ["Subscription", "SubscriptionOver", "Way"]

Way: TypeAlias = "Callable[[], tuple[Dispatcher, DialogReference | None]]"

# RFC 6665 §4.1.2.2: a refresh that gets one of these has ended the subscription; any other failure has not.
_ENDING = frozenset({404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604})
# RFC 6665 §4.1.3: after these one asks again at once, and a retry-after has no meaning; after the next nobody asks again.
_AT_ONCE = frozenset({"deactivated", "timeout"})
_NEVER = frozenset({"rejected", "noresource", "invariant"})
_LATER = frozenset({"probation", "giveup"})
# Statuses with which asking again has a chance.
_TEMPORARY = frozenset({408, 480, 481, 500, 503, 504})
# Timer N, 64*T1 (RFC 6665 §4.1.2.4), with a margin; seconds.
_NOTIFY_LIMIT = 40.0
# How long a NOTIFY of what has ended here may still come, to be told that it has; seconds.
_LINGER = 64.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
# What lived so long is begun again without a pause; seconds.
_LIVED = 60.0


class SubscriptionOver(NamedTuple):
    """How a subscription ended."""

    reason: str
    """The notifier's word (`deactivated`, `probation`, `rejected`, `timeout`, `giveup`, `noresource`, `invariant`, ...), or
    `unsubscribed` (we did), `no-notify` (none came), `expired` (no refresh got through), `refused` (a refresh was)."""
    retry_after: int | None = None
    """Seconds to wait before subscribing again, where the notifier says."""
    status: int | None = None
    """Of `refused`: the status."""

    @property
    def may_retry(self) -> bool:
        """Whether subscribing again makes sense (RFC 6665 §4.1.3)."""
        if self.reason == "refused":
            return self.status in _TEMPORARY
        return self.reason not in _NEVER and self.reason != "unsubscribed"


class Subscription(Watcher):
    """A subscription; `agent.subscribe` makes it.

    `await` it, or enter it as a context manager, to subscribe; leaving the block unsubscribes. Iterating gives each
    `Notification` and ends with the subscription, whose `over` then says how it ended.
    """

    def __init__(
        self,
        way: Way,
        uri: str,
        event: str,
        *,
        expires: int = 3600,
        headers: HeadersInput | None = None,
        body: Body | None = None,
        auth: Credentials | None = None,
        next_hop: str | None = None,
        retry: bool = False,
        backlog: int = 100,
    ) -> None:
        super().__init__()
        self.event = event
        """What it is to: the value of Event."""
        self.over: SubscriptionOver | None = None
        """How it ended; None while it lives."""
        self.state = "init"
        """The state of the latest NOTIFY; `init` before the first."""
        self.dropped = 0
        """How many notifications were left out because nobody read them in time."""
        self._way = way
        self._uri = uri
        self._event = event_of(event)
        self._expires = expires
        self._headers = header_list(headers)
        self._body = body_bytes(body)
        self._auth = auth
        self._next_hop = next_hop
        self._retry = retry
        self._queue: deque[Notification] = deque()
        self._backlog = max(1, backlog)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._end: SubscriptionOver | None = None
        self._began = self._ends_at = self._refresh_at = 0.0
        self._notify_by: float | None = None
        self._told = False
        self._pause = _FIRST_PAUSE
        self._closing = False

    # ---- what the application does

    async def start(self) -> Self:
        """Subscribes; returns when it is accepted. Awaiting the subscription does this.

        Raises:
            RequestRefused: the notifier does not want to.
            RequestTimeout, CommandFailed, ConnectionLost: it could not be asked.
        """
        if self._task is None:
            await self._begin()
            self._task = asyncio.create_task(self._keep(), name=f"subscription to {self.event}")
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self.start().__await__()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.unsubscribe()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        while not self._queue:
            if self._error is not None:
                raise self._error
            if self.over is not None:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._queue.popleft()

    async def unsubscribe(self, *, timeout: float = 5.0) -> None:
        """Ends it (RFC 6665 §4.1.2.3): asks the notifier, and waits for the last NOTIFY. Does nothing when it is over.

        Args:
            timeout: seconds to wait at most.
        """
        self._closing = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self.over is None and self._error is None and self._dialog is not None:
            with contextlib.suppress(DrachtError, TimeoutError):
                async with asyncio.timeout(timeout):
                    if self._end is None and (await self._subscribe(0)).ok:
                        while self._end is None:
                            self._news.clear()
                            await self._news.wait()
        self._finish(SubscriptionOver("unsubscribed"))

    @property
    def dialog_id(self) -> DialogHandle | None:
        """Its dialog."""
        if self._watched is None or self._dialog is None:
            return None
        return DialogHandle(self._watched[0], self._dialog)

    @property
    def expires_in(self) -> float:
        """How long it lives yet unless it is refreshed; seconds."""
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    # ---- what comes

    def claims(self, package: str, event_id: str) -> bool:
        """Whether a NOTIFY with this Event is for it."""
        return self._event == (package, event_id)

    def notified(self, request: Request) -> None:
        """A NOTIFY."""
        if self._end is not None or self.over is not None:
            request.res.send(481)
            return
        if not self.accept(request):
            return
        request.res.send(200)
        notification = Notification(request)
        self.state = notification.state
        self._notify_by = None
        if len(self._queue) == self._backlog:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(notification)
        if notification.state == "terminated":
            self._end = SubscriptionOver(notification.reason or "", notification.retry_in)
            self.unwatch()
        elif notification.expires_in is not None and not self._closing:
            self._told = True
            self._lives(notification.expires_in)
        self._news.set()

    def engine_ended(self, reason: str) -> None:
        """The engine gave it up."""
        if self._end is None:
            self._end = SubscriptionOver(reason)
            self._news.set()

    def link_lost(self, error: Exception) -> None:
        """The link is gone."""
        self._watched = None
        self._fail(error)

    # ---- inside

    def _lives(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._ends_at = now + seconds
        # About nine tenths, each at a time of its own, so that many subscriptions begun at once are not refreshed at once.
        self._refresh_at = now + seconds * random.uniform(0.86, 0.94)

    async def _subscribe(self, expires: int, dialog: bool = True) -> IncomingResponse:
        """One SUBSCRIBE, and its final response."""
        reference: DialogReference | None
        if dialog and self._watched is not None:
            dispatcher, reference = self._watched[0], self._dialog
        else:
            dispatcher, reference = self._way()
        uri = "" if reference is not None else self._uri
        fields = [("Event", self.event), ("Expires", str(expires)), *self._headers]
        asking = Asking(
            dispatcher, "SUBSCRIBE", uri, fields, self._body,
            dialog=reference, next_hop=self._next_hop, auth=self._auth, retry_interval=False,
        )  # fmt: skip
        asking.watcher = self
        self._told = False
        await asking.start()
        return await asking.final(timeout=_NOTIFY_LIMIT)

    async def _begin(self) -> None:
        """Subscribes anew."""
        self._peer = self._dialog = self._end = None
        self.state = "init"
        self._notify_by = 0.0
        self._began = asyncio.get_running_loop().time()
        try:
            response = await self._subscribe(self._expires, dialog=False)
            if response.status == 423 and self._longer(response):
                response = await self._subscribe(self._expires, dialog=False)
        except BaseException:
            self.unwatch()
            raise
        if not response.ok:
            self.unwatch()
            raise RequestRefused(response)
        self._granted(response)

    def _longer(self, response: IncomingResponse) -> bool:
        """Takes the time that a 423 asks for (RFC 6665 §4.2.1.2); whether it is longer."""
        least = number(response.headers.get("Min-Expires"))
        if least is None or least <= self._expires:
            return False
        self._expires = least
        return True

    def _granted(self, response: IncomingResponse) -> None:
        self.accepted(response)
        granted = number(response.headers.get("Expires"))
        if not self._told:
            self._lives(self._expires if granted is None else granted)
        if self._notify_by is not None:
            self._notify_by = asyncio.get_running_loop().time() + _NOTIFY_LIMIT

    async def _keep(self) -> None:
        """Refreshes it until it ends; begins again where that was asked for."""
        try:
            while True:
                over = await self._until_over()
                if not self._retry or not over.may_retry:
                    self._finish(over)
                    return
                await self._again(over)
        except DrachtError as error:
            self._fail(error)

    async def _again(self, over: SubscriptionOver) -> None:
        """Subscribes again, after the time that RFC 6665 §4.1.3 wants, and longer each time that it is refused."""
        self._let_go()
        pause = 0.0 if over.retry_after is None or over.reason in _AT_ONCE else float(over.retry_after)
        if over.reason in _LATER and over.retry_after is None:
            pause = 60.0
        # At once when it lived for a while, but not in a circle.
        if asyncio.get_running_loop().time() - self._began < _LIVED:
            pause = max(pause, self._next_pause())
        else:
            self._pause = _FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            try:
                return await self._begin()
            except RequestRefused as error:
                over = SubscriptionOver("refused", None, error.status)
                if not over.may_retry:
                    raise
                pause = max(self._next_pause(), number(error.response.headers.get("Retry-After")) or 0)
            except (RequestTimeout, CommandFailed):
                pause = self._next_pause()

    def _next_pause(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        return pause * random.uniform(0.5, 1.0)

    async def _until_over(self) -> SubscriptionOver:
        loop = asyncio.get_running_loop()
        while self._end is None:
            now = loop.time()
            if self._notify_by is not None and now >= self._notify_by:
                return SubscriptionOver("no-notify")
            if now >= self._ends_at:
                return SubscriptionOver("expired")
            if now >= self._refresh_at:
                await self._refresh()
                continue
            next_at = min(self._refresh_at, self._ends_at, self._notify_by or self._ends_at)
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_at):
                    await self._news.wait()
        return self._end

    async def _refresh(self) -> None:
        """One refresh. When it fails for a while, it is tried again in what is left of the time."""
        left = self.expires_in
        self._refresh_at = asyncio.get_running_loop().time() + max(1.0, left / 3)
        try:
            response = await self._subscribe(self._expires)
            if response.status == 423 and self._longer(response):
                response = await self._subscribe(self._expires)
        except RequestTimeout:
            return
        except CommandFailed as error:
            if error.code == "unknown-dialog" and self._end is None:
                self._end = SubscriptionOver("expired")
            return
        if response.ok:
            self._granted(response)
        elif response.status in _ENDING and self._end is None:
            self._end = SubscriptionOver("refused", None, response.status)

    def _finish(self, over: SubscriptionOver) -> None:
        if self.over is None:
            self.over = self._end if self._end is not None else over
            self._let_go()
            self._news.set()

    def _let_go(self) -> None:
        """NOTIFYs of what is over here get 481 for a while, by which the notifier learns that it is."""
        if self._watched is not None:
            dispatcher, key = self._watched
            gone = _Gone(self._event)
            gone._watched = dispatcher, key
            dispatcher.watchers.setdefault(key, []).append(gone)
            dispatcher.loop.call_later(_LINGER, gone.unwatch)
            self.unwatch()

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
            if not isinstance(error, ConnectionLost):
                self._let_go()
        task = self._task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._news.set()

    def __repr__(self) -> str:
        return f"<Subscription to {self.event}: {self.over.reason if self.over else self.state}>"


class _Gone(Watcher):
    """What is left of a subscription that is over here, and perhaps not there."""

    def __init__(self, event: tuple[str, str]) -> None:
        super().__init__()
        self._event = event

    def claims(self, package: str, event_id: str) -> bool:
        return self._event == (package, event_id)

    def notified(self, request: Request) -> None:
        request.res.send(481)
        self.unwatch()

    def engine_ended(self, reason: str) -> None:
        self.unwatch()

    def link_lost(self, error: Exception) -> None:
        self._watched = None
