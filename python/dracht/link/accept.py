"""`Acceptor`: lets servers connect to us, one connection for each request they want answered (drachtio's outbound mode).

We speak first: authenticate, and the request follows. The server never closes such a connection; it is closed here once nothing
has happened on it for a while, no call of it lasts, and nothing is awaited.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence

from dracht.errors import ConnectionLost
from dracht.linelimit import LineLimit
from dracht.link.base import Receiver
from dracht.link.carrier import ConnectionLink
from dracht.link.connection import ControlConnection
from dracht.link.wire import Target
from dracht.tls import Tls

__all__ = ["AcceptedLink", "Acceptor"]

log = logging.getLogger("dracht.control")

# How many connections may be open, how long a server may take to answer our authentication, how often idle ones are looked
# for, and how long one must have been idle: longer than the ACK of a 2xx may take (64*T1). Seconds.
_MAX_CONNECTIONS = 10_000
_AUTHENTICATION = 10.0
_ROUND = 5.0
_IDLE = 40.0


class AcceptedLink(ConnectionLink):
    """The link of one connection that a server opened. It never comes back."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.idle_since: float | None = None

    @property
    def name(self) -> str:
        """Who connected."""
        return self._name

    async def open(self, receiver: Receiver, *, timeout: float) -> None:
        """It is open from its beginning."""

    def begin(self, connection: ControlConnection) -> None:
        """The connection it lives on."""
        self._connection = connection

    async def close(self) -> None:
        """Closes the connection."""
        connection = self._connection
        if connection is not None:
            await connection.leave()

    def route(self, method: str) -> None:
        """Nothing: the server sends what it connected for."""

    def unroute(self, method: str) -> None:
        """Nothing."""


class Acceptor:
    """Listens for servers.

    Args:
        address: `tcp://HOST:PORT` or `tls://HOST:PORT`; port 0 takes a free one.
        secret: what the servers were started with.
        tls: `Tls` or an SSL context, with our certificate; required for `tls://`.
        tags: labels of this application.
        begin: called with the link of a new connection; gives its receiver, and what says whether it is idle.
        end: called with the link when its connection is gone.
    """

    def __init__(
        self,
        address: str,
        *,
        secret: str,
        tls: Tls | ssl.SSLContext | bool | None,
        tags: Sequence[str],
        begin: Callable[[AcceptedLink], tuple[Receiver, Callable[[], bool]]],
        end: Callable[[AcceptedLink], None],
    ) -> None:
        target = Target.parse(address)
        if target.secure and not isinstance(tls, Tls | ssl.SSLContext):
            raise ValueError("accepting tls:// needs tls=: Tls or an ssl.SSLContext, with our certificate")
        self._target = target
        self._secret = secret
        self._files = tls if isinstance(tls, Tls) and target.secure else None
        if isinstance(tls, Tls):
            tls = tls.server_context() if target.secure else None
        self._tls = tls if isinstance(tls, ssl.SSLContext) else None
        self._tags = tags
        self._begin = begin
        self._end = end
        self._server: asyncio.Server | None = None
        self._serving: dict[AcceptedLink, tuple[ControlConnection, Callable[[], bool]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._rounds: list[asyncio.Task[None]] = []
        self._told = LineLimit()

    @property
    def address(self) -> str:
        """Where it listens, the port filled in."""
        port = (
            self._server.sockets[0].getsockname()[1]
            if self._server and self._server.sockets
            else self._target.port
        )
        return str(self._target._replace(port=port))

    async def open(self) -> None:
        """Begins to listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._connection, self._target.host, self._target.port, ssl=self._tls
            )
        except socket.gaierror as error:
            raise OSError(
                f"accept={self._target.host!r}: {error.strerror}; give an address of this machine, as tcp://0.0.0.0:9022"
            ) from None
        self._rounds = [asyncio.create_task(self._look_for_idle())]
        if self._files is not None and self._tls is not None and self._files.reload_interval:
            self._rounds.append(asyncio.create_task(self._renew(self._files, self._tls)))

    async def close(self) -> None:
        """Stops listening. Its links are closed by who holds them."""
        for task in self._rounds:
            task.cancel()
        await asyncio.gather(*self._rounds, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connection(self) -> ControlConnection:
        link = AcceptedLink(f"a server at {self._target}")
        receiver, idle = self._begin(link)
        connection = ControlConnection(link.name, self._secret, self._tags, receiver)
        link.begin(connection)
        self._serving[link] = (connection, idle)
        task = asyncio.create_task(self._watch(link, connection, receiver))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return connection

    async def _watch(self, link: AcceptedLink, connection: ControlConnection, receiver: Receiver) -> None:
        """From the connection's first moment to its last."""
        try:
            if len(self._serving) > _MAX_CONNECTIONS:
                await asyncio.sleep(0)
                self._tell(connection.peer, f"{_MAX_CONNECTIONS:,} connections are open, no more are taken")
                connection.fail(ConnectionLost("too many connections"))
                return
            try:
                async with asyncio.timeout(_AUTHENTICATION):
                    await asyncio.shield(connection.authenticated)
            except (ConnectionLost, TimeoutError) as error:
                self._tell(connection.peer, str(error) or "it gave no answer to our secret")
                return
            await asyncio.shield(connection.closed)
        finally:
            connection.fail(ConnectionLost("the connection was closed"))
            del self._serving[link]
            receiver.link_lost(link, connection.error or ConnectionLost("the connection is gone"))
            self._end(link)

    def _tell(self, peer: str, why: str) -> None:
        """Whoever can connect can cause such a line."""
        suppressed = self._told.allow()
        if suppressed is None:
            return
        log.warning(
            "what connected from %s did not let us in: %s; %d such lines suppressed", peer, why, suppressed
        )

    async def _renew(self, files: Tls, context: ssl.SSLContext) -> None:
        """Looks at the files of our certificate now and then; new connections are shown what is in them."""
        seen = files.file_times()
        while True:
            await asyncio.sleep(files.reload_interval)
            times = files.file_times()
            if times == seen:
                continue
            seen = times
            try:
                files.renew(context)
            except (OSError, ValueError) as error:
                log.error(
                    "the certificate for %s cannot be used, the former one stays: %s", self.address, error
                )
            else:
                log.info("a new certificate is shown at %s", self.address)

    async def _look_for_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_ROUND)
            now = loop.time()
            for link, (connection, idle) in list(self._serving.items()):
                if not idle():
                    link.idle_since = None
                elif link.idle_since is None:
                    link.idle_since = now
                elif now - link.idle_since > _IDLE:
                    connection.close()
