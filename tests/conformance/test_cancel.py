"""The caller's CANCEL and the handler's answer may meet anywhere: one final response goes out, and nothing is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from dracht import CallCancelled, Request, Response

from tests.conformance.phone import LIMIT, Phone
from tests.conformance.station import Station, Stations, eventually, nobody


def spin(condition: Callable[[], bool]) -> None:
    """Keeps the loop, so that the application learns of nothing, until a condition of the engine holds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "the engine did not get there"


def cancels(station: Station) -> int:
    return station.counts()["requests_in_cancel"]


async def cancelled_call(station: Station, phone: Phone) -> None:
    """Calls, cancels once it rings, and acknowledges the 487."""
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    await phone.expect(180)
    await leg.cancel(invite, ("Reason", "SIP;cause=487"))
    await phone.expect(200, of="CANCEL")
    await leg.refused(invite, await phone.expect(487))


async def test_cancel_raises_in_what_the_handler_awaits(stations: Stations, phone: Phone) -> None:
    seen: list[object] = []

    async def handler(req: Request, res: Response) -> None:
        res.send(180)
        try:
            await asyncio.Event().wait()
        except CallCancelled as error:
            seen.extend([error.reason, req.cancelled, req.handled, await res.send(200)])
            raise

    station = await stations.start(handler, "invite")
    await cancelled_call(station, phone)
    assert phone.ladder[:3] == ["> INVITE", "< 180", "> CANCEL"]
    assert sorted(phone.ladder[3:5]) == ["< 200", "< 487"]
    assert phone.ladder[5:] == ["> ACK"]
    await eventually(lambda: len(seen) == 4)
    assert seen[:3] == ["SIP;cause=487", True, True]
    assert phone.count("200") == 1, "only the CANCEL's: a late answer does nothing"


async def test_cancel_ends_the_children_of_a_task_group(stations: Stations, phone: Phone) -> None:
    ended: list[str] = []

    async def child(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def handler(req: Request, res: Response) -> None:
        res.send(180)
        async with asyncio.TaskGroup() as group:
            group.create_task(child("first"))
            group.create_task(child("second"))

    station = await stations.start(handler, "invite")
    await cancelled_call(station, phone)
    await eventually(lambda: len(ended) == 2, ended)


async def test_cancel_ends_the_request_that_the_handler_awaits(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        res.send(180)
        tx = await station.agent.request(callee.uri, "INVITE")
        await tx.final()

    station = await stations.start(handler, "invite")
    callee = await stations.phone()
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    onward = await callee.expect("INVITE")
    callee.reply(onward, 180)
    await phone.expect(180)
    await leg.cancel(invite)
    callee.reply(await callee.expect("CANCEL"), 200)
    callee.reply(onward, 487)
    await callee.expect("ACK")
    await phone.expect(200)
    await leg.refused(invite, await phone.expect(487))
    assert callee.ladder == ["< INVITE", "> 180", "< CANCEL", "> 200", "> 487", "< ACK"]


async def test_cancel_before_the_handler_began(stations: Stations, phone: Phone) -> None:
    seen: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.method)
        try:
            await res.send(180)
            await asyncio.Event().wait()
        except CallCancelled:
            seen.append("cancelled")
            raise

    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    await station.agent.request(phone.uri, "OPTIONS")
    options = await phone.expect("OPTIONS")
    invite = await leg.send("INVITE")
    spin(lambda: station.counts()["requests_in_invite"] == 1)
    await leg.cancel(invite)
    spin(lambda: cancels(station) == 1)
    await phone.expect(200, of="CANCEL")
    await leg.refused(invite, await phone.expect(487))
    phone.reply(options, 200)
    await eventually(lambda: seen in ([], ["INVITE", "cancelled"]), seen)
    assert phone.count("180") == 0


async def test_an_answer_that_meets_a_cancel_under_way_is_not_sent(stations: Stations, phone: Phone) -> None:
    outcome: list[object] = []

    async def handler(req: Request, res: Response) -> None:
        res.send(180)
        await go.wait()
        spin(lambda: cancels(station) == 1)
        sent = res.send(200, body=b"v=0\r\n")
        try:
            await sent.acked()
        except BaseException as error:
            outcome.append(error)
            raise

    go = asyncio.Event()
    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    await phone.expect(180)
    await leg.cancel(invite)
    go.set()
    await phone.expect(200, of="CANCEL")
    await leg.refused(invite, await phone.expect(487))
    await eventually(lambda: outcome)
    assert isinstance(outcome[0], CallCancelled)
    assert phone.count("200") == 1
    assert sorted(phone.ladder) == sorted(["> INVITE", "< 180", "> CANCEL", "< 200", "< 487", "> ACK"])


async def test_a_cancel_after_the_answer_changes_nothing(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        sent = await res.send(200)
        if req.method == "INVITE":
            assert (await sent.acked()).method == "ACK"
            assert not req.cancelled

    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    answer = await phone.expect(200, of="INVITE")
    await leg.cancel(invite)
    await phone.expect(200, of="CANCEL")
    await leg.ack(answer)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    assert phone.count("487") == 0


async def test_a_cancel_of_nothing_gets_481(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody, "invite")
    leg = phone.leg(station.address)
    await leg.send("CANCEL")
    await phone.expect(481)
    assert phone.ladder == ["> CANCEL", "< 481"]


async def test_a_cancel_names_one_of_two_invites_with_one_call_id(stations: Stations, phone: Phone) -> None:
    cancelled: list[str | None] = []

    async def handler(req: Request, res: Response) -> None:
        res.send(180)
        try:
            await go.wait()
        except CallCancelled:
            cancelled.append(req.from_.tag)
            raise
        await res.send(486)

    go = asyncio.Event()
    station = await stations.start(handler, "invite")
    legs = [phone.leg(station.address) for _ in range(2)]
    legs[1].call_id = legs[0].call_id
    first, second = [await leg.send("INVITE") for leg in legs]
    for _ in range(2):
        await phone.expect(180)
    await legs[1].cancel(second)
    await phone.expect(200)
    await legs[1].refused(second, await phone.expect(487))
    await eventually(lambda: cancelled)
    go.set()
    refusal = await phone.expect(486)
    await legs[0].refused(first, refusal)
    assert cancelled == [second.tag("From")]
    assert refusal.tag("From") == first.tag("From")


async def call(station: Station, phone: Phone) -> None:
    """A call of ours, up to its final response."""
    await (await station.agent.request(phone.uri, "INVITE")).final()


async def test_a_cancelled_call_of_ours_that_is_answered_is_ended(stations: Stations, phone: Phone) -> None:
    """RFC 3261 §15: the 200 crossed the CANCEL; the application, which gave up, hears nothing of it."""
    station = await stations.start(nobody)
    calling = asyncio.create_task(call(station, phone))
    invite = await phone.expect("INVITE")
    phone.reply(invite, 180, tag="c")
    await eventually(lambda: station.counts()["dialogs"])
    calling.cancel()
    cancel = await phone.expect("CANCEL")
    phone.reply(invite, 200, tag="c")
    phone.reply(cancel, 200, tag="c")
    await phone.expect("ACK")
    phone.reply(await phone.expect("BYE"), 200)
    assert phone.ladder == ["< INVITE", "> 180", "< CANCEL", "> 200", "> 200", "< ACK", "< BYE", "> 200"]


async def test_a_call_of_ours_is_cancelled_once_it_may_be(stations: Stations, phone: Phone) -> None:
    """RFC 3261 §9.1: a CANCEL waits for a provisional response."""
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE")
    invite = await phone.expect("INVITE")
    await station.agent.request(phone.uri, "OPTIONS")
    cancelling = asyncio.create_task(tx.cancel())
    options = await phone.expect("OPTIONS")
    assert phone.count("CANCEL") == 0
    phone.reply(invite, 180)
    phone.reply(await phone.expect("CANCEL"), 200)
    phone.reply(invite, 487)
    assert (await tx.final()).status == 487
    await cancelling
    await phone.expect("ACK")
    phone.reply(options, 200)


async def test_leaving_the_block_of_a_call_cancels_it(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    async with await station.agent.request(phone.uri, "INVITE"):
        invite = await phone.expect("INVITE")
        phone.reply(invite, 180)
    phone.reply(await phone.expect("CANCEL"), 200)
    phone.reply(invite, 487)
    await phone.expect("ACK")


async def test_a_call_that_takes_too_long_is_cancelled(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE", timeout=0.2)
    invite = await phone.expect("INVITE")
    phone.reply(invite, 180)
    with pytest.raises(TimeoutError, match="no final response"):
        await tx.final()
    phone.reply(await phone.expect("CANCEL"), 200)
    phone.reply(invite, 487)
    await phone.expect("ACK")


async def test_a_cancel_of_a_call_that_nobody_answers_ends_with_it(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody, t1=0.01, t2=0.04)
    tx = await station.agent.request(phone.uri, "INVITE")
    async with asyncio.timeout(LIMIT):
        assert await tx.cancel() is None
    assert (await tx.final()).status == 408
    await phone.expect("INVITE")
    assert set(phone.ladder) == {"< INVITE"}
