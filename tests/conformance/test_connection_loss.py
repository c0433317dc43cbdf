"""Nothing that is awaited hangs on a lost control connection: it raises ConnectionLost; the link comes back with its routes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from dracht import Agent, ConnectionLost, Request, Response
from dracht._core import Engine
from dracht.link.backoff import Backoff
from dracht.link.control import ControlLink

from tests.conformance.cable import Cable
from tests.conformance.phone import Leg, Phone
from tests.conformance.station import (
    LISTEN,
    SECRET,
    TIMERS,
    Keeper,
    Stations,
    eventually,
    nobody,
    server_engine,
)

# A key and a certificate of its own for 127.0.0.1, for nothing else than these tests.
CERTIFICATE = Path(__file__).parent / "localhost.pem"


class Server:
    """An engine that listens for applications at the end of a cable."""

    def __init__(self, engine: Engine, cable: Cable) -> None:
        self.engine = engine
        self.cable = cable
        port = next(one.rpartition(":")[2] for one in engine.hostports()[1] if one.startswith("udp/"))
        self.address = ("127.0.0.1", int(port))

    async def agent(self, agent: Agent, ping_interval: float = 15.0) -> Agent:
        """Connects an agent through the cable, which it comes back through quickly."""
        link = ControlLink(
            f"tcp://127.0.0.1:{self.cable.address[1]}",
            secret=SECRET,
            backoff=Backoff(first=0.01, limit=0.05),
            ping_interval=ping_interval,
        )
        return await agent.attach(link)


@pytest.fixture
async def server(request: pytest.FixtureRequest, keeper: Keeper) -> AsyncIterator[Server]:
    engine = server_engine(LISTEN)
    assert engine.control_address is not None
    cable = await Cable.open(engine.control_address)
    yield Server(engine, cable)
    await cable.close()
    keeper.keep(request.node.name, engine, 1)


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    phone = await Phone.open()
    yield phone
    await phone.close()


async def within_a_handler(
    server: Server, phone: Phone, method: str, awaited: Callable[[Request, Response], Awaitable[object]]
) -> None:
    """The connection is lost while a handler awaits something; it raises, and afterwards nothing is left."""
    reached, raised = asyncio.Event(), asyncio.Event()

    async def handler(req: Request, res: Response) -> None:
        server.cable.hold()
        asyncio.get_running_loop().call_later(0.05, reached.set)
        with pytest.raises(ConnectionLost):
            await awaited(req, res)
        raised.set()
        raise ConnectionLost("as any handler would")

    agent = await server.agent(Agent(handler).route(method))
    await phone.leg(server.address).send(method.upper())
    await reached.wait()
    server.cable.cut()
    async with asyncio.timeout(5):
        await raised.wait()
    await eventually(lambda: agent.idle)
    await agent.close()


async def test_while_a_response_is_sent(server: Server, phone: Phone) -> None:
    await within_a_handler(server, phone, "options", lambda req, res: res.send(200))
    await phone.expect(200)


async def test_while_an_ack_is_awaited(server: Server, phone: Phone) -> None:
    async def acked(req: Request, res: Response) -> None:
        server.cable.release()
        sent = await res.send(200)
        server.cable.hold()
        await sent.acked()

    await within_a_handler(server, phone, "invite", acked)


async def test_while_a_prack_is_awaited(server: Server, phone: Phone) -> None:
    async def acked(req: Request, res: Response) -> None:
        server.cable.release()
        sent = await res.send(183, headers={"Require": "100rel"})
        await sent.acked()

    reached = asyncio.Event()

    async def handler(req: Request, res: Response) -> None:
        try:
            await acked(req, res)
        except ConnectionLost:
            reached.set()
            raise

    agent = await server.agent(Agent(handler).route("invite"))
    await phone.leg(server.address).send("INVITE", ("Supported", "100rel"))
    await phone.expect(183)
    server.cable.cut()
    async with asyncio.timeout(5):
        await reached.wait()
    await eventually(lambda: agent.idle)
    await agent.close()


async def test_while_a_request_is_proxied(server: Server, phone: Phone) -> None:
    target = await Phone.open()
    await within_a_handler(server, phone, "options", lambda req, res: req.proxy(target.uri))
    target.reply(await target.expect("OPTIONS"), 200)
    await phone.expect(200)
    await target.close()


async def test_while_a_request_of_ours_goes_out(server: Server, phone: Phone) -> None:
    agent = await server.agent(Agent(nobody))
    server.cable.hold()
    asking = asyncio.create_task(agent.request(phone.uri, "OPTIONS"))
    options = await phone.expect("OPTIONS")
    server.cable.cut()
    with pytest.raises(ConnectionLost):
        await asking
    phone.reply(options, 200)
    await eventually(lambda: agent.idle)
    await agent.close()


async def test_while_a_final_response_is_awaited(server: Server, phone: Phone) -> None:
    agent = await server.agent(Agent(nobody))
    tx = await agent.request(phone.uri, "OPTIONS")
    waiting = asyncio.create_task(tx.final())

    async def every() -> list[int]:
        return [response.status async for response in tx]

    iterating = asyncio.create_task(every())
    options = await phone.expect("OPTIONS")
    server.cable.cut()
    for task in (waiting, iterating):
        with pytest.raises(ConnectionLost):
            await task
    phone.reply(options, 200)
    await eventually(lambda: agent.idle)
    await agent.close()


async def test_while_an_ack_or_a_cancel_goes_out(server: Server, phone: Phone) -> None:
    agent = await server.agent(Agent(nobody))
    calls = [await agent.request(phone.uri, "INVITE") for _ in range(2)]
    invites = [await phone.expect("INVITE") for _ in calls]
    if invites[0]["Call-ID"] != calls[0].request.call_id:
        invites.reverse()
    leg = Leg.answering(phone, invites[0], phone.reply(invites[0], 200, tag="c"))
    phone.reply(invites[1], 180, tag="d")
    final = await calls[0].final()
    async for _ in calls[1]:
        break
    server.cable.hold()
    acking = asyncio.create_task(final.ack())
    cancelling = asyncio.create_task(calls[1].cancel())
    await phone.expect("ACK")
    cancel = await phone.expect("CANCEL")
    server.cable.cut()
    for task in (acking, cancelling):
        with pytest.raises(ConnectionLost):
            await task
    phone.reply(cancel, 200)
    phone.reply(invites[1], 487, tag="d")
    await eventually(lambda: agent.idle)
    await agent.close()
    await leg.send("BYE")
    await phone.expect(200, 481, 503, of="BYE")


async def test_a_lost_link_comes_back_with_its_routes(server: Server, phone: Phone) -> None:
    events: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        await res.send(200, headers={"X-Connections": str(server.cable.connections)})

    agent = Agent(handler).route("options", "message")
    agent.on_lost(lambda error: events.append(type(error).__name__))
    agent.on_ready(lambda: events.append("ready"))
    await server.agent(agent)
    for count in (1, 2, 3):
        for method in ("OPTIONS", "MESSAGE"):
            await phone.leg(server.address).send(method)
            assert (await phone.expect(200))["X-Connections"] == str(count)
        server.cable.cut()
        await eventually(lambda count=count: events.count("ready") == count + 1)  # type: ignore[misc]
    assert events == ["ready", *["ConnectionLost", "ready"] * 3]
    await agent.close()


async def test_a_request_without_a_link_raises_at_once(server: Server, phone: Phone) -> None:
    agent = await server.agent(Agent(nobody))
    server.cable.cut()
    await eventually(lambda: not agent.connected)
    with pytest.raises(ConnectionLost):
        await agent.request(phone.uri, "OPTIONS")
    await eventually(lambda: agent.connected)
    tx = await agent.request(phone.uri, "OPTIONS")
    phone.reply(await phone.expect("OPTIONS"), 200)
    assert (await tx.final()).status == 200
    await agent.close()


async def test_a_server_that_gives_no_sign_of_life_is_given_up(server: Server) -> None:
    lost: list[Exception] = []
    agent = Agent(nobody)
    agent.on_lost(lost.append)
    await server.agent(agent, ping_interval=0.05)
    server.cable.hold()
    await eventually(lambda: lost)
    assert "no sign of life" in str(lost[0])
    server.cable.cut()
    await eventually(lambda: agent.connected)
    await agent.close()


async def test_a_stopped_engine_is_lost_as_well(stations: Stations, phone: Phone) -> None:
    """Embedded, the engine goes with the agent that holds it; connected, the server goes."""
    agent = Agent(nobody)
    if stations.way == "embedded":
        await agent.listen(list(LISTEN), **TIMERS)
        stop: Callable[[], Awaitable[object]] = agent.close
    else:
        engine = server_engine(LISTEN)
        assert engine.control_address is not None
        await agent.connect(f"tcp://127.0.0.1:{engine.control_address[1]}", secret=SECRET)

        async def stop_server() -> None:
            await asyncio.to_thread(engine.stop)

        stop = stop_server
    tx = await agent.request(phone.uri, "OPTIONS")
    await phone.expect("OPTIONS")
    waiting = asyncio.create_task(tx.final())
    await asyncio.sleep(0)
    await stop()
    with pytest.raises(ConnectionLost):
        await waiting
    with pytest.raises(ConnectionLost):
        await agent.request(phone.uri, "OPTIONS")
    await agent.close()


async def test_a_link_over_tls_comes_back_over_tls(server: Server, phone: Phone) -> None:
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=CERTIFICATE)
    theirs.load_cert_chain(CERTIFICATE)
    cable = await Cable.open(server.cable.to, theirs)
    ready: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        await res.send(200)

    agent = Agent(handler).route("options")
    agent.on_ready(lambda: ready.append("ready"))
    link = ControlLink(
        f"tls://127.0.0.1:{cable.address[1]}",
        secret=SECRET,
        tls=ours,
        backoff=Backoff(first=0.01, limit=0.05),
    )
    await agent.attach(link)
    for count in (1, 2):
        await phone.leg(server.address).send("OPTIONS")
        await phone.expect(200)
        assert (cable.connections, len(ready)) == (count, count)
        cable.cut()
        await eventually(lambda count=count: len(ready) == count + 1)  # type: ignore[misc]
    await agent.close()
    await cable.close()


async def test_a_server_that_cannot_prove_who_it_is_is_not_used(server: Server) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(CERTIFICATE)
    cable = await Cable.open(server.cable.to, theirs)
    with pytest.raises(ConnectionLost, match="certificate"):
        await Agent(nobody).connect(f"tls://127.0.0.1:{cable.address[1]}", secret=SECRET)
    await cable.close()
