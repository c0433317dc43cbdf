"""An application is a user agent: it answers, calls, cancels and ends calls, and both ends see the same messages."""

from __future__ import annotations

import asyncio

import pytest
from dracht import Agent, ConnectionLost, Request, Response

from tests.conformance.phone import Leg
from tests.conformance.station import Stations, nobody

OFFER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
ANSWER = OFFER.replace(b"o=- 1 1", b"o=- 2 1").replace(b"4000", b"4002")
SDP = ("Content-Type", "application/sdp")


def test_an_agent_needs_a_handler() -> None:
    with pytest.raises(TypeError):
        Agent(None)  # type: ignore[arg-type]
    Agent(nobody)


async def test_connecting_to_a_closed_port_raises() -> None:
    with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1:1"):
        await Agent(nobody).connect("tcp://127.0.0.1:1", timeout=5)


async def test_a_response_carries_a_custom_header(stations: Stations) -> None:
    seen: list[Request] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req)
        sent = await res.send(200, headers={"X-Custom": "drachtio rocks!"})
        assert sent.headers["X-Custom"] == "drachtio rocks!"
        assert sent.to.tag is not None

    station = await stations.start(handler, "options")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    await leg.send("OPTIONS", ("X-Asked", "yes"))
    answer = await phone.expect(200)
    assert answer["X-Custom"] == "drachtio rocks!"
    assert phone.ladder == ["> OPTIONS", "< 200"]
    (req,) = seen
    assert (req.method, req.headers["X-Asked"], req.source) == ("OPTIONS", "yes", ("127.0.0.1", phone.port))


async def test_a_request_carries_a_well_known_header(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(
        phone.uri, "MESSAGE", headers={"Subject": "my subject", "Content-Type": "text/plain"}, body="hello"
    )
    message = await phone.expect("MESSAGE")
    assert (message["Subject"], message.body) == ("my subject", b"hello")
    assert tx.request.headers["Via"] == message["Via"], "what was sent is what went over the wire"
    phone.reply(message, 200, ("Subject", "your subject"))
    final = await tx.final()
    assert (final.status, final.headers["Subject"]) == (200, "your subject")
    assert phone.ladder == ["< MESSAGE", "> 200"]


async def test_an_invite_is_rejected(stations: Stations) -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(486)

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE", SDP, body=OFFER)
    refusal = await phone.expect(486)
    assert refusal.reason == "Busy Here"
    await leg.refused(invite, refusal)
    assert phone.ladder == ["> INVITE", "< 486", "> ACK"]


async def test_a_call_of_ours_is_rejected(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER)
    invite = await phone.expect("INVITE")
    assert (invite["Content-Type"], invite.body) == ("application/sdp", OFFER)
    phone.reply(invite, 486, reason="Busy Here")
    final = await tx.final()
    assert (final.status, final.reason) == (486, "Busy Here")
    ack = await phone.expect("ACK")
    assert ack.branch == invite.branch, "the engine acknowledges within the transaction"
    assert phone.ladder == ["< INVITE", "> 486", "< ACK"]


async def test_a_call_of_ours_is_cancelled(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER)
    invite = await phone.expect("INVITE")
    phone.reply(invite, 180, tag="t")
    async for response in tx:
        assert response.status == 180
        break
    sent = await tx.cancel(headers={"Reason": 'SIP;cause=200;text="Call completed elsewhere"'})
    cancel = await phone.expect("CANCEL")
    assert sent is not None
    assert sent.headers["Reason"] == cancel["Reason"] == 'SIP;cause=200;text="Call completed elsewhere"'
    assert (cancel.branch, cancel.cseq) == (invite.branch, invite.cseq)
    phone.reply(cancel, 200, contact=False)
    phone.reply(invite, 487, tag="t")
    assert (await tx.final()).status == 487
    await phone.expect("ACK")
    assert [one.status for one in tx.responses] == [180, 487]
    assert phone.ladder == ["< INVITE", "> 180", "< CANCEL", "> 200", "> 487", "< ACK"]


async def test_a_call_is_ended_from_the_answering_side(stations: Stations) -> None:
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handler(req: Request, res: Response) -> None:
        sent = await res.send(200, body=ANSWER)
        ack = await sent.acked()
        assert ack.method == "ACK"
        bye = await station.agent.request(method="BYE", dialog=req.dialog_id)
        done.set_result((await bye.final()).status)

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    await leg.send("INVITE", SDP, body=OFFER)
    answer = await phone.expect(200)
    assert answer.body == ANSWER
    await leg.ack(answer)
    bye = await phone.expect("BYE")
    assert (bye["From"], bye["To"], bye.uri) == (answer["To"], answer["From"], phone.uri)
    phone.reply(bye, 200)
    assert await done == 200
    assert phone.ladder == ["> INVITE", "< 200", "> ACK", "< BYE", "> 200"]


async def test_a_call_is_ended_from_the_calling_side(stations: Stations) -> None:
    methods: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        methods.append(req.method)
        await res.send(200, body=ANSWER if req.method == "INVITE" else None)

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    await leg.send("INVITE", SDP, body=OFFER)
    await leg.ack(await phone.expect(200))
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    assert methods == ["INVITE", "BYE"], "a BYE comes whether it was asked for or not"
    assert phone.ladder == ["> INVITE", "< 200", "> ACK", "> BYE", "< 200"]


async def test_a_call_of_ours_is_answered_and_ended_by_us(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER)
    invite = await phone.expect("INVITE")
    answer = phone.reply(invite, 200, SDP, body=ANSWER, tag="callee")
    final = await tx.final()
    assert (final.status, final.body) == (200, ANSWER)
    sent = await final.ack()
    ack = await phone.expect("ACK")
    assert sent.headers["Via"] == ack["Via"]
    assert (ack.uri, ack["To"], ack.cseq) == (phone.uri, answer["To"], invite.cseq)
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
    asked = await phone.expect("BYE")
    assert asked.cseq == invite.cseq + 1
    phone.reply(asked, 200)
    assert (await bye.final()).status == 200
    assert phone.ladder == ["< INVITE", "> 200", "< ACK", "< BYE", "> 200"]


async def test_a_call_of_ours_is_ended_by_the_callee(stations: Stations) -> None:
    ended: asyncio.Future[Request] = asyncio.get_running_loop().create_future()

    async def handler(req: Request, res: Response) -> None:
        await res.send(200)
        ended.set_result(req)

    station = await stations.start(handler)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER)
    invite = await phone.expect("INVITE")
    leg = Leg.answering(phone, invite, phone.reply(invite, 200, SDP, body=ANSWER))
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    await leg.send("BYE")
    await phone.expect(200)
    bye = await ended
    assert (bye.method, bye.dialog_id) == ("BYE", final.dialog_id)
    assert phone.ladder == ["< INVITE", "> 200", "< ACK", "> BYE", "< 200"]


async def test_the_handler_is_replaced_while_a_call_runs(stations: Stations) -> None:
    async def bye(req: Request, res: Response) -> None:
        await res.send(200, headers={"X-Handler": "second"})

    async def invite(req: Request, res: Response) -> None:
        sent = res.send(200, body=ANSWER)
        station.agent.handler = bye
        await sent.acked()

    station = await stations.start(invite, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    await leg.send("INVITE", SDP, body=OFFER)
    await leg.ack(await phone.expect(200))
    await leg.send("BYE")
    assert (await phone.expect(200, of="BYE"))["X-Handler"] == "second"


async def test_a_reliable_provisional_response_is_acknowledged(stations: Stations) -> None:
    acked: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        if req.method == "INVITE":
            sent = await res.send(183, body=ANSWER, reliable=True)
            prack = await sent.acked()
            acked.append(prack.headers["RAck"])
            sent = await res.send(200, body=ANSWER)
            acked.append((await sent.acked()).method)
        else:
            await res.send(200)

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE", ("Supported", "100rel"), SDP, body=OFFER)
    progress = await phone.expect(183)
    assert "100rel" in progress["Require"]
    leg.learn(progress)
    rack = f"{progress['RSeq']} {invite.cseq} INVITE"
    await leg.send("PRACK", ("RAck", rack))
    await phone.expect(200, of="PRACK")
    answer = await phone.expect(200, of="INVITE")
    assert answer.tag("To") == progress.tag("To")
    await leg.ack(answer)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    assert acked == [rack, "ACK"]
    assert sorted(phone.ladder[3:5]) == ["< 200", "< 200"]
    assert phone.ladder[:3] + phone.ladder[5:] == ["> INVITE", "< 183", "> PRACK", "> ACK", "> BYE", "< 200"]


async def test_a_reliable_provisional_response_to_us_is_acknowledged(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", headers={"Require": "100rel"}, body=OFFER)
    invite = await phone.expect("INVITE")
    assert "100rel" in invite["Require"]
    phone.reply(invite, 183, ("Require", "100rel"), ("RSeq", "17"), SDP, body=ANSWER, tag="c")
    async for response in tx:
        prack = await response.prack()
        break
    asked = await phone.expect("PRACK")
    assert asked["RAck"] == f"17 {invite.cseq} INVITE"
    phone.reply(asked, 200, tag="c")
    assert (await prack.final()).status == 200
    phone.reply(invite, 200, tag="c")
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
    phone.reply(await phone.expect("BYE"), 200)
    await bye.final()
    assert phone.ladder == [
        "< INVITE", "> 183", "< PRACK", "> 200", "> 200", "< ACK", "< BYE", "> 200",
    ]  # fmt: skip


async def test_the_caller_changes_a_call_with_a_reinvite(stations: Stations) -> None:
    bodies: list[bytes] = []

    async def handler(req: Request, res: Response) -> None:
        bodies.append(req.body)
        sent = await res.send(200, body=ANSWER if req.method == "INVITE" else None)
        if req.method == "INVITE":
            assert (await sent.acked()).cseq.number == req.cseq.number

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    await leg.send("INVITE", SDP, body=OFFER)
    await leg.ack(await phone.expect(200))
    await leg.send("INVITE", SDP, body=OFFER.replace(b"1 1", b"1 2"))
    answer = await phone.expect(200)
    assert answer.body == ANSWER
    await leg.ack(answer)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    assert bodies == [OFFER, OFFER.replace(b"1 1", b"1 2"), b""]


async def test_we_change_a_call_of_ours_with_a_reinvite(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE", body=OFFER)
    invite = await phone.expect("INVITE")
    phone.reply(invite, 200, SDP, body=ANSWER, tag="c")
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    again = await station.agent.request(method="INVITE", dialog=final.dialog_id, body=ANSWER)
    reinvite = await phone.expect("INVITE")
    assert (reinvite.body, reinvite.tag("To"), reinvite.cseq) == (ANSWER, "c", invite.cseq + 1)
    phone.reply(reinvite, 200, SDP, body=OFFER)
    changed = await again.final()
    assert changed.body == OFFER
    assert changed.dialog_id == final.dialog_id
    await changed.ack()
    assert (await phone.expect("ACK")).cseq == reinvite.cseq
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
    phone.reply(await phone.expect("BYE"), 200)
    await bye.final()
    assert phone.ladder == [
        "< INVITE", "> 200", "< ACK", "< INVITE", "> 200", "< ACK", "< BYE", "> 200",
    ]  # fmt: skip


async def test_a_contact_of_the_application_is_the_only_one(stations: Stations) -> None:
    async def handler(req: Request, res: Response) -> None:
        contact = f"<sip:me@127.0.0.1:{station.address[1]};app=1>"
        await res.send(200, headers={"Contact": contact} if req.method == "INVITE" else None)

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    await leg.send("INVITE", SDP, body=OFFER)
    answer = await phone.expect(200)
    assert answer.all("Contact") == [f"<sip:me@127.0.0.1:{station.address[1]};app=1>"]
    await leg.ack(answer)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")


async def test_an_offer_comes_with_the_answer_to_us(stations: Stations) -> None:
    station = await stations.start(nobody)
    phone = await stations.phone()
    tx = await station.agent.request(phone.uri, "INVITE")
    invite = await phone.expect("INVITE")
    assert (invite.body, invite.get("Content-Type")) == (b"", None)
    phone.reply(invite, 200, SDP, body=OFFER)
    final = await tx.final()
    await final.ack(body=ANSWER)
    ack = await phone.expect("ACK")
    assert (ack.body, ack["Content-Type"]) == (ANSWER, "application/sdp")
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
    phone.reply(await phone.expect("BYE"), 200)
    await bye.final()


async def test_an_offer_goes_out_with_our_answer(stations: Stations) -> None:
    answers: list[bytes] = []

    async def handler(req: Request, res: Response) -> None:
        sent = await res.send(200, body=OFFER if req.method == "INVITE" else None)
        if req.method == "INVITE":
            answers.append((await sent.acked()).body)

    station = await stations.start(handler, "invite")
    phone = await stations.phone()
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    answer = await phone.expect(200)
    assert answer.body == OFFER
    await leg.ack(answer, body=ANSWER)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    assert answers == [ANSWER]
