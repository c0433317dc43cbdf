"""`Links`: how an agent reaches engines. It opens links, or accepts them, and says which one a request of ours goes over."""

from __future__ import annotations

import asyncio
import logging
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self, TypeAlias, Unpack

from dracht.admission import network as find_network
from dracht.errors import ConnectionLost
from dracht.link.base import Link
from dracht.link.options import EngineOptions
from dracht.tls import Tls

if TYPE_CHECKING:
    from dracht.dispatch import Dispatcher
    from dracht.link.accept import Acceptor

__all__ = ["Links", "TlsContext"]

log = logging.getLogger("dracht")

TlsContext: TypeAlias = Tls | ssl.SSLContext | bool | None


class Links(ABC):
    """The part of an `Agent` that holds its links."""

    def __init__(self) -> None:
        self.routes: dict[str, None] = {}
        """The methods that were asked for, in lower case."""
        self._dispatchers: list[Dispatcher] = []
        self._acceptors: list[Acceptor] = []
        self._turn = 0

    @abstractmethod
    def _dispatcher(self, link: Link, loop: asyncio.AbstractEventLoop) -> Dispatcher:
        """Who receives what a link delivers."""

    # ---- opening and closing

    async def connect(
        self,
        target: str | Sequence[str] | None = None,
        *,
        host: str = "localhost",
        port: int = 9022,
        secret: str = "",
        tls: TlsContext = None,
        tags: Sequence[str] = (),
        timeout: float = 10.0,
        retry: bool = False,
    ) -> Self:
        """Connects to a server, or to several; returns when the first one is ready.

        A connection that is lost later comes back by itself, with its TLS and routes, after a jittered back-off.

        Args:
            target: `tcp://HOST:PORT` or `tls://HOST:PORT`, or several of them; `host` and `port` when None.
            secret: what the servers were started with.
            tls: `Tls`, an SSL context, or True for the system's authorities; implied by `tls://`. The server
                must prove its name, now and at every reconnection.
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
        tls: Tls | None = None,
        **options: Unpack[EngineOptions],
    ) -> Self:
        """Starts an engine in this process.

        Args:
            listen: `sip:HOST:PORT[;transport=udp,tcp]`, or several of them.
            control: `HOST:PORT` on which the engine accepts other applications.
            secret: what those authenticate with.
            tls: certificates and trust; listeners of TLS and WSS need it.
            options: see `dracht._core.Engine.start`.

        Raises:
            ValueError: an argument cannot be used.
            OSError: a listener cannot be opened.
        """
        from dracht.link.native import NativeLink

        listeners = [listen] if isinstance(listen, str) else listen
        await self._open([NativeLink(listeners, control=control, secret=secret, tls=tls, **options)], 10.0)
        return self

    async def attach(self, link: Link, *, timeout: float = 10.0) -> Self:
        """Opens a link of one's own making (`dracht.link.memory`, for tests)."""
        await self._open([link], timeout)
        return self

    async def _open(self, links: Sequence[Link], timeout: float) -> None:
        loop = asyncio.get_running_loop()
        opening: list[asyncio.Task[None]] = []
        for link in links:
            dispatcher = self._dispatcher(link, loop)
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

    async def accept(
        self, address: str, *, secret: str = "", tls: TlsContext = None, tags: Sequence[str] = ()
    ) -> Self:
        """Listens for servers that connect to us with the calls they want answered (drachtio's outbound mode).

        Args:
            address: `tcp://HOST:PORT` or `tls://HOST:PORT`.
            secret: what the servers were started with; a server that refuses it is disconnected.
            tls: `Tls` or an SSL context, with our certificate, for `tls://`.
        """
        from dracht.link.accept import AcceptedLink, Acceptor
        from dracht.link.base import Receiver

        loop = asyncio.get_running_loop()
        held: dict[AcceptedLink, Dispatcher] = {}

        def begin(link: AcceptedLink) -> tuple[Receiver, Callable[[], bool]]:
            dispatcher = held[link] = self._dispatcher(link, loop)
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

    # ---- keeping somebody out

    def ban(self, network: str, seconds: float = 3600.0) -> None:
        """Takes nothing from a network for so many seconds: no message, no connection; what it sends is dropped unread.

        The engines of all links do so. A drachtio-server knows no such thing: a warning is logged. What is banned is in
        `dracht status`.

        Args:
            network: an address, or a network as `192.0.2.0/24` or `2001:db8::/32`. `req.source[0]` is where a request came
                from. Over UDP that may be forged: ban for what a source has shown to be its own doing, as wrong passwords are.
            seconds: how long; banning again sets a new end.

        Raises:
            ValueError: it is no network, or no time.
        """
        name = find_network(network)
        if not 0 < seconds < 1e9:
            raise ValueError(f"seconds={seconds} is no time that a ban can last: more than 0")
        for dispatcher in self._dispatchers:
            dispatcher.link.ban(name, seconds)

    def unban(self, network: str) -> None:
        """Lifts a ban of exactly this network, also one that a filter began; ValueError for what is none."""
        name = find_network(network)
        for dispatcher in self._dispatchers:
            dispatcher.link.ban(name, None)

    async def _close_links(self, dispatchers: Sequence[Dispatcher], acceptors: Sequence[Acceptor]) -> None:
        for dispatcher in dispatchers:
            await dispatcher.link.close()
        for acceptor in acceptors:
            await acceptor.close()

    # ---- which one

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

    # ---- how they are

    @property
    def is_open(self) -> bool:
        """Whether it has links, and does not close."""
        return bool(self._dispatchers)

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
    def links(self) -> list[Link]:
        """Its links."""
        return [dispatcher.link for dispatcher in self._dispatchers]


def _logged(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("a server could not be connected: %s", error)
