"""One offer at a time, early and late: what an application sees of PRACK, UPDATE, forks and crossing requests."""

from __future__ import annotations

import asyncio

import pytest
from dracht import CommandFailed, Request, Response
from dracht._core import glare_back_off

from tests.conformance.phone import Leg
from tests.conformance.station import Stations, nobody
from tests.conformance.test_user_agent import ANSWER, OFFER, SDP

CHANGED = OFFER.replace(b"1 1", b"1 2")


def test_the_owner_of_the_call_id_waits_longer_after_a_491() -> None:
    assert [glare_back_off(True, random) for random in (0, 190, 191)] == [2.1, 4.0, 2.1]
    assert [glare_back_off(False, random) for random in (0, 200, 201)] == [0.0, 2.0, 0.0]


async def test_the_caller_updates_the_session_while_it_rings(stations: Stations) -> None:
    seen: list[tuple[str, bytes]] = []
    going = asyncio.Event()

    async def handler(req: Request, res: Response) -> None:
        seen.append((req.method, req.body))
        if req.method == "INVITE":
            await (await res.send(183, body=ANSWER, reliable=True)).acked()
            await going.wait()
            await (await res.send(200)).acked()
        else:
            sent = await res.send(200, body=ANSWER if req.body else None)
            assert sent.msg.method == req.method

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE", ("Supported", "100rel"), SDP, body=OFFER)
    progress = await phone.expect(183)
    leg.learn(progress)
    await leg.send("PRACK", ("RAck", f"{progress['RSeq']} {invite.cseq} INVITE"))
    await phone.expect(200, of="PRACK")
    update = await leg.send("UPDATE", SDP, body=CHANGED)
    answer = await phone.expect(200, of="UPDATE")
    assert (answer.body, answer.cseq) == (ANSWER, update.cseq)
    going.set()
    final = await phone.expect(200, of="INVITE")
    await leg.ack(final)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    assert seen == [("INVITE", OFFER), ("UPDATE", CHANGED), ("BYE", b"")]


async def test_the_callee_updates_the_session_while_our_call_rings(stations: Stations) -> None:
    seen: list[tuple[str, bytes]] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append((req.method, req.body))
        await res.send(200, body=ANSWER)

    station = await stations.start(handler)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", headers={"Supported": "100rel"}, body=OFFER)
    invite = await phone.expect("INVITE")
    progress = phone.reply(invite, 183, ("Require", "100rel"), ("RSeq", "1"), SDP, body=ANSWER, tag="callee")
    responses = aiter(tx)
    early = await anext(responses)
    prack = await early.prack()
    phone.reply(await phone.expect("PRACK"), 200)
    await prack.final()
    leg = Leg.answering(phone, invite, progress)
    await leg.send("UPDATE", SDP, body=CHANGED)
    answer = await phone.expect(200, of="UPDATE")
    assert answer.body == ANSWER
    # And the other way round.
    update = await station.agent.request(method="UPDATE", dialog=early.dialog_id, body=CHANGED)
    asked = await phone.expect("UPDATE")
    assert (asked.body, asked.tag("To")) == (CHANGED, "callee")
    phone.reply(asked, 200, SDP, body=ANSWER)
    assert (await update.final()).body == ANSWER
    phone.reply(invite, 200, tag="callee")
    final = await tx.final()
    assert final.dialog_id == early.dialog_id
    await final.ack()
    await phone.expect("ACK")
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
    phone.reply(await phone.expect("BYE"), 200)
    await bye.final()
    assert seen == [("UPDATE", CHANGED)]


async def test_we_update_the_session_of_a_call_to_us_while_it_rings(stations: Stations) -> None:
    async def handler(req: Request, res: Response) -> None:
        if req.method != "INVITE":
            await res.send(200)
            return
        sent = await res.send(183, body=ANSWER, reliable=True)
        await sent.acked()
        update = await station.agent.request(method="UPDATE", dialog=req.dialog_id, body=CHANGED)
        assert (await update.final()).body == OFFER
        with pytest.raises(CommandFailed) as failed:
            await station.agent.request(method="BYE", dialog=req.dialog_id)
        assert failed.value.code == "invalid-method"
        await (await res.send(200)).acked()

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE", ("Supported", "100rel"), SDP, body=OFFER)
    progress = await phone.expect(183)
    leg.learn(progress)
    await leg.send("PRACK", ("RAck", f"{progress['RSeq']} {invite.cseq} INVITE"))
    await phone.expect(200, of="PRACK")
    update = await phone.expect("UPDATE")
    assert update.body == CHANGED
    phone.reply(update, 200, SDP, body=OFFER)
    await leg.ack(await phone.expect(200, of="INVITE"))
    await leg.send("BYE")
    await phone.expect(200, of="BYE")


async def test_an_answer_that_depends_on_a_prack_waits_for_it(stations: Stations) -> None:
    async def handler(req: Request, res: Response) -> None:
        if req.method != "INVITE":
            await res.send(200)
            return
        progress = res.send(183, body=ANSWER, reliable=True)
        ringing = res.send(180, reliable=True)
        answer = res.send(200)
        # Each is on the wire after the PRACK of the one before.
        assert (await progress).msg.status == 183
        assert (await ringing).msg.status == 180
        assert (await (await answer).acked()).method == "ACK"

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE", ("Supported", "100rel"), SDP, body=OFFER)
    for status in (183, 180):
        progress = await phone.expect(status)
        await phone.repetitions(str(status), 2)
        assert "< 200" not in phone.ladder
        leg.learn(progress)
        await leg.send("PRACK", ("RAck", f"{progress['RSeq']} {invite.cseq} INVITE"))
        await phone.expect(200, of="PRACK")
        if status == 183:
            phone.record = [entry for entry in phone.record if entry.message.label != "200"]
    await leg.ack(await phone.expect(200, of="INVITE"))
    await leg.send("BYE")
    await phone.expect(200, of="BYE")


async def test_a_prack_offers_and_its_answer_answers(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", headers={"Supported": "100rel"}, body=OFFER)
    invite = await phone.expect("INVITE")
    phone.reply(invite, 183, ("Require", "100rel"), ("RSeq", "9"), SDP, body=ANSWER, tag="c")
    early = await anext(aiter(tx))
    prack = await early.prack(body=CHANGED)
    asked = await phone.expect("PRACK")
    assert (asked.body, asked["Content-Type"]) == (CHANGED, "application/sdp")
    # Its offer is open.
    with pytest.raises(CommandFailed) as failed:
        await station.agent.request(method="UPDATE", dialog=early.dialog_id, body=OFFER)
    assert failed.value.code == "request-pending"
    assert "no answer yet" in failed.value.detail
    phone.reply(asked, 200, SDP, body=ANSWER)
    assert (await prack.final()).body == ANSWER
    phone.reply(invite, 486, tag="c")
    await tx.final()
    await phone.expect("ACK")


async def test_requests_that_cross_get_491_and_one_too_many_is_not_sent(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER)
    invite = await phone.expect("INVITE")
    leg = Leg.answering(phone, invite, phone.reply(invite, 200, SDP, body=ANSWER, tag="c"))
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    changing = await station.agent.request(
        method="INVITE", dialog=final.dialog_id, body=CHANGED, retry_glare=False
    )
    reinvite = await phone.expect("INVITE")
    crossing = await leg.send("INVITE", SDP, body=CHANGED)
    await leg.refused(crossing, await phone.expect(491))
    await leg.send("UPDATE", SDP, body=CHANGED)
    await phone.expect(491, of="UPDATE")
    for method in ("INVITE", "UPDATE"):
        with pytest.raises(CommandFailed) as failed:
            await station.agent.request(method=method, dialog=final.dialog_id, body=OFFER)
        assert failed.value.code == "request-pending"
    phone.reply(reinvite, 491, reason="Request Pending")
    assert (await changing.final()).status == 491
    await phone.expect("ACK")
    # What it offered is void: the next one passes.
    again = await station.agent.request(method="UPDATE", dialog=final.dialog_id, body=CHANGED)
    phone.reply(await phone.expect("UPDATE"), 200, SDP, body=ANSWER)
    assert (await again.final()).body == ANSWER
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
    phone.reply(await phone.expect("BYE"), 200)
    await bye.final()


async def test_a_second_fork_that_answers_is_seen_and_ended(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER)
    invite = await phone.expect("INVITE")
    phone.reply(invite, 200, SDP, body=ANSWER, tag="one")
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    phone.reply(invite, 200, SDP, body=ANSWER, tag="two")
    assert (await phone.expect("ACK")).tag("To") == "two"
    bye = await phone.expect("BYE")
    assert bye.tag("To") == "two"
    phone.reply(bye, 200)
    (other,) = tx.forks
    assert (other.status, other.to.tag) == (200, "two")
    assert other.dialog_id != final.dialog_id
    assert tx.responses == [final]
    ending = await station.agent.request(method="BYE", dialog=final.dialog_id)
    bye = await phone.expect("BYE")
    assert bye.tag("To") == "one"
    phone.reply(bye, 200)
    await ending.final()


async def test_a_second_fork_is_a_call_when_it_is_asked_for(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER, keep_forks=True)
    invite = await phone.expect("INVITE")
    for tag in ("one", "two"):
        phone.reply(invite, 200, SDP, body=ANSWER, tag=tag)
        if tag == "one":
            await (await tx.final()).ack()
            await phone.expect("ACK")
    other = await tx.next_fork()
    assert [other] == tx.forks
    await other.ack()
    assert (await phone.expect("ACK")).tag("To") == "two"
    for call, tag in ((other, "two"), (await tx.final(), "one")):
        ending = await station.agent.request(method="BYE", dialog=call.dialog_id)
        bye = await phone.expect("BYE")
        assert bye.tag("To") == tag
        phone.reply(bye, 200)
        await ending.final()


async def test_a_call_that_the_peer_does_not_know_is_over(stations: Stations) -> None:
    ended: list[Request] = []

    async def handler(req: Request, res: Response) -> None:
        ended.append(req)

    station = await stations.start(handler)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER)
    invite = await phone.expect("INVITE")
    phone.reply(invite, 200, SDP, body=ANSWER, tag="c")
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    info = await station.agent.request(method="INFO", dialog=final.dialog_id)
    phone.reply(await phone.expect("INFO"), 481, contact=False)
    assert (await info.final()).status == 481
    phone.reply(await phone.expect("BYE"), 481, contact=False)
    with pytest.raises(CommandFailed) as failed:
        await station.agent.request(method="INFO", dialog=final.dialog_id)
    assert failed.value.code == "unknown-dialog"
    if station.embedded:
        assert [(req.method, req.generated) for req in ended] == [("BYE", True)]
    else:
        # drachtio's protocol has no word for it: the 481 says it.
        assert ended == []
