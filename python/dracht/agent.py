"""`Agent`: the low-level client. One handler for every request, requests of its own, over one link or several.

It routes, dispatches and gives each request a task; dialogs, middleware and policy are built on top of it.
It is above 400 lines for its docstrings: what an application may ask of an engine stands in one class.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias, Unpack

from dracht.dialogid import DialogHandle
from dracht.digest import Credentials
from dracht.dispatch import Dispatcher
from dracht.errors import ConnectionLost
from dracht.handler import TRY_LATER, Handler, cancelled, run
from dracht.link.base import CdrKind, DialogId, DialogReference, Link
from dracht.link.options import EngineOptions
from dracht.message import Body, HeadersInput, body_bytes, header_list
from dracht.moving import export_dialog, import_dialog
from dracht.proxy import ProxyResult
from dracht.request import Request
from dracht.response import Response
from dracht.running import LinkOptions, from_environment, patient, run_loop, until_stopped
from dracht.transaction import ClientTransaction, IncomingResponse

if TYPE_CHECKING:
    from dracht._core import Message, Uri
    from dracht.calls import Calls
    from dracht.link.accept import Acceptor
    from dracht.publication import Publication
    from dracht.referral import Referral
    from dracht.subscription import Subscription

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

Tls: TypeAlias = ssl.SSLContext | bool | None
Dialog: TypeAlias = DialogHandle | tuple[str, str]


class Cdr(NamedTuple):
    """A call detail record, as a server gives it over a control connection."""

    kind: CdrKind
    """`attempt`, `start` or `stop`."""
    source: str
    """`network` or `application`: where the message came from."""
    time: str
    """The server's time of day, UTC: `HH:MM:SS.uuuuuu`."""
    role: str | None
    """Of a start: `uac`, `uas`, `proxy-uac` or `proxy-uas`."""
    reason: str | None
    """Of a stop: `call-rejected`, `call-canceled`, `normal-release`, `session-expired`, ..."""
    msg: Message
    """The INVITE, its 200, or the message that ended the attempt or the call."""


class SubscriptionEnd(NamedTuple):
    """The end of a subscription for want of a message (RFC 6665 §4.1.2.4, §4.2.2)."""

    dialog: DialogHandle
    """The dialog it was in; it is over as well if it was for nothing else."""
    event: str
    """The event package, with `;id=` where there is one; of a REFER `refer;id=` and its CSeq number."""
    is_notifier: bool
    """Whether this side was the one who notifies; the engine has sent the last NOTIFY then."""
    reason: str
    """`expired`: nobody refreshed it; `no-notify`: no NOTIFY came, or was sent after a REFER was accepted, in time."""


class Agent:
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
        self.handler = handler
        """The handler. It may be replaced at any time; requests that run go on with the old one."""
        self.routes: dict[str, None] = {}
        """The methods that were asked for, in lower case."""
        self.state = SimpleNamespace()
        """Room for the application."""
        self.calls: Calls | None = None
        """The table of the calls it takes part in, kept up to date for whoever puts one here, as an `App` does."""
        self._dispatchers: list[Dispatcher] = []
        self._acceptors: list[Acceptor] = []
        self._running: set[Request] = set()
        self._turn = 0
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
        """
        for method in methods:
            name = method.strip().lower()
            if not name:
                raise ValueError("route() takes the name of a method")
            if name in self.routes:
                continue
            self.routes[name] = None
            for dispatcher in self._dispatchers:
                dispatcher.link.route(name)
        return self

    def unroute(self, *methods: str) -> Self:
        """Takes `route` back, for these methods."""
        for method in methods:
            name = method.strip().lower()
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

    # ---- links

    async def connect(
        self,
        target: str | Sequence[str] | None = None,
        *,
        host: str = "localhost",
        port: int = 9022,
        secret: str = "",
        tls: Tls = None,
        tags: Sequence[str] = (),
        timeout: float = 10.0,
        retry: bool = False,
    ) -> Self:
        """Connects to a server, or to several; returns when the first one is ready.

        A connection that is lost later comes back by itself, with its TLS and routes, after a jittered back-off.

        Args:
            target: `tcp://HOST:PORT` or `tls://HOST:PORT`, or several of them; `host` and `port` when None.
            secret: what the servers were started with.
            tls: an SSL context, or True for the system's; implied by `tls://`.
            tags: labels of this application, for a server that routes by tag.
            timeout: seconds until the first one must be ready.
            retry: keep trying for that long, instead of failing when no server is there.

        Raises:
            ConnectionLost: none could be reached.
            AuthenticationFailed: the secret was refused.
            ValueError: a target cannot be read.
        """
        from dracht.link.control import ControlLink

        if target is None:
            target = f"{'tls' if tls else 'tcp'}://{f'[{host}]' if ':' in host else host}:{port}"
        targets = [target] if isinstance(target, str) else list(target)
        # One of several may be down while the first answers; it joins when it is back.
        again = retry or len(targets) > 1
        links = [ControlLink(one, secret=secret, tls=tls, tags=tags, retry=again) for one in targets]
        await self._open(links, timeout)
        return self

    async def listen(
        self,
        listen: str | Sequence[str],
        *,
        control: str | None = None,
        secret: str | None = None,
        **options: Unpack[EngineOptions],
    ) -> Self:
        """Starts an engine in this process.

        Args:
            listen: `sip:HOST:PORT[;transport=udp,tcp]`, or several of them.
            control: `HOST:PORT` on which the engine accepts other applications.
            secret: what those authenticate with.
            options: see `dracht._core.Engine.start`.

        Raises:
            ValueError: an argument cannot be used.
            OSError: a listener cannot be opened.
        """
        from dracht.link.native import NativeLink

        listeners = [listen] if isinstance(listen, str) else list(listen)
        await self._open([NativeLink(listeners, control=control, secret=secret, **options)], 10.0)
        return self

    async def attach(self, link: Link, *, timeout: float = 10.0) -> Self:
        """Opens a link of one's own making (`dracht.link.memory`, for tests)."""
        await self._open([link], timeout)
        return self

    async def _open(self, links: Sequence[Link], timeout: float) -> None:
        loop = asyncio.get_running_loop()
        opening: list[asyncio.Task[None]] = []
        for link in links:
            dispatcher = Dispatcher(self, link, loop)
            self._dispatchers.append(dispatcher)
            for method in self.routes:
                link.route(method)
            opening.append(asyncio.create_task(link.open(dispatcher, timeout=timeout)))
        error: BaseException | None = None
        try:
            left = set(opening)
            while left:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    error = one.exception()
                    if error is None:
                        # The others go on by themselves; what becomes of them is in the log.
                        for other in left:
                            other.add_done_callback(_logged)
                        return
        except asyncio.CancelledError as cancellation:
            error = cancellation
        for task in opening:
            task.cancel()
        for link in links:
            await link.close()
        self._dispatchers = [held for held in self._dispatchers if held.link not in links]
        raise error if error is not None else ConnectionLost("no server was given")

    @property
    def is_open(self) -> bool:
        """Whether it has links, and does not close."""
        return bool(self._dispatchers)

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
        for dispatcher in dispatchers:
            await dispatcher.link.close()
        for acceptor in acceptors:
            await acceptor.close()

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
        tls: Tls = None,
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
            tls: SSL context for `connect` and `accept`.
            tags: labels of this application.
            timeout, retry: see `connect`.
            shutdown_timeout: how long what runs may take to end; seconds.
            options: for the engine.
        """
        if listen is None and connect is None and accept is None:
            raise ValueError("give one of listen=, connect= and accept=")
        self._draining = False
        try:
            if listen is not None:
                await self.listen(listen, control=control, secret=secret, **options)
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

    async def accept(
        self, address: str, *, secret: str = "", tls: Tls = None, tags: Sequence[str] = ()
    ) -> Self:
        """Listens for servers that connect to us with the calls they want answered (drachtio's outbound mode).

        Args:
            address: `tcp://HOST:PORT` or `tls://HOST:PORT`.
            secret: what the servers were started with; a server that refuses it is disconnected.
            tls: the SSL context with our certificate, for `tls://`.
        """
        from dracht.link.accept import AcceptedLink, Acceptor
        from dracht.link.base import Receiver

        loop = asyncio.get_running_loop()
        held: dict[AcceptedLink, Dispatcher] = {}

        def begin(link: AcceptedLink) -> tuple[Receiver, Callable[[], bool]]:
            dispatcher = held[link] = Dispatcher(self, link, loop)
            self._dispatchers.append(dispatcher)
            return dispatcher, lambda: dispatcher.idle and not dispatcher.established

        def end(link: AcceptedLink) -> None:
            dispatcher = held.pop(link)
            if dispatcher in self._dispatchers:
                self._dispatchers.remove(dispatcher)

        acceptor = Acceptor(address, secret=secret, tls=tls, tags=tags, begin=begin, end=end)
        await acceptor.open()
        self._acceptors.append(acceptor)
        return self

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

    # ---- requests of ours

    async def request(
        self,
        uri: str | Uri | None = None,
        method: str = "OPTIONS",
        *,
        headers: HeadersInput | None = None,
        body: Body | None = None,
        auth: Credentials | None = None,
        dialog: Dialog | None = None,
        next_hop: str | None = None,
        timeout: float | None = None,
        keep_forks: bool = False,
        retry_glare: bool = True,
        retry_interval: bool = True,
    ) -> ClientTransaction:
        """Sends a request, outside a dialog or within one; returns once it is on the wire.

        Args:
            uri: the request-URI; within a dialog its remote target when None.
            method: the method.
            headers: header fields to add. From, To, Call-ID, CSeq, Contact and Max-Forwards given here are used.
            body: the body; text is sent as UTF-8. The Content-Type of an SDP body is added.
            auth: user name and password, a `Digest`, a `Keyring`, a mapping from realm to one of these, or a function of the
                realm: the challenges of every realm for which there are credentials are answered. A `Digest` or `Keyring`
                that is given again uses nonces again, so that the next request is not challenged.
            dialog: `req.dialog_id` or `res.dialog_id`, or (Call-ID, From tag of the request that created the dialog).
            next_hop: a URI to send to instead of the request-URI.
            timeout: seconds until the final response. After that an INVITE is cancelled, and `RequestTimeout` raised.
                An engine gives up by itself (408) 32 s after a request without any response.
            keep_forks: give each further 2xx of a forked INVITE to `next_fork`, as a call of its own to acknowledge and end
                (RFC 3261 §13.2.2.4). The agent ends them otherwise.
            retry_glare: send a re-INVITE or UPDATE again after a 491, as RFC 3261 §14.1 says: after 2.1 to 4 s when the dialog
                began with a request of ours, else after at most 2 s.
            retry_interval: send it again with the interval that a 422 (RFC 4028 §7.3) or 423 (RFC 3261 §10.2.8) asks for.

        However often it is sent, it is one request with one final response; `attempts` says what was sent and why.

        Cancelling the task that awaits this, or the transaction's responses, sends CANCEL for an INVITE.

        Raises:
            ConnectionLost: there is no connection to an engine.
            CommandFailed: it could not be sent: `invalid-uri`, `no-transport`, `unknown-dialog`, ...
            HeaderError: a header field cannot be sent.
            RequestTimeout: it was not even on the wire in time.
        """
        name = method.upper()
        if uri is None and dialog is None:
            raise ValueError("a request outside a dialog needs a URI")
        if name == "CANCEL" or (name == "ACK" and dialog is None):
            raise ValueError(f"{name} belongs to an INVITE: use transaction.cancel() or response.ack()")
        dispatcher, reference = self._way(dialog)
        target = "" if uri is None else str(uri)
        transaction = ClientTransaction(
            dispatcher,
            name,
            target,
            header_list(headers),
            body_bytes(body),
            dialog=reference,
            next_hop=next_hop,
            auth=auth,
            timeout=timeout,
            keep_forks=keep_forks,
            retry_glare=retry_glare,
            retry_interval=retry_interval,
        )
        return await transaction.start()

    # ---- dialogs that move between engines

    async def export_dialog(self, dialog: Dialog, *, release: bool = False) -> str:
        """Gives a confirmed dialog as a small, versioned value that another engine can take over.

        The value (JSON) holds what later requests need: tags, route set, target, sequence numbers, session description. A request
        that is under way while it is made does not move with it.

        Args:
            dialog: `req.dialog_id` or `res.dialog_id`, or (Call-ID, From tag of the request that created the dialog).
            release: forget it here, without a word to the peer: somebody else goes on with it.

        Raises:
            CommandFailed: `unknown-dialog`, `early-dialog`; `unsupported` by a server that is not dracht's.
            ConnectionLost: the connection to the engine is gone.
        """
        dispatcher, reference = self._way(dialog)
        if reference is None:
            raise ValueError("export_dialog() takes a dialog")
        return await export_dialog(dispatcher, reference, release=release)

    async def import_dialog(self, value: str, *, age: float = 0.0) -> DialogHandle:
        """Takes over a dialog that another engine exported: from now on its requests come here, and ours can be sent in it.

        Args:
            value: what `export_dialog` gave. It is checked as any input is.
            age: how long ago that was; seconds. Deadlines have come nearer by it.

        Raises:
            ValueError: the value cannot be used, or a later release wrote it; or `age` is negative or above a year.
            CommandFailed: `dialog-exists`, `no-transport` (no listener reaches the peer), `limit`; `unsupported` as above.
            ConnectionLost: there is no connection to an engine.
        """
        return await import_dialog(self._pick(), value, age=age)

    def subscribe(
        self,
        uri: str | Uri | None = None,
        *,
        event: str,
        expires: int = 3600,
        headers: HeadersInput | None = None,
        body: Body | None = None,
        auth: Credentials | None = None,
        dialog: Dialog | None = None,
        next_hop: str | None = None,
        retry: bool = False,
        backlog: int = 100,
    ) -> Subscription:
        """Subscribes to events (RFC 6665), and keeps the subscription refreshed: await the result, or `async with` it.

        Args:
            uri: whose events; within a dialog its remote target when None.
            event: the event package, with `;id=` where there are several: `presence`.
            expires: for how long at a time; seconds. It is refreshed at about nine tenths of what was granted.
            headers: header fields to add to each SUBSCRIBE: Accept.
            body: a filter, with its Content-Type among the headers.
            auth: user name and password, or a `Digest`.
            dialog: of a call, to share (RFC 5057).
            next_hop: a URI to send to instead of `uri`.
            retry: subscribe again when the notifier ends it and RFC 6665 §4.1.3 allows that. The first SUBSCRIBE is not retried.
            backlog: how many notifications wait for being read; the oldest are left out beyond that.

        Raises:
            RequestRefused: awaited: the notifier does not want to.
            RequestTimeout, CommandFailed, ConnectionLost: awaited: it could not be asked.
        """
        from dracht.subscription import Subscription

        if uri is None and dialog is None:
            raise ValueError("a SUBSCRIBE outside a dialog needs a URI")
        if retry and dialog is not None:
            raise ValueError("retry= begins a new dialog each time; it cannot go with dialog=")
        return Subscription(
            lambda: self._way(dialog),
            "" if uri is None else str(uri),
            event,
            expires=expires,
            headers=headers,
            body=body,
            auth=auth,
            next_hop=next_hop,
            retry=retry,
            backlog=backlog,
        )

    def refer(
        self,
        uri: str | Uri | None = None,
        *,
        refer_to: str | Uri,
        dialog: Dialog | None = None,
        headers: HeadersInput | None = None,
        subscribe: bool = True,
        auth: Credentials | None = None,
        next_hop: str | None = None,
    ) -> Referral:
        """Asks another party to call somebody (RFC 3515): await the result, or `async with` it, then follow it.

        Args:
            uri: whom to ask; within a dialog its remote target when None.
            refer_to: whom to call; for an attended transfer with the call to replace,
                `sip:carol@example.com?Replaces=...` (RFC 3891, escaped).
            dialog: of the call to transfer.
            headers: header fields to add: Referred-By (RFC 3892).
            subscribe: False asks for no report (RFC 4488); the recipient may report all the same.
            auth: user name and password, or a `Digest`.
            next_hop: a URI to send to instead of `uri`.

        Raises:
            RequestRefused: awaited: the recipient does not want to.
            RequestTimeout, CommandFailed, ConnectionLost: awaited: it could not be asked.
        """
        from dracht.referral import Referral

        if uri is None and dialog is None:
            raise ValueError("a REFER outside a dialog needs a URI")
        dispatcher, reference = self._way(dialog)
        return Referral(
            dispatcher,
            reference,
            "" if uri is None else str(uri),
            str(refer_to),
            headers=headers,
            subscribe=subscribe,
            auth=auth,
            next_hop=next_hop,
        )

    def publish(
        self,
        uri: str | Uri,
        body: Body,
        *,
        event: str,
        content_type: str,
        expires: int = 3600,
        headers: HeadersInput | None = None,
        auth: Credentials | None = None,
        next_hop: str | None = None,
    ) -> Publication:
        """Publishes event state (RFC 3903), and keeps it published: await the result, or `async with` it.

        Args:
            uri: whose state.
            body: the state.
            event: the event package.
            content_type: of the body.
            expires: for how long at a time; seconds. It is refreshed at about nine tenths of what was granted.
            headers: header fields to add to each PUBLISH.
            auth: user name and password, or a `Digest`.
            next_hop: a URI to send to instead of `uri`.

        Raises:
            RequestRefused: awaited: the compositor does not want it.
            RequestTimeout, CommandFailed, ConnectionLost: awaited: it could not be asked.
        """
        from dracht.publication import Publication

        return Publication(
            self._pick,
            str(uri),
            event,
            body,
            content_type=content_type,
            expires=expires,
            headers=headers,
            auth=auth,
            next_hop=next_hop,
        )

    def find_dialog(self, call_id: str, local_tag: str, remote_tag: str) -> DialogHandle | None:
        """The dialog of a call that this agent takes part in, or that rings at somebody it has called (RFC 3891 §3).

        Answered calls are found where the agent keeps a table of them, as an `App`'s does (`calls`).
        """
        from dracht.replaces import find_dialog

        return find_dialog(self, call_id, local_tag, remote_tag)

    def _way(self, dialog: Dialog | None) -> tuple[Dispatcher, DialogReference | None]:
        if isinstance(dialog, DialogHandle):
            return dialog.dispatcher, dialog.reference
        return self._pick(), dialog

    def _pick(self) -> Dispatcher:
        """The next dispatcher whose link is ready."""
        count = len(self._dispatchers)
        for step in range(count):
            at = (self._turn + step) % count
            if self._dispatchers[at].link.ready:
                self._turn = at + 1
                return self._dispatchers[at]
        if not count:
            raise ConnectionLost("the agent has no link: await connect() or listen() first")
        raise self._dispatchers[0].lost_error()

    # ---- how it is

    @property
    def connected(self) -> bool:
        """Whether a link is ready."""
        return any(dispatcher.link.ready for dispatcher in self._dispatchers)

    @property
    def hostports(self) -> list[str]:
        """Where the engines listen, as `proto/host:port`."""
        return [one for dispatcher in self._dispatchers for one in dispatcher.link.hostports]

    @property
    def accepting(self) -> list[str]:
        """Where servers may connect to us (`accept`), as `tcp://HOST:PORT` with the port filled in."""
        return [acceptor.address for acceptor in self._acceptors]

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: no handler runs, and no command, final response, ACK or PRACK is awaited."""
        return not self._running and all(dispatcher.idle for dispatcher in self._dispatchers)

    @property
    def links(self) -> list[Link]:
        """Its links."""
        return [dispatcher.link for dispatcher in self._dispatchers]

    # ---- what dispatchers tell

    def _handle(self, request: Request) -> None:
        if self._draining and request._dialog is None and not request.generated:
            request.res.send(503, headers=TRY_LATER)
            return
        self._running.add(request)
        handling = run(self.handler, request, self._running)
        request._task = _start(handling, request._dispatcher.loop, request.msg.method)

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


def _logged(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("a server could not be connected: %s", error)
