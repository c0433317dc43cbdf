"""`NativeLink`: a link to an engine in this process, `dracht._core.Engine`.

The loop watches one descriptor, which becomes readable once for a batch of events; a pass takes a bounded number of them, so that
timers and other descriptors run in between; the commands given meanwhile go out with one wake of the engine. No threads here,
and no call into the loop from another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence
from typing import Any, Unpack

from dracht import _core
from dracht._core import (
    EVENT_EXPORTED,
    EVENT_FAILED,
    EVENT_IMPORTED,
    EVENT_PROXY_DONE,
    EVENT_PROXY_RESPONSE,
    EVENT_REQUEST,
    EVENT_RESPONSE,
    EVENT_SENT,
    EVENT_SUBSCRIPTION_ENDED,
)
from dracht.errors import CommandFailed, ConnectionLost
from dracht.link.base import (
    Completion,
    DialogId,
    DialogReference,
    HeaderList,
    ProxyCompletion,
    ProxyOptions,
    Receiver,
    TransactionId,
)
from dracht.link.moving import fail, failed
from dracht.link.options import EngineOptions

__all__ = ["NativeLink"]

log = logging.getLogger("dracht")

# How many events one pass takes: enough for one wake per batch under load, few enough that a pass stays well below 10 ms.
_BATCH = 256
# How many written responses are kept for a failure that may follow, at least: as many as can be in flight for a moment.
_WRITTEN = 256
# An ACK, CANCEL or PRACK comes to the owner of its INVITE; there is nothing to ask for.
_NEVER_NEW = frozenset({"ack", "cancel", "prack"})
# Whether handlers run up to their first waiting when their request is handed on; else the loop begins them in its next turn.
_AT_ONCE = sys.version_info >= (3, 12)


class NativeLink:
    """A link to an engine in this process, which it starts and stops.

    Args:
        listen: `sip:HOST:PORT[;transport=udp,tcp]` each.
        control: `HOST:PORT` on which the engine accepts other applications.
        secret: what those authenticate with.
        options: see `dracht._core.Engine.start`.
    """

    def __init__(
        self,
        listen: Sequence[str],
        *,
        control: str | None = None,
        secret: str | None = None,
        **options: Unpack[EngineOptions],
    ) -> None:
        self._listen = list(listen)
        self._control = control
        self._secret = secret
        self._options = options
        self._engine: _core.Engine | None = None
        self._receiver: Receiver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._routes: dict[str, None] = {}
        self._commands: dict[int, Completion] = {}
        self._proxied: dict[int, ProxyCompletion] = {}
        self._moving: dict[int, asyncio.Future[Any]] = {}
        # The latest responses that were written here, and those before: the engine only speaks up when it did not send one.
        self._written: dict[int, Completion] = {}
        self._written_before: dict[int, Completion] = {}
        self._flushing = False
        self._hostports: list[str] = []
        self._waiter: asyncio.Task[None] | None = None

    # ---- how it is

    @property
    def name(self) -> str:
        """What it listens on."""
        return ", ".join(self._listen)

    @property
    def ready(self) -> bool:
        """Whether the engine runs."""
        return self._engine is not None

    @property
    def pending(self) -> int:
        """How many commands have not been completed."""
        return len(self._commands) + len(self._proxied) + len(self._moving)

    @property
    def hostports(self) -> list[str]:
        """The listeners as bound, `proto/host:port`."""
        return self._hostports

    @property
    def engine(self) -> _core.Engine:
        """The engine.

        Raises:
            ConnectionLost: it does not run.
        """
        if self._engine is None:
            raise ConnectionLost("the engine does not run")
        return self._engine

    # ---- starting and stopping

    async def open(self, receiver: Receiver, *, timeout: float) -> None:
        """Starts the engine.

        Raises:
            ValueError: an argument cannot be used.
            OSError: a listener cannot be opened.
        """
        loop = self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        options: dict[str, Any] = dict(self._options)
        engine = _core.Engine.start(self._listen, control=self._control, secret=self._secret, **options)
        self._engine = engine
        self._hostports = engine.hostports()[1]
        for method in self._routes:
            self._ask_route(method)
        engine.flush()
        try:
            loop.add_reader(engine.fileno(), self._pass)
        except NotImplementedError:
            # A loop that cannot watch descriptors (Windows): a thread waits, and wakes the loop once for a batch.
            self._waiter = asyncio.create_task(self._wait(engine))
        receiver.link_ready(self)

    async def close(self) -> None:
        """Stops the engine; what was answered before still goes out."""
        engine, loop = self._engine, self._loop
        if engine is None or loop is None:
            return
        engine.flush()
        if self._waiter is None:
            with contextlib.suppress(ValueError, NotImplementedError):
                loop.remove_reader(engine.fileno())
        await loop.run_in_executor(None, engine.stop)
        self._pass()
        self._engine = None
        if self._waiter is not None:
            await asyncio.gather(self._waiter, return_exceptions=True)
        error = ConnectionLost("the engine was stopped")
        commands, self._commands = self._commands, {}
        proxied, self._proxied = self._proxied, {}
        for completion in commands.values():
            completion.failed(error)
        for proxying in proxied.values():
            proxying.failed(error)
        moving, self._moving = self._moving, {}
        for future in moving.values():
            fail(future, error)
        if self._receiver is not None:
            self._receiver.link_lost(self, error)

    async def _wait(self, engine: _core.Engine) -> None:
        loop = asyncio.get_running_loop()
        while self._engine is engine:
            if await loop.run_in_executor(None, engine.wait, 0.5):
                self._pass()

    # ---- events

    def _pass(self) -> None:
        """Takes a batch of events, hands each on, and sends off the commands that were given meanwhile."""
        engine, receiver, loop = self._engine, self._receiver, self._loop
        if engine is None or receiver is None or loop is None:
            return
        # Commands of handlers that start at once go out at the end of this pass, and those of handlers and waiters that the loop
        # runs in its next turn behind them, together: not with a turn of the loop of their own.
        scheduled, self._flushing = self._flushing, True
        is_later = False
        events = engine.take(_BATCH)
        for event in events:
            try:
                self._event(event, receiver)
            except Exception:
                log.exception("an event could not be handled: %r", event)
            if not is_later:
                is_later = event[3].method != "ACK" and not _AT_ONCE if event[0] == 0 else True
        if is_later and not scheduled:
            loop.call_soon(self._flush)
        else:
            self._flushing = scheduled
        if _AT_ONCE or not is_later:
            engine.flush()
        if len(events) == _BATCH:
            loop.call_soon(self._pass)

    def _event(self, event: _core._Event, receiver: Receiver) -> None:
        if event[0] == EVENT_REQUEST:
            receiver.request_received(event[1], event[2], event[3], event[4])
        elif event[0] == EVENT_SENT:
            completion = self._commands.pop(event[1], None)
            if completion is not None:
                completion.sent(event[2], event[3], event[4], event[5])
        elif event[0] == EVENT_RESPONSE:
            receiver.response_received(event[1], event[2], event[3], event[4])
        elif event[0] == EVENT_PROXY_RESPONSE:
            self._proxied[event[1]].response(event[2], event[3], event[4])
        elif event[0] == EVENT_PROXY_DONE:
            self._proxied.pop(event[1]).done(event[2], event[3])
        elif event[0] == EVENT_FAILED:
            number = event[1]
            failing: Completion | ProxyCompletion | None
            failing = self._commands.pop(number, None) or self._proxied.pop(number, None)
            failing = failing or self._written.pop(number, None) or self._written_before.pop(number, None)
            if failing is not None:
                failing.failed(CommandFailed(event[2], event[3]))
            elif (future := self._moving.pop(number, None)) is not None:
                fail(future, CommandFailed(event[2], event[3]))
        elif event[0] == EVENT_EXPORTED or event[0] == EVENT_IMPORTED:
            future = self._moving.pop(event[1], None)
            if future is not None and not future.done():
                future.set_result(event[2])
        elif event[0] == EVENT_SUBSCRIPTION_ENDED:
            receiver.subscription_ended(event[1], event[2], event[3], event[4])
        else:
            receiver.dialog_ended(event[1], event[3], event[4])

    # ---- commands

    def _flush_soon(self) -> None:
        if not self._flushing and self._loop is not None:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._engine is not None:
            self._engine.flush()

    def route(self, method: str) -> None:
        """Asks for new requests of a method. Call detail records are not made by an embedded engine."""
        self._routes[method] = None
        if self._engine is not None:
            self._ask_route(method)
            self._flush_soon()

    def _ask_route(self, method: str) -> None:
        if method == "*":
            self.engine.route_all()
        elif method not in _NEVER_NEW and not method.startswith("cdr:"):
            self.engine.route(method.upper())

    def unroute(self, method: str) -> None:
        """Takes `route` back."""
        self._routes.pop(method, None)
        if self._engine is not None and method not in _NEVER_NEW and method != "*":
            self._engine.unroute(method.upper())
            self._flush_soon()

    def respond(
        self,
        transaction: TransactionId,
        request: _core.Message,
        status: int,
        reason: str,
        headers: HeaderList,
        body: bytes,
        completion: Completion,
    ) -> None:
        """Answers a request."""
        engine = self._engine
        if engine is None:
            completion.failed(ConnectionLost("the engine does not run"))
            return
        # Written here and now as a rule: waiting for the engine to say what it sent costs two thread switches.
        given = engine.respond(transaction, status, reason, headers, body, request)  # type: ignore[arg-type]
        if len(given) == 1:
            self._commands[given[0]] = completion
        elif given[1] is None:
            completion.failed(CommandFailed(given[2], given[3]))
            return
        else:
            written = self._written
            if len(written) >= _WRITTEN:
                # Both at once: taking the oldest of a dict off one by one costs a search for it.
                self._written_before = written
                written = self._written = {}
            written[given[0]] = completion
            completion.sent(transaction, given[2], given[1], given[3])
        if not self._flushing:
            self._flush_soon()

    def request(
        self,
        method: str,
        uri: str,
        headers: HeaderList,
        body: bytes,
        dialog: DialogReference | None,
        next_hop: str | None,
        completion: Completion,
    ) -> None:
        """Sends a request."""
        engine = self._engine
        if engine is None:
            completion.failed(ConnectionLost("the engine does not run"))
            return
        try:
            number = engine.send_request(method, uri, headers, body, dialog, next_hop)  # type: ignore[arg-type]
        except ValueError as error:
            completion.failed(CommandFailed("invalid-method", str(error)))
            return
        self._commands[number] = completion
        if not self._flushing:
            self._flush_soon()

    def cancel(self, transaction: TransactionId, headers: HeaderList, completion: Completion) -> None:
        """Cancels an INVITE."""
        engine = self._engine
        if engine is None:
            completion.failed(ConnectionLost("the engine does not run"))
            return
        self._commands[engine.cancel(transaction, headers)] = completion  # type: ignore[arg-type]
        self._flush_soon()

    def proxy(
        self,
        transaction: TransactionId,
        targets: Sequence[str],
        options: ProxyOptions,
        headers: HeaderList,
        completion: ProxyCompletion,
    ) -> None:
        """Proxies a request."""
        engine = self._engine
        if engine is None:
            completion.failed(ConnectionLost("the engine does not run"))
            return
        number = engine.proxy(
            transaction,  # type: ignore[arg-type]
            targets,
            record_route=options.record_route,
            path=options.path,
            forking=options.forking,
            follow_redirects=options.follow_redirects,
            provisional_timeout=options.provisional_timeout,
            final_timeout=options.final_timeout,
            stateless=options.stateless,
            report_responses=True,
            headers=headers,
        )
        self._proxied[number] = completion
        self._flush_soon()

    def cancel_proxy(self, transaction: TransactionId, status: int, reason: str | None) -> None:
        """Gives up a request that is being proxied."""
        if self._engine is not None:
            self._engine.cancel_proxy(transaction, status, reason)  # type: ignore[arg-type]
            self._flush_soon()

    def drop(self, transaction: TransactionId) -> None:
        """Forgets a request without an answer."""
        if self._engine is not None:
            self._engine.drop(transaction)  # type: ignore[arg-type]
            self._flush_soon()

    def export_dialog(self, dialog: DialogReference, release: bool) -> asyncio.Future[str]:
        """Asks for a dialog as a value."""
        if self._engine is None:
            return failed(ConnectionLost("the engine does not run"))
        return self._move(self._engine.export_dialog(dialog, release))  # type: ignore[arg-type]

    def import_dialog(self, value: str, age: float) -> asyncio.Future[DialogId]:
        """Takes a dialog over."""
        if self._engine is None:
            return failed(ConnectionLost("the engine does not run"))
        try:
            return self._move(self._engine.import_dialog(value, age))
        except ValueError as error:
            return failed(error)

    def _move(self, number: int) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._moving[number] = future
        self._flush_soon()
        return future
