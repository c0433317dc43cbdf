"""Session timers (RFC 4028) are agreed by the engine: an application need say nothing, and has its way where it does.

The shortest interval is 90 s, so what becomes of a timer is shown in virtual time: crates/simnet/tests/session_timers.rs.
"""

from __future__ import annotations

import pytest
from dracht import Request, Response

from tests.conformance.phone import Leg, Phone
from tests.conformance.sip import Sip
from tests.conformance.station import Stations, nobody
from tests.conformance.test_user_agent import ANSWER, OFFER, SDP

TIMED = (("Supported", "timer"), SDP)


async def hang_up(phone: Phone, leg: Leg) -> None:
    await leg.send("BYE")
    await phone.expect(200, of="BYE")


@pytest.mark.parametrize(
    ("asked", "own", "answered", "required"),
    [
        ("1800", None, "1800;refresher=uac", "timer"),
        ("1800;refresher=uas", None, "1800;refresher=uas", None),
        ("1800;refresher=uac", "600;refresher=uas", "600;refresher=uas", None),
        ("1800;refresher=uac", "600", "600;refresher=uac", "timer"),
    ],
)
async def test_a_call_is_answered_with_a_timer(
    stations: Stations, phone: Phone, asked: str, own: str | None, answered: str, required: str | None
) -> None:
    async def handler(req: Request, res: Response) -> None:
        if req.method == "INVITE":
            headers = {"Session-Expires": own} if own else None
            sent = await res.send(200, headers=headers, body=ANSWER)
            assert sent.headers["Session-Expires"] == answered
        else:
            await res.send(200)

    station = await stations.start(handler, "invite", "bye")
    leg = phone.leg(station.address)
    await leg.send("INVITE", ("Session-Expires", asked), *TIMED, body=OFFER)
    answer = await phone.expect(200)
    assert answer.all("Session-Expires") == [answered]
    assert answer.get("Require") == required
    await leg.ack(answer)
    # A refresh is the application's to answer, and sets the timer anew.
    await leg.send("INVITE", ("Session-Expires", "900;refresher=uac"), *TIMED, body=OFFER)
    answer = await phone.expect(200)
    assert answer["Session-Expires"] == ((own and answered) or "900;refresher=uac")
    await leg.ack(answer)
    await hang_up(phone, leg)
    await station.at_rest()


async def test_an_interval_below_the_minimum_never_reaches_the_application(
    stations: Stations, phone: Phone
) -> None:
    station = await stations.start(nobody, "invite", min_se=300)
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE", ("Session-Expires", "200"), *TIMED, body=OFFER)
    refusal = await phone.expect(422)
    assert refusal["Min-SE"] == "300"
    await leg.refused(invite, refusal)
    await station.at_rest()


async def test_an_engine_that_is_told_to_asks_for_a_timer(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(200, body=ANSWER if req.method == "INVITE" else None)

    station = await stations.start(
        handler, "invite", "bye", session_expires=600, min_se=120, session_refresher="uac"
    )
    leg = phone.leg(station.address)
    await leg.send("INVITE", SDP, body=OFFER)
    answer = await phone.expect(200)
    assert answer["Session-Expires"] == "600;refresher=uas", "the phone does not say that it could"
    await leg.ack(answer)
    await hang_up(phone, leg)

    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER)
    invite = await phone.expect("INVITE")
    assert (invite["Session-Expires"], invite["Min-SE"]) == ("600;refresher=uac", "120")
    assert invite["Supported"] == "timer"
    reply: Sip = phone.reply(invite, 200, ("Session-Expires", "600;refresher=uac"), SDP, body=ANSWER)
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    await hang_up(phone, Leg.answering(phone, invite, reply))
    await station.at_rest()


async def test_an_engine_that_takes_no_part_passes_what_it_gets(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(200, body=ANSWER if req.method == "INVITE" else None)

    station = await stations.start(handler, "invite", "bye", session_timers=False)
    leg = phone.leg(station.address)
    await leg.send("INVITE", ("Session-Expires", "20"), *TIMED, body=OFFER)
    answer = await phone.expect(200)
    assert answer.get("Session-Expires") is None
    await leg.ack(answer)
    await hang_up(phone, leg)
    await station.at_rest()


async def test_a_single_call_goes_without_a_timer(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        sent = await res.send(200, body=ANSWER if req.method == "INVITE" else None, session_timer=False)
        assert "Session-Expires" not in sent.headers

    station = await stations.start(handler, "invite", "bye", session_expires=600)
    leg = phone.leg(station.address)
    await leg.send("INVITE", ("Session-Expires", "1800"), *TIMED, body=OFFER)
    answer = await phone.expect(200)
    assert answer.all("Session-Expires") == []
    assert answer.get("Require") is None
    await leg.ack(answer)
    await hang_up(phone, leg)
    # One of ours says nothing of timers either, although the engine is told to ask.
    for timed in (False, True):
        tx = await station.agent.request(phone.uri, "INVITE", body=OFFER, session_timer=timed)
        invite = await phone.expect("INVITE")
        assert ("timer" in (invite.get("Supported") or "")) is timed
        assert (invite.get("Session-Expires") == "600") is timed
        phone.reply(invite, 486)
        assert (await tx.final()).status == 486
        await phone.expect("ACK")
    await station.at_rest()
