"""`ControlLink`: a link to a server over the control protocol, by TCP or TLS, that comes back when it is lost.

The protocol itself is `connection`'s. This keeps one connection open: it connects, asks for routes, looks for signs of life, and
begins again after a back-off, with the same TLS and the same routes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Sequence
from math import isinf

from dracht.errors import AuthenticationFailed, ConnectionLost, DrachtError
from dracht.link.backoff import Backoff
from dracht.link.base import Receiver
from dracht.link.carrier import ConnectionLink
from dracht.link.connection import ControlConnection
from dracht.link.wire import Target
from dracht.tls import Tls

__all__ = ["ControlLink"]

log = logging.getLogger("dracht.control")

# The protocol has no word for "every method"; these are what a server gives to applications outside dialogs.
EVERY_METHOD = ("invite", "register", "options", "message", "info", "notify", "subscribe", "publish", "refer")
# How long one attempt may take, and how long a connection must have lasted for the back-off to begin anew; seconds.
_ATTEMPT = 5.0
_STABLE = 5.0


def _verbs(method: str) -> Sequence[str]:
    return EVERY_METHOD if method == "*" else (method,)


def _hint(error: Exception) -> str:
    is_refused = isinstance(error, ConnectionRefusedError)
    return ": nobody listens there; `dracht serve` starts a server" if is_refused else ""


class ControlLink(ConnectionLink):
    """A link to one server.

    Args:
        target: `tcp://HOST:PORT` or `tls://HOST:PORT`.
        secret: what the server was started with.
        tls: `Tls`, an SSL context, or True for the system's; implied by `tls://`.
        tags: labels of this application.
        retry: whether `open` keeps trying when there is no server yet.
        ping_interval: how often to ask for a sign of life; without one between two, the connection is given up; seconds.
        backoff: the delays between attempts.
    """

    def __init__(
        self,
        target: str,
        *,
        secret: str = "",
        tls: Tls | ssl.SSLContext | bool | None = None,
        tags: Sequence[str] = (),
        retry: bool = False,
        ping_interval: float = 15.0,
        backoff: Backoff | None = None,
    ) -> None:
        self._target = Target.parse(target)
        if self._target.secure or tls:
            self._target = self._target._replace(secure=True)
        if any(sign in secret + ",".join(tags) for sign in "|\r\n"):
            raise ValueError(
                "a secret or a tag must not hold `|` or a line break: the protocol has no way to send it"
            )
        self._secret = secret
        self._tls = self._target.context(tls)
        self._tags = tuple(tags)
        self._retry = retry
        self._ping_interval = ping_interval
        self._backoff = backoff or Backoff()
        self._routes: dict[str, None] = {}
        super().__init__()
        self._receiver: Receiver | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Where it leads: `tcp://127.0.0.1:9022`."""
        return str(self._target)

    # ---- opening, keeping, closing

    async def open(self, receiver: Receiver, *, timeout: float) -> None:
        """Connects, within `timeout` seconds; with `retry` it goes on trying after that, until it is closed.

        Raises:
            ConnectionLost: there is no server there.
            AuthenticationFailed: it refused the secret.
        """
        self._receiver = receiver
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(opened))
        try:
            async with asyncio.timeout(None if isinf(timeout) else timeout):
                await asyncio.shield(opened)
        except TimeoutError:
            opened.cancel()
            if not self._retry:
                await self.close()
            raise ConnectionLost(f"{self.name} was not reached within {timeout:g} s") from None

    async def close(self) -> None:
        """Closes it for good."""
        keeper, self._keeper = self._keeper, None
        connection = self._connection
        if connection is not None:
            await connection.leave()
        if keeper is not None and keeper is not asyncio.current_task():
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _keep(self, opened: asyncio.Future[None]) -> None:
        """Connects and reconnects, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection = await self._connect()
            except (DrachtError, OSError, TimeoutError) as error:
                refused = isinstance(error, AuthenticationFailed)
                if not opened.done() and (refused or not self._retry):
                    opened.set_exception(
                        error
                        if refused
                        else ConnectionLost(f"{self.name} cannot be reached: {error}{_hint(error)}")
                    )
                    return
                delay = self._backoff.next()
                log.log(
                    logging.ERROR
                    if refused
                    else logging.WARNING
                    if self._backoff.attempt == 1
                    else logging.INFO,
                    "%s cannot be reached (%s); next attempt in %.2f s",
                    self.name,
                    f"{error or type(error).__name__}{_hint(error)}",
                    delay,
                )
            else:
                since = loop.time()
                await self._serve(connection, opened)
                if loop.time() - since >= _STABLE:
                    self._backoff.reset()
                if self._keeper is None:
                    return
                delay = self._backoff.next()
                log.warning("%s; reconnecting in %.2f s", connection.error, delay)
            await asyncio.sleep(delay)

    async def _connect(self) -> ControlConnection:
        """One attempt: a connection that let us in."""
        receiver = self._receiver
        if receiver is None:
            raise DrachtError("a link connects after it was opened")
        loop = asyncio.get_running_loop()
        connection: ControlConnection | None = None
        try:
            async with asyncio.timeout(_ATTEMPT):
                _, connection = await loop.create_connection(
                    lambda: ControlConnection(self.name, self._secret, self._tags, receiver),
                    self._target.host,
                    self._target.port,
                    ssl=self._tls,
                )
                await connection.authenticated
        except BaseException:
            if connection is not None:
                connection.fail(ConnectionLost(f"{self.name} did not let us in in time"))
                if connection.authenticated.done() and not connection.authenticated.cancelled():
                    connection.authenticated.exception()
            raise
        return connection

    async def _serve(self, connection: ControlConnection, opened: asyncio.Future[None]) -> None:
        """A connection that let us in, until it is lost: asks for the routes, then looks for signs of life."""
        receiver = self._receiver
        if receiver is None:
            raise DrachtError("a link is served after it was opened")
        self._connection = connection
        try:
            verbs = [verb for method in self._routes for verb in _verbs(method)]
            routed = [self._ask_route(connection, "route", verb) for verb in verbs]
            # A lost connection answers each of them as well.
            await asyncio.gather(*routed)
            if not connection.closed.done():
                receiver.link_ready(self)
                if not opened.done():
                    opened.set_result(None)
            while not connection.closed.done():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._ping_interval):
                        await asyncio.shield(connection.closed)
                if not connection.closed.done() and connection.answers_pings:
                    connection.check_alive()
        finally:
            connection.close()
            receiver.link_lost(self, connection.error or ConnectionLost(f"{self.name} was closed"))

    # ---- routes

    def route(self, method: str) -> None:
        """Asks for new requests of a method."""
        self._routes[method] = None
        if self.ready and self._connection is not None:
            for verb in _verbs(method):
                self._ask_route(self._connection, "route", verb)

    def unroute(self, method: str) -> None:
        """Takes `route` back."""
        self._routes.pop(method, None)
        if self.ready and self._connection is not None:
            for verb in _verbs(method):
                self._ask_route(self._connection, "remove_route", verb)
            # A drachtio-server takes back every route of a client, whichever it was asked to.
            for kept in self._routes:
                self.route(kept)

    def _ask_route(self, connection: ControlConnection, kind: str, verb: str) -> asyncio.Future[None]:
        done: asyncio.Future[None] = connection.loop.create_future()

        def replied(tokens: list[str], text: bytes) -> bool:
            if tokens and tokens[3] != "OK":
                log.error("%s refused `%s %s`: %s", self.name, kind, verb, "|".join(tokens[4:]))
            if not done.done():
                done.set_result(None)
            return False

        connection.ask(f"{kind}|{verb}".encode(), replied)
        return done
