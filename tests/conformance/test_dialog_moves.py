"""A call moves from one engine to another in its middle, by a value alone: the phone at the other end notices nothing."""

from __future__ import annotations

import json

import pytest
from dracht import Agent, App, CommandFailed, ConnectionLost, DialogHandle, Request, Response
from dracht.link.memory import MemoryLink

from tests.conformance.phone import Leg, Phone
from tests.conformance.station import Station, Stations, eventually, nobody

OFFER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
ANSWER = OFFER.replace(b"o=- 1 1", b"o=- 2 1").replace(b"4000", b"4002")
SDP = ("Content-Type", "application/sdp")


async def called(phone: Phone, station: Station) -> Leg:
    """A call of the phone's that was answered, and whose ACK has come."""
    leg = phone.leg(station.address)
    await leg.send("INVITE", SDP, body=OFFER)
    await leg.ack(await phone.expect(200))
    await eventually(lambda: station.agent.idle)
    return leg


async def hang_up(leg: Leg) -> None:
    """The phone ends it."""
    await leg.send("BYE")
    await leg.phone.expect(200, of="BYE")


async def test_a_call_goes_on_at_another_engine(stations: Stations, phone: Phone) -> None:
    answered: list[DialogHandle] = []

    async def answer(req: Request, res: Response) -> None:
        await res.send(200, body=ANSWER)
        if req.method == "INVITE" and req.dialog_id is not None:
            answered.append(req.dialog_id)

    old = await stations.start(answer, "invite")
    new = await stations.start(answer, "invite")
    leg = await called(phone, old)
    (handle,) = answered
    value = await old.agent.export_dialog(handle, release=True)
    assert len(value) < 700
    assert json.loads(value)["call_id"] == leg.call_id
    assert old.counts()["dialogs"] == 0, "the old engine forgot it"

    moved = await new.agent.import_dialog(value, age=0.5)
    tx = await new.agent.request(None, "INFO", dialog=moved)
    info = await phone.expect("INFO")
    assert info["Call-ID"] == leg.call_id
    phone.reply(info, 200)
    assert (await tx.final()).status == 200
    # The phone learns where its peer lives now, and ends the call there.
    tx = await new.agent.request(None, "INVITE", dialog=moved, body=OFFER)
    invite = await phone.expect("INVITE")
    phone.reply(invite, 200, SDP, body=ANSWER)
    await (await tx.final()).ack()
    await phone.expect("ACK")
    tx = await new.agent.request(None, "BYE", dialog=moved)
    bye = await phone.expect("BYE")
    phone.reply(bye, 200)
    assert (await tx.final()).status == 200
    with pytest.raises(CommandFailed) as caught:
        await new.agent.export_dialog(moved)
    assert caught.value.code == "unknown-dialog"


async def test_what_cannot_be_moved_is_refused_by_name(stations: Stations, phone: Phone) -> None:
    answered: list[DialogHandle] = []

    async def ring(req: Request, res: Response) -> None:
        if req.method == "INVITE":
            await res.send(183)
            assert req.dialog_id is not None
            with pytest.raises(CommandFailed) as caught:
                await station.agent.export_dialog(req.dialog_id)
            assert caught.value.code == "early-dialog"
            answered.append(req.dialog_id)
        await res.send(200, body=ANSWER)

    station = await stations.start(ring, "invite")
    leg = await called(phone, station)
    (handle,) = answered
    await phone.expect(183)
    value = await station.agent.export_dialog(handle)
    with pytest.raises(CommandFailed) as caught:
        await station.agent.import_dialog(value)
    assert caught.value.code == "dialog-exists"
    newer = json.dumps({**json.loads(value), "version": 99})
    with pytest.raises(ValueError, match="later release"):
        await station.agent.import_dialog(newer)
    broken = json.dumps({**json.loads(value), "call_id": "x\r\nVia: evil"})
    with pytest.raises(ValueError, match="call_id"):
        await station.agent.import_dialog(broken)
    with pytest.raises(ValueError, match="no exported dialog"):
        await station.agent.import_dialog("[]")
    for age in (-1.0, float("nan"), float("inf"), 1e300):
        with pytest.raises(ValueError, match="age is"):
            await station.agent.import_dialog(value, age=age)
    with pytest.raises(TypeError, match="text that export_dialog gave"):
        await station.agent.import_dialog(json.loads(value))
    await hang_up(leg)


async def test_an_app_gives_its_session_description_along(stations: Stations, phone: Phone) -> None:
    app = App()

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await res.send(200, body=ANSWER)

    station = await stations.start(app, "invite")
    leg = await called(phone, station)
    (handle,) = list(station.agent.calls or ())
    value = await station.agent.export_dialog(handle, release=True)
    assert json.loads(value)["local_sdp"] == ANSWER.decode()
    assert not list(station.agent.calls or ())
    await station.agent.import_dialog(value)
    # Nobody handles the re-INVITE of the phone: the default answers with what was given before the move.
    await leg.send("INVITE", SDP, body=OFFER)
    answer = await phone.expect(200)
    assert answer.body == ANSWER
    await leg.ack(answer)
    await hang_up(leg)


async def test_a_link_that_is_gone_moves_nothing() -> None:
    agent = Agent(nobody)
    link = MemoryLink()
    await agent.attach(link)
    with pytest.raises(CommandFailed) as caught:
        await agent.import_dialog("{}")
    assert caught.value.code == "unsupported"
    await agent.close()
    with pytest.raises(ConnectionLost):
        await agent.import_dialog("{}")


async def test_an_age_that_is_no_number_is_refused_by_name(stations: Stations) -> None:
    station = await stations.start(nobody, "invite")
    for age in ("2", None, True):
        with pytest.raises(TypeError, match="age is a number of seconds"):
            await station.agent.import_dialog("{}", age=age)  # type: ignore[arg-type]
