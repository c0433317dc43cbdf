"""An `App` runs the same over both links: its layers around every request, its answers, its requests."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from dracht import App, Request, Response, SipError
from dracht.middleware.stack import Next

from tests.conformance.phone import Phone
from tests.conformance.station import Stations, eventually


async def test_a_request_before_the_app_serves_raises() -> None:
    with pytest.raises(RuntimeError, match="does not serve"):
        await App().request("sip:service@127.0.0.1")


async def test_layers_share_state_and_add_header_fields(stations: Stations, phone: Phone) -> None:
    app = App()
    app.state = SimpleNamespace(greeting="hello")

    @app.use
    async def timing(req: Request, res: Response, next: Next) -> None:
        req.state.order = ["before"]
        started = app.clock()

        @res.before_send
        def add(status: int, headers: object) -> None:
            res.headers["X-Response-Time"] = f"{(app.clock() - started) * 1000:.1f} ms"

        res.headers["X-Greeting"] = app.state.greeting
        await next()
        assert req.state.order == ["before", "handler"]
        assert res.status == 486

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        req.state.order.append("handler")
        await res.send(486)

    station = await stations.start(app)
    leg = phone.leg(station.address)
    first = await leg.send("INVITE")
    refusal = await phone.expect(486)
    await leg.refused(first, refusal)
    assert refusal["X-Greeting"] == "hello"
    assert phone.ladder == ["> INVITE", "< 486", "> ACK"]


async def test_errors_of_handlers_are_answers(stations: Stations, phone: Phone) -> None:
    app = App()

    @app.options
    async def options(req: Request, res: Response) -> None:
        raise SipError(403)

    @app.message
    async def message(req: Request, res: Response) -> None:
        raise ConnectionRefusedError("the database")

    @app.error(ConnectionRefusedError)
    async def down(req: Request, res: Response, error: Exception) -> None:
        await res.send(503, headers={"Retry-After": "30"})

    station = await stations.start(app)
    await phone.leg(station.address).send("OPTIONS")
    await phone.expect(403)
    await phone.leg(station.address).send("MESSAGE")
    assert (await phone.expect(503))["Retry-After"] == "30"


async def test_a_call_of_an_app_from_both_sides(stations: Stations, phone: Phone) -> None:
    app = App()

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        sent = await res.send(200, body=b"v=0\r\n")
        await sent.acked()

    station = await stations.start(app)
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    await leg.ack(await phone.expect(200))
    await eventually(lambda: len(app.calls) == 1)
    await leg.send("INFO")
    await phone.expect(200, of="INFO")
    await leg.send("INVITE")
    again = await phone.expect(200, of="INVITE")
    assert again.body == b"v=0\r\n", "a session that nobody handles stays as it is"
    await leg.ack(again)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    await eventually(lambda: len(app.calls) == 0)


async def test_an_app_sends_requests(stations: Stations, phone: Phone) -> None:
    app = App()
    await stations.start(app)
    tx = await app.request(phone.uri, "OPTIONS", headers={"X-Custom": "yes"})
    options = await phone.expect("OPTIONS")
    assert options["X-Custom"] == "yes"
    phone.reply(options, 200)
    assert (await tx.final()).status == 200


async def test_an_app_proxies(stations: Stations, phone: Phone) -> None:
    app = App()
    callee = await stations.phone()

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await req.proxy(callee.uri, record_route=True)

    station = await stations.start(app)
    leg = phone.leg(station.address)
    await leg.send("INVITE", forwards=11)
    onward = await callee.expect("INVITE")
    assert (onward["Max-Forwards"], len(onward.all("Record-Route"))) == ("10", 1)
    callee.reply(onward, 200)
    await leg.ack(await phone.expect(200))
    await callee.expect("ACK")
    await leg.send("BYE")
    callee.reply(await callee.expect("BYE"), 200)
    await phone.expect(200, of="BYE")


async def test_an_app_drains_its_calls_when_it_ends(stations: Stations, phone: Phone) -> None:
    app = App(shutdown_timeout=0.05)

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await res.send(200)

    station = await stations.start(app)
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    await leg.ack(await phone.expect(200))
    await eventually(lambda: len(app.calls) == 1 and app.agent.idle)
    ending = asyncio.create_task(app.end_calls())
    bye = await phone.expect("BYE")
    assert "503" in bye["Reason"]
    phone.reply(bye, 200)
    await ending
    assert len(app.calls) == 0
