"""`App`: the framework. Middleware around handlers per SIP method, defaults for what nobody handles, a life from start to drain.

What an application is made of is recorded by `Registration`, composed once at the start (`middleware.stack`), and run here for
every request. What nobody takes is answered by `defaults`. What is SIP is the business of the `Agent` it holds meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, TypeAlias, Unpack

from dracht.agent import Agent
from dracht.calls import Calls
from dracht.defaults import allowed, default
from dracht.errors import ConnectionLost, DrachtError, SipError
from dracht.handler import is_peers_fault
from dracht.methods import PublishMethod, ReferMethod, SubscribeMethod
from dracht.middleware.stack import describe
from dracht.registration import METHODS, Registration
from dracht.requesting import Dialog
from dracht.running import LinkOptions, check_link_options, from_environment, patient, run_loop, until_stopped

if TYPE_CHECKING:
    from dracht._core import Uri
    from dracht.digest import Credentials
    from dracht.link.base import Link
    from dracht.message import Body, HeadersInput
    from dracht.middleware.stack import Endpoint
    from dracht.request import Request
    from dracht.response import Response
    from dracht.transaction import ClientTransaction

__all__ = ["App", "Lifespan"]

Lifespan: TypeAlias = "Callable[[App], AbstractAsyncContextManager[Mapping[str, Any] | None]]"

_OTHER = "*"  # stands for every method that nothing was registered for
_BYE_TIMEOUT = 4.0  # seconds that a BYE at shutdown may take: T1 doubling to T2 gives it four transmissions


class App(Registration):
    """An application.

    Args:
        lifespan: an async context manager function of the application (`@asynccontextmanager async def lifespan(app)`): entered
            before the first request, left after the last. A mapping that it yields becomes attributes of `state`.
        shutdown_timeout: how long calls may go on after the application was asked to end; seconds.
        name: of the logger; `dracht.app` when left out.
    """

    def __init__(
        self, *, lifespan: Lifespan | None = None, shutdown_timeout: float = 30.0, name: str = "dracht.app"
    ) -> None:
        super().__init__()
        self.state = SimpleNamespace()
        """Room for what the application shares between requests."""
        self.log = logging.getLogger(name)
        """The application's logger."""
        self.shutdown_timeout = shutdown_timeout
        self._lifespan = lifespan
        self._agent: Agent | None = None
        self._calls = Calls()
        self.subscribe: SubscribeMethod = SubscribeMethod(self, "SUBSCRIBE")
        """`@app.subscribe` for a handler; `app.subscribe(uri, event=...)` subscribes, as `Agent.subscribe` does."""
        self.refer: ReferMethod = ReferMethod(self, "REFER")
        """`@app.refer` for a handler; `app.refer(uri, refer_to=...)` asks another party, as `Agent.refer` does."""
        self.publish: PublishMethod = PublishMethod(self, "PUBLISH")
        """`@app.publish` for a handler; `app.publish(uri, body, event=...)` publishes, as `Agent.publish` does."""
        self._new: dict[str, Endpoint] = {}
        self._within: dict[str, Endpoint] = {}
        self._stop: asyncio.Event | None = None

    # ---- for handlers

    @property
    def agent(self) -> Agent:
        """The agent of an application that serves; `RuntimeError` otherwise."""
        if self._agent is None:
            raise RuntimeError(
                "the application does not serve: `async with app.serving(listen=...)`, or app.run(...)"
            )
        return self._agent

    @property
    def calls(self) -> Calls:
        """The calls that this application takes part in: `len(app.calls)`."""
        return self._calls

    def clock(self) -> float:
        """The loop's time in seconds, which never goes back; for measuring how long something takes."""
        return asyncio.get_running_loop().time()

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
        flow: str | None = None,
        timeout: float | None = None,
        keep_forks: bool = False,
        retry_glare: bool = True,
        retry_interval: bool = True,
        session_timer: bool = True,
    ) -> ClientTransaction:
        """Sends a request: `Agent.request`, which documents the arguments. `RuntimeError` when the application does not serve."""
        return await self.agent.request(
            uri,
            method,
            headers=headers,
            body=body,
            auth=auth,
            dialog=dialog,
            next_hop=next_hop,
            flow=flow,
            timeout=timeout,
            keep_forks=keep_forks,
            retry_glare=retry_glare,
            retry_interval=retry_interval,
            session_timer=session_timer,
        )

    def ban(self, network: str, seconds: float = 3600.0) -> None:
        """Takes nothing from a network for so long: `Agent.ban`. `RuntimeError` when the application does not serve."""
        self.agent.ban(network, seconds)

    def unban(self, network: str) -> None:
        """Lifts a ban of exactly this network: `Agent.unban`."""
        self.agent.unban(network)

    # ---- one request

    async def __call__(self, req: Request, res: Response) -> None:
        """Takes one request through the onion of its method, and sees that it is answered."""
        within = req._dialog is not None
        onions = self._within if within else self._new
        try:
            await (onions.get(req.msg.method) or onions[_OTHER])(req, res)
        except ConnectionLost:
            raise
        except Exception as error:
            if is_peers_fault(req, error):
                if not req.handled:
                    res.send(400)
                return
            self.log.exception("%s raised for %r: it gets 500", self._taker(req, within), req)
            if not req.handled:
                res.send(500)
            return
        if not req.handled:
            self.log.error(
                "%s, or a layer around it, returned without answering %r: it gets 500; answer, proxy or drop every request",
                self._taker(req, within),
                req,
            )
            res.send(500)

    async def _recover(self, req: Request, res: Response, error: Exception) -> None:
        """Answers an error that left a handler or layer: by its handler, a `SipError` by its status; others go on outwards."""
        if self._stack.error_handler(error) is not None:
            await self._stack.recover(req, res, error)
        elif isinstance(error, SipError) and not req.handled:
            await res.send(error.status, error.reason, headers=error.headers)
        else:
            raise error

    def _taker(self, req: Request, within: bool) -> str:
        handler = self._stack.taker(req, req.method, within)
        return f"the default for {req.method}" if handler is None else describe(handler)

    def _compose(self) -> None:
        handled = self._stack.handled()
        answered = {method for method in handled if self._stack.answered(method)}
        allow = allowed(answered)
        for within, onions in ((False, self._new), (True, self._within)):
            onions.clear()
            for method in {*METHODS, *handled, _OTHER}:
                core = default(method, within, allow, self._calls)
                onions[method] = self._stack.compose(method, within, core, self._recover)

    # ---- its life

    @asynccontextmanager
    async def serving(
        self, *, link: Link | None = None, **options: Unpack[LinkOptions]
    ) -> AsyncIterator[Self]:
        """Serves within a block, in the running loop: beside FastAPI, in a test, anywhere.

        At the end of the block new requests get 503, calls may go on for `shutdown_timeout`, and those left then get a BYE.

        Args:
            link: a link of one's own making instead of options (`dracht.link.memory`, for tests).
            options: exactly one of `listen`, `connect` and `accept`, and what `LinkOptions` names besides.

        Raises:
            ValueError: an option cannot be used.
            OSError: a listener cannot be opened.
            ConnectionLost, AuthenticationFailed: the server is not there, or refuses the secret.
        """
        if link is None:
            _check(options)
        if self._agent is not None:
            raise RuntimeError("the application serves already")
        async with AsyncExitStack() as stack:
            self._seal()
            stack.callback(self._unseal)
            for app in self._everything():
                if isinstance(app, App) and app._lifespan is not None:
                    given = await stack.enter_async_context(app._lifespan(app))
                    app.state.__dict__.update(given or {})
            self._compose()
            agent = self._agent = Agent(self)
            stack.callback(self._ended)
            agent.calls = self._calls
            agent.route(*self._routes(embedded=bool(options.get("listen"))))
            opening = agent.serving(**options, shutdown_timeout=0) if link is None else _attached(agent, link)
            async with opening:
                yield self
                await self._shut_down(agent)

    def run(self, *, ready: Callable[[], None] | None = None, **options: Unpack[LinkOptions]) -> None:
        """Serves until SIGINT or SIGTERM, then as at the end of `serving`; a second signal ends it at once.

        Args:
            ready: called once it serves.
            options: as for `serving`; without a link, DRACHT_LISTEN or DRACHT_CONNECT, and DRACHT_SECRET, say where. A server
                that is not there yet is waited for.
        """
        complete = patient(from_environment(options))
        _check(complete)

        async def main() -> None:
            self._stop = asyncio.Event()
            await until_stopped(self.serving(**complete), self._stop, ready)

        run_loop(main())

    def stop(self) -> None:
        """Ends `run` as a signal would. Does nothing when it does not run."""
        if self._stop is not None:
            self._stop.set()

    async def drain(self, timeout: float | None = None) -> bool:
        """Takes nothing new from now on (503; a server gives new requests to other applications), and waits for what runs.

        Args:
            timeout: seconds to wait at most; `shutdown_timeout` when None.

        Returns:
            Whether every handler and every call ended in time. Calls that did not go on.
        """
        agent = self.agent
        limit = self.shutdown_timeout if timeout is None else timeout
        agent.unroute(*[method for method in agent.routes if method != _OTHER])
        quiet = asyncio.ensure_future(agent.drain(limit))
        try:
            async with asyncio.timeout(limit):
                await self._calls.none_left()
            return await quiet
        except TimeoutError:
            return False
        finally:
            quiet.cancel()

    async def _shut_down(self, agent: Agent) -> None:
        if len(self._calls) or not agent.idle:
            self.log.info(
                "shutting down: %d calls go on for at most %g s", len(self._calls), self.shutdown_timeout
            )
        if not await self.drain() and len(self._calls):
            self.log.warning(
                "%d calls are left after %g s: each gets a BYE", len(self._calls), self.shutdown_timeout
            )
            await self.end_calls()

    async def end_calls(self) -> None:
        """Sends a BYE in every call, and waits for the answers, a few seconds at most."""
        reason = {"Reason": 'SIP ;cause=503 ;text="Shutdown"'}

        async def end(dialog: Dialog) -> None:
            with suppress(DrachtError):
                bye = await self.agent.request(
                    method="BYE", dialog=dialog, headers=reason, timeout=_BYE_TIMEOUT
                )
                await bye.final()

        await asyncio.gather(*(end(dialog) for dialog in self._calls))

    def _routes(self, *, embedded: bool) -> list[str]:
        handled = sorted(self._stack.handled())
        if embedded or not handled:
            # What arrives as part of another transaction comes only to those who name it.
            return [_OTHER, *(method for method in handled if method in ("ACK", "CANCEL", "PRACK"))]
        return handled

    def _ended(self) -> None:
        self._agent = None


@asynccontextmanager
async def _attached(agent: Agent, link: Link) -> AsyncIterator[Agent]:
    try:
        yield await agent.attach(link)
    finally:
        await agent.close()


def _check(options: LinkOptions) -> None:
    check_link_options(options)
    if sum(bool(options.get(way)) for way in ("listen", "connect", "accept")) != 1:
        raise ValueError(
            "give exactly one of listen= (as sip:127.0.0.1:5060), connect= (as tcp://127.0.0.1:9022) and accept= "
            "(as tcp://127.0.0.1:3001), or set DRACHT_LISTEN or DRACHT_CONNECT and use run()"
        )
