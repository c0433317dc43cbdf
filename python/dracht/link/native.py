"""`NativeLink`: a link to an engine in this process, `dracht._core.Engine`.

The loop watches one descriptor, which becomes readable once for a batch of events; a pass takes a bounded number of them, so that
timers and other descriptors run in between; the commands given meanwhile go out with one wake of the engine. No threads here,
and no call into the loop from another one. What it can be asked for is in `native_commands`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterable, Sequence
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
from dracht.link.base import Completion, ProxyCompletion, Receiver
from dracht.link.moving import fail
from dracht.link.native_commands import NativeCommands
from dracht.link.options import EngineOptions, check_options
from dracht.tls import Tls

__all__ = ["NativeLink"]

log = logging.getLogger("dracht")

# How many events one pass takes: enough for one wake per batch under load, few enough that a pass stays well below 10 ms.
_BATCH = 256
# Whether handlers run up to their first waiting when their request is handed on; else the loop begins them in its next turn.
_AT_ONCE = sys.version_info >= (3, 12)


class NativeLink(NativeCommands):
    """A link to an engine in this process, which it starts and stops.

    Args:
        listen: `sip:HOST:PORT[;transport=udp,tcp]` each.
        control: `HOST:PORT` on which the engine accepts other applications.
        secret: what those authenticate with.
        tls: certificates and trust, for listeners of TLS and WSS.
        options: see `dracht._core.Engine.start`.

    Raises:
        TypeError: there is no such option, or it takes something else.
    """

    def __init__(
        self,
        listen: Sequence[str],
        *,
        control: str | None = None,
        secret: str | None = None,
        tls: Tls | None = None,
        **options: Unpack[EngineOptions],
    ) -> None:
        super().__init__()
        check_options({**options, "tls": tls})
        if isinstance(listen, str | bytes) or not isinstance(listen, Iterable):
            raise TypeError(f'listen= takes a text, as "sip:*:5060", or a list of them, not {listen!r}')
        self._listen = list(listen)
        if wrong := [one for one in self._listen if not isinstance(one, str)]:
            raise TypeError(
                f'listen= takes a text, as "sip:*:5060", or a list of them, not {wrong[0]!r} among them'
            )
        self._control = control
        self._secret = secret
        self._tls = tls
        self._options = options
        self._receiver: Receiver | None = None
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
        engine = _core.Engine.start(
            self._listen, control=self._control, secret=self._secret, tls=self._tls, **options
        )
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
