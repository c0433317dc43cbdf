"""`Agent`: the low-level client. One handler for every request, requests of its own, over one link or several.

It routes, dispatches and gives each request a task; dialogs, middleware and policy are built on top of it. How it reaches
engines is `Links`, what it may ask of them `Requesting`; here is its life, and what it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, Unpack

from dracht.dialogid import DialogHandle
from dracht.dispatch import Dispatcher
from dracht.handler import TRY_LATER, Handler, cancelled, run
from dracht.link.base import CdrKind, DialogId, Link
from dracht.link.options import EngineOptions
from dracht.links import Links, TlsContext
from dracht.methodname import ROUTES, method_name
from dracht.notices import Cdr, SubscriptionEnd
from dracht.proxy import ProxyResult
from dracht.request import Request
from dracht.requesting import Requesting
from dracht.response import Response
from dracht.running import LinkOptions, check_link_options, from_environment, patient, run_loop, until_stopped
from dracht.transaction import ClientTransaction, IncomingResponse

if TYPE_CHECKING:
    from dracht._core import Message
    from dracht.calls import Calls

__all__ = [
    "Agent",
    "Cdr",
    "ClientTransaction",
    "IncomingResponse",
    "ProxyResult",
    "Request",
    "Response",
    "SubscriptionEnd",
]

log = logging.getLogger("dracht")


class Agent(Links, Requesting):
    """The low-level client of an engine.

    Args:
        handler: `async def handler(req, res)`, called for each request in a task of its own. It answers with `res.send`,
            `req.proxy` or `req.drop`; when it returns without, or raises, the request gets 500 (a `SipError` its status),
            and an error is logged. ACK, CANCEL and PRACK are not given to it unless it asked for them with `route`:
            an ACK completes `await sent.acked()`, a CANCEL raises `CallCancelled` in the handler of its INVITE, a PRACK
            completes `acked()` and gets 200.
    """

    def __init__(self, handler: Handler) -> None:
        if not callable(handler):
            raise TypeError("Agent takes a handler: async def handler(req, res)")
        super().__init__()
        self.handler = handler
        """The handler. It may be replaced at any time; requests that run go on with the old one."""
        self.state = SimpleNamespace()
        """Room for the application."""
        self.calls: Calls | None = None
        """The table of the calls it takes part in, kept up to date for whoever puts one here, as an `App` does."""
        self._running: set[Request] = set()
        self._cdr_hooks: list[Callable[[Cdr], None]] = []
        self._ready_hooks: list[Callable[[], None]] = []
        self._lost_hooks: list[Callable[[Exception], None]] = []
        self._subscription_hooks: list[Callable[[SubscriptionEnd], None]] = []
        self._draining = False
        self._stop: asyncio.Event | None = None

    # ---- what it wants to be told

    def route(self, *methods: str) -> Self:
        """Asks for new requests of these methods: `route("invite", "register")`; `"*"` for all.

        Requests within a dialog of ours come whether their method was asked for or not. Asking twice does nothing.

        Raises:
            TypeError, ValueError: one is no text, cannot be a method, or is nearly the name of a known one.
        """
        for name in [_route(method) for method in methods]:
            if name in self.routes:
                continue
            self.routes[name] = None
            for dispatcher in self._dispatchers:
                dispatcher.link.route(name)
        return self

    def unroute(self, *methods: str) -> Self:
        """Takes `route` back, for these methods."""
        for method in methods:
            name = _route(method)
            if name in self.routes:
                del self.routes[name]
                for dispatcher in self._dispatchers:
                    dispatcher.link.unroute(name)
        return self

    def on_cdr(self, hook: Callable[[Cdr], None]) -> Callable[[Cdr], None]:
        """Calls `hook(cdr)` for each call detail record of a server; also a decorator. An embedded engine gives none."""
        self._cdr_hooks.append(hook)
        self.route("cdr:attempt", "cdr:start", "cdr:stop")
        return hook

    def on_ready(self, hook: Callable[[], None]) -> Callable[[], None]:
        """Calls `hook()` whenever a link works (again); also a decorator."""
        self._ready_hooks.append(hook)
        return hook

    def on_lost(self, hook: Callable[[Exception], None]) -> Callable[[Exception], None]:
        """Calls `hook(error)` whenever a link is lost; also a decorator."""
        self._lost_hooks.append(hook)
        return hook

    def on_subscription_ended(
        self, hook: Callable[[SubscriptionEnd], None]
    ) -> Callable[[SubscriptionEnd], None]:
        """Calls `hook(end)` when the engine ended a subscription because its time was up; also a decorator.

        What a message ended the application has seen. Over a control connection nothing is said of it.
        """
        self._subscription_hooks.append(hook)
        return hook

    # ---- its life

    async def close(self) -> None:
        """Closes every link. What is awaited raises ConnectionLost; handlers that run are cancelled."""
        acceptors, self._acceptors = self._acceptors, []
        dispatchers, self._dispatchers = self._dispatchers, []
        tasks = [request._task for request in self._running if request._task is not None]
        current = asyncio.current_task()
        for task in tasks:
            if task is not current:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task is not current), return_exceptions=True)
        await self._close_links(dispatchers, acceptors)

    async def drain(self, timeout: float = 5.0) -> bool:
        """Answers new requests outside dialogs with 503 from now on, and waits until nothing is under way.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether everything ended in time.
        """
        self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                # What counts as idle changes in many places per call, and an event set in each would cost every call.
                while not self.idle:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        return self.idle

    @contextlib.asynccontextmanager
    async def serving(
        self,
        *,
        listen: str | Sequence[str] | None = None,
        connect: str | Sequence[str] | None = None,
        accept: str | None = None,
        secret: str | None = None,
        control: str | None = None,
        tls: TlsContext = None,
        tags: Sequence[str] = (),
        timeout: float = 10.0,
        retry: bool = False,
        shutdown_timeout: float = 5.0,
        **options: Unpack[EngineOptions],
    ) -> AsyncIterator[Self]:
        """Serves within a block: opens the links that are asked for, at least one, and drains and closes them at its end.

        Args:
            listen: start an engine in this process; see `listen`.
            connect: connect to servers; see `connect`.
            accept: `tcp://HOST:PORT` or `tls://HOST:PORT`: let servers connect to us, call by call.
            secret: of the servers, or (with `control`) of the engine.
            control: let other applications use the engine.
            tls: `Tls` for any of the three; `connect` and `accept` take an SSL context too.
            tags: labels of this application.
            timeout, retry: see `connect`.
            shutdown_timeout: how long what runs may take to end; seconds.
            options: for the engine.
        """
        links = {"connect": connect, "accept": accept, "secret": secret, "control": control}
        check_link_options({**links, "tls": tls, "tags": tags, "timeout": timeout, "retry": retry, **options})
        if listen is None and connect is None and accept is None:
            raise ValueError("give one of listen=, connect= and accept=")
        self._draining = False
        try:
            if listen is not None:
                # A context is for the other ways; whatever else it is, the listener says what it takes.
                own = None if isinstance(tls, ssl.SSLContext | bool) else tls
                await self.listen(listen, control=control, secret=secret, tls=own, **options)
            elif control is not None or options:
                raise ValueError(f"control= and {', '.join(options) or 'engine options'} need listen=")
            if connect is not None:
                await self.connect(
                    connect, secret=secret or "", tls=tls, tags=tags, timeout=timeout, retry=retry
                )
            if accept is not None:
                await self.accept(accept, secret=secret or "", tls=tls, tags=tags)
            yield self
            await self.drain(shutdown_timeout)
        finally:
            await self.close()

    def run(
        self,
        *,
        ready: Callable[[], None] | None = None,
        shutdown_timeout: float = 5.0,
        **options: Unpack[LinkOptions],
    ) -> None:
        """Serves until SIGINT or SIGTERM: `serving` with a loop of its own, and for servers that are not there yet, patience.

        Args:
            ready: called once it serves.
            shutdown_timeout: how long what runs may take to end; seconds. A second signal ends it at once.
            options: as `serving` takes them; without a link, DRACHT_LISTEN or DRACHT_CONNECT, and DRACHT_SECRET, say where.
        """
        complete = patient(from_environment(options))

        async def main() -> None:
            self._stop = asyncio.Event()
            serving = self.serving(**complete, shutdown_timeout=shutdown_timeout)
            await until_stopped(serving, self._stop, ready)

        run_loop(main())

    def stop(self) -> None:
        """Ends `run`: drains, closes, returns."""
        if self._stop is not None:
            self._stop.set()

    def find_dialog(self, call_id: str, local_tag: str, remote_tag: str) -> DialogHandle | None:
        """The dialog of a call that this agent takes part in, or that rings at somebody it has called (RFC 3891 §3).

        Answered calls are found where the agent keeps a table of them, as an `App`'s does (`calls`).
        """
        from dracht.replaces import find_dialog

        return find_dialog(self, call_id, local_tag, remote_tag)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: no handler runs, and no command, final response, ACK or PRACK is awaited."""
        return not self._running and all(dispatcher.idle for dispatcher in self._dispatchers)

    # ---- what dispatchers tell

    def _dispatcher(self, link: Link, loop: asyncio.AbstractEventLoop) -> Dispatcher:
        return Dispatcher(self, link, loop)

    def _handle(self, request: Request) -> None:
        if self._draining and request._dialog is None and not request.generated:
            request.res.send(503, headers=TRY_LATER)
            return
        self._running.add(request)
        handling = run(self.handler, request, self._running)
        task = _start(handling, request._dispatcher.loop, request.msg.method)
        if not task.done():
            request._task = task

    def _cancelled(self, request: Request) -> None:
        cancelled(request)

    def _link_ready(self, dispatcher: Dispatcher) -> None:
        for hook in self._ready_hooks:
            hook()

    def _link_lost(self, dispatcher: Dispatcher, error: Exception) -> None:
        for hook in self._lost_hooks:
            hook(error)

    def _subscription_ended(
        self, dispatcher: Dispatcher, dialog: DialogId, event: str, is_notifier: bool, reason: str
    ) -> None:
        end = SubscriptionEnd(DialogHandle(dispatcher, dialog), event, is_notifier, reason)
        for hook in self._subscription_hooks:
            try:
                hook(end)
            except Exception:
                log.exception("a hook of on_subscription_ended raised")

    def _cdr(self, kind: CdrKind, source: str, time: str, detail: str, message: Message) -> None:
        role, reason = (
            (detail or None) if kind == "start" else None,
            (detail or None) if kind == "stop" else None,
        )
        record = Cdr(kind, source, time, role, reason, message)
        for hook in self._cdr_hooks:
            try:
                hook(record)
            except Exception:
                log.exception("a hook of on_cdr raised")


def _route(method: str) -> str:
    """What is asked for, as links take it."""
    name = method.strip() if isinstance(method, str) else method
    return name.lower() if isinstance(name, str) and name.upper() in ROUTES else method_name(name).lower()


if sys.version_info >= (3, 12):

    def _start(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, name: str
    ) -> asyncio.Task[None]:
        # Most handlers answer without waiting; started at once, they end without the loop scheduling anything.
        return asyncio.Task(coroutine, loop=loop, name=name, eager_start=True)

else:

    def _start(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, name: str
    ) -> asyncio.Task[None]:
        return asyncio.Task(coroutine, loop=loop, name=name)
