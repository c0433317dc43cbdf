"""What UDP loses is sent again, and what comes twice is answered again, by the engine: an application sees each message once."""

from __future__ import annotations

import asyncio

from dracht import Request, Response

from tests.conformance.phone import Phone
from tests.conformance.station import Stations, nobody


async def test_a_repeated_request_gets_the_same_answer_and_comes_once(
    stations: Stations, phone: Phone
) -> None:
    seen: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.method)
        await res.send(200)

    station = await stations.start(handler, "options")
    leg = phone.leg(station.address)
    options = await leg.send("OPTIONS")
    await phone.expect(200)
    await leg.again(options)
    await leg.again(options)
    await phone.repetitions("200", 3)
    assert seen == ["OPTIONS"]
    assert phone.ladder == ["> OPTIONS", "< 200"], "the answers are equal to the byte"


async def test_a_repeated_invite_gets_the_latest_provisional_response(
    stations: Stations, phone: Phone
) -> None:
    seen: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.method)
        res.send(180)
        res.send(183)
        await answer.wait()
        await res.send(486)

    answer = asyncio.Event()
    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    await phone.expect(183)
    await leg.again(invite)
    await phone.repetitions("183", 2)
    answer.set()
    await leg.refused(invite, await phone.expect(486))
    await phone.expect(180)
    assert seen == ["INVITE"]


async def test_a_refusal_is_repeated_until_its_ack(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(486)

    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    refusal = await phone.expect(486)
    await phone.repetitions("486", 3)
    await leg.refused(invite, refusal)


async def test_an_answer_is_repeated_until_its_ack_which_comes_once(stations: Stations, phone: Phone) -> None:
    acks: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        sent = await res.send(200)
        if req.method == "INVITE":
            acks.append((await sent.acked()).method)

    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    answer = await phone.expect(200)
    await phone.repetitions("200", 3)
    ack = await leg.ack(answer)
    await leg.again(ack)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    assert acks == ["ACK"]


async def test_a_lost_request_of_ours_is_sent_again(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    phone.drop = lambda message: len(phone.dropped) < 2
    tx = await station.agent.request(phone.uri, "OPTIONS")
    options = await phone.expect("OPTIONS")
    assert [one.data for one in phone.dropped] == [options.data] * 2
    phone.reply(options, 200)
    assert (await tx.final()).status == 200


async def test_a_repeated_response_comes_once(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE")
    invite = await phone.expect("INVITE")
    for status in (180, 180, 486, 486, 486):
        phone.reply(invite, status, tag="c")
    assert (await tx.final()).status == 486
    await phone.expect("ACK")
    await phone.repetitions("ACK", 3)
    assert [one.status for one in tx.responses] == [180, 180, 486]


async def test_a_repeated_answer_to_us_is_acknowledged_again_by_the_engine(
    stations: Stations, phone: Phone
) -> None:
    """RFC 3261 §13.2.2.4: the ACK is the application's, once; its repetitions are not."""
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE")
    invite = await phone.expect("INVITE")
    phone.reply(invite, 200, tag="c")
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    phone.reply(invite, 200, tag="c")
    phone.reply(invite, 200, tag="c")
    await phone.repetitions("ACK", 3)
    assert [one.status for one in tx.responses] == [200]
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
    phone.reply(await phone.expect("BYE"), 200)
    await bye.final()
    assert phone.ladder == ["< INVITE", "> 200", "< ACK", "< BYE", "> 200"]


async def test_a_request_of_ours_that_nobody_answers_ends_in_408(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody, t1=0.01, t2=0.04)
    tx = await station.agent.request(phone.uri, "OPTIONS")
    final = await tx.final()
    assert final.status == 408
    await phone.expect("OPTIONS")
    assert phone.count("OPTIONS") >= 5


async def test_a_second_answer_of_another_fork_is_acknowledged_and_ended(
    stations: Stations, phone: Phone
) -> None:
    """RFC 3261 §13.2.2.4: a proxy forked our INVITE, and two answered."""
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE")
    invite = await phone.expect("INVITE")
    phone.reply(invite, 200, tag="first")
    final = await tx.final()
    await final.ack()
    assert (await phone.expect("ACK")).tag("To") == "first"
    phone.reply(invite, 200, tag="second")
    assert (await phone.expect("ACK")).tag("To") == "second"
    stray = await phone.expect("BYE")
    assert stray.tag("To") == "second"
    phone.reply(stray, 200)
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
    wanted = await phone.expect("BYE")
    assert wanted.tag("To") == "first"
    phone.reply(wanted, 200)
    assert (await bye.final()).status == 200


async def test_requests_that_follow_the_answer_at_once_are_not_lost(stations: Stations, phone: Phone) -> None:
    """A callee may change the call before the application has done anything with the answer."""
    seen: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.method)
        await res.send(200)

    from tests.conformance.phone import Leg

    station = await stations.start(handler)
    tx = await station.agent.request(phone.uri, "INVITE")
    invite = await phone.expect("INVITE")
    leg = Leg.answering(phone, invite, phone.reply(invite, 200, tag="c"))
    await leg.send("INFO")
    await leg.send("UPDATE")
    for method in ("INFO", "UPDATE"):
        await phone.expect(200, of=method)
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    assert seen == ["INFO", "UPDATE", "BYE"]
