"""Several applications share one engine: each new request goes to one of them, and what belongs to a call to its owner."""

from __future__ import annotations

import asyncio

from dracht import Request, Response
from dracht.handler import Handler

from tests.conformance.phone import Phone
from tests.conformance.station import Stations, eventually


def named(name: str, seen: list[tuple[str, str]], hold: asyncio.Event | None = None) -> Handler:
    """A handler that answers everything under a name; new INVITEs once `hold` is set."""

    async def handler(req: Request, res: Response) -> None:
        seen.append((name, req.method))
        if hold is not None and req.method == "INVITE":
            res.send(180)
            await hold.wait()
        await res.send(200, headers={"X-Application": name})

    return handler


async def test_new_requests_go_round(stations: Stations, phone: Phone) -> None:
    seen: list[tuple[str, str]] = []
    station = await stations.start(named("first", seen), "options")
    await station.application(named("second", seen), "options")
    names = []
    for _ in range(6):
        await phone.leg(station.address).send("OPTIONS")
        names.append((await phone.expect(200))["X-Application"])
    assert sorted(names) == ["first"] * 3 + ["second"] * 3
    assert names[0] != names[1]
    assert [name for name, _ in seen] == names


async def test_each_application_gets_what_it_asked_for(stations: Stations, phone: Phone) -> None:
    station = await stations.start(named("first", []), "options")
    other = await station.application(named("second", []), "message")
    for method, name in (("OPTIONS", "first"), ("MESSAGE", "second")) * 2:
        await phone.leg(station.address).send(method)
        assert (await phone.expect(200))["X-Application"] == name
    other.route("options").unroute("message")
    await eventually(lambda: not other.links[0].pending)
    station.agent.unroute("options")
    await eventually(lambda: not station.agent.links[0].pending)
    if station.embedded:
        await eventually(lambda: station.engine.flush() == 0)
    await phone.leg(station.address).send("OPTIONS")
    assert (await phone.expect(200))["X-Application"] == "second"
    await phone.leg(station.address).send("MESSAGE")
    await phone.expect(405, 501, 503)


async def test_requests_within_a_call_go_to_its_owner(stations: Stations, phone: Phone) -> None:
    seen: list[tuple[str, str]] = []
    station = await stations.start(named("first", seen), "invite")
    await station.application(named("second", seen), "invite", "bye", "info")
    for _ in range(2):
        leg = phone.leg(station.address)
        await leg.send("INVITE")
        answer = await phone.expect(200)
        await leg.ack(answer)
        for method in ("INFO", "BYE"):
            await leg.send(method)
            assert (await phone.expect(200, of=method))["X-Application"] == answer["X-Application"]
    assert sorted(seen) == sorted(
        (name, method) for name in ("first", "second") for method in ("INVITE", "INFO", "BYE")
    )


async def test_an_application_that_leaves_takes_only_its_own_with_it(
    stations: Stations, phone: Phone
) -> None:
    hold = asyncio.Event()
    station = await stations.start(named("first", [], hold), "invite")
    cable = await stations.cable(station.control)
    other = await station.application(named("second", [], hold), "invite", cable=cable)
    legs = [phone.leg(station.address) for _ in range(2)]
    invites = []
    for leg in legs:
        invites.append(await leg.send("INVITE"))
        await phone.expect(180)
    station.agents.remove(other)
    await other.close()
    refusal = await phone.expect(503)
    lost = next(at for at, leg in enumerate(legs) if leg.call_id == refusal["Call-ID"])
    await legs[lost].refused(invites[lost], refusal)
    hold.set()
    answer = await phone.expect(200)
    kept = legs[1 - lost]
    assert (answer["X-Application"], answer["Call-ID"]) == ("first", kept.call_id)
    await kept.ack(answer)
    await kept.send("BYE")
    await phone.expect(200, of="BYE")
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    answer = await phone.expect(200)
    assert answer["X-Application"] == "first"
    await phone.expect(180)
    await leg.ack(answer)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")


async def test_a_proxied_call_outlives_its_application(stations: Stations, phone: Phone) -> None:
    callee = await stations.phone()

    async def handler(req: Request, res: Response) -> None:
        await req.proxy(callee.uri, record_route=True)

    station = await stations.start(named("first", []))
    other = await station.application(handler, "invite")
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    callee.reply(await callee.expect("INVITE"), 200)
    await leg.ack(await phone.expect(200))
    await callee.expect("ACK")
    await other.close()
    await leg.send("BYE")
    callee.reply(await callee.expect("BYE"), 200)
    await phone.expect(200, of="BYE")


async def test_without_an_application_new_requests_get_503(stations: Stations, phone: Phone) -> None:
    station = await stations.start(named("first", []))
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    refusal = await phone.expect(503, 405, 501)
    await leg.refused(invite, refusal)
    assert phone.ladder[0] == "> INVITE"


async def test_a_call_between_two_applications_of_two_engines(stations: Stations) -> None:
    """Both ends are ours: the caller's agent and the callee's, each with its engine."""
    acked: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def callee(req: Request, res: Response) -> None:
        if req.method == "INVITE":
            sent = await res.send(200, body=b"v=0\r\n")
            acked.set_result((await sent.acked()).body)
        else:
            await res.send(200)

    answering = await stations.start(callee, "invite")
    calling = await stations.start(named("caller", []))
    tx = await calling.agent.request(answering.uri, "INVITE")
    final = await tx.final()
    assert (final.status, final.body) == (200, b"v=0\r\n")
    await final.ack(body=b"v=0\r\no=answer\r\n")
    assert await acked == b"v=0\r\no=answer\r\n"
    bye = await calling.agent.request(method="BYE", dialog=final.dialog_id)
    assert (await bye.final()).status == 200
