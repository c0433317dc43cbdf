"""`req.proxy` is a stateful proxy (RFC 3261 §16): caller and callee see one call, the result tells of each branch."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from dracht import Address, CommandFailed, ProxyResult, Request, Response
from dracht.handler import Handler

from tests.conformance.phone import Leg, Phone, Received
from tests.conformance.sip import Sip
from tests.conformance.station import Stations, eventually, nobody

SDP = ("Content-Type", "application/sdp")
OFFER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"


def proxy(results: list[ProxyResult], targets: Callable[[], str | Sequence[str]], **options: Any) -> Handler:
    """A handler that proxies everything."""

    async def handler(req: Request, res: Response) -> None:
        results.append(await req.proxy(targets(), **options))

    return handler


class Scene:
    """A caller, a proxy, callees."""

    def __init__(self, caller: Phone, leg: Leg, callees: list[Phone], results: list[ProxyResult]) -> None:
        self.caller = caller
        self.leg = leg
        self.callees = callees
        self.callee = callees[0]
        self.results = results

    async def result(self) -> ProxyResult:
        """What `req.proxy` returned."""
        await eventually(lambda: self.results)
        return self.results[0]

    async def refused(self, invite: Sip, status: int) -> Received:
        """The caller gets this final response, and acknowledges it."""
        answer = await self.caller.expect(status)
        await self.leg.refused(invite, answer)
        return answer


async def scene(
    stations: Stations, count: int = 1, engine: dict[str, Any] | None = None, **options: Any
) -> Scene:
    results: list[ProxyResult] = []
    callees = [await stations.phone() for _ in range(count)]
    handler = proxy(results, lambda: [phone.uri for phone in callees], **options)
    station = await stations.start(handler, "invite", "options", **(engine or {}))
    caller = await stations.phone()
    return Scene(caller, caller.leg(station.address), callees, results)


async def test_max_forwards_zero_is_too_many_hops(stations: Stations) -> None:
    codes: list[str] = []
    callee = await stations.phone()

    async def handler(req: Request, res: Response) -> None:
        try:
            await req.proxy(callee.uri)
        except CommandFailed as error:
            codes.append(error.code)

    station = await stations.start(handler, "invite")
    caller = await stations.phone()
    leg = caller.leg(station.address)
    invite = await leg.send("INVITE", forwards=0)
    await leg.refused(invite, await caller.expect(483))
    await eventually(lambda: codes)
    assert codes == ["too-many-hops"]
    assert caller.ladder == ["> INVITE", "< 483", "> ACK"]
    assert callee.record == []


async def test_max_forwards_is_counted_down(stations: Stations) -> None:
    it = await scene(stations, record_route=True)
    await it.leg.send("INVITE", SDP, body=OFFER, forwards=11)
    invite = await it.callee.expect("INVITE")
    assert (invite["Max-Forwards"], invite.body) == ("10", OFFER)
    assert len(invite.all("Via")) == 2
    answer = it.callee.reply(invite, 200, ("X-Echo", invite["Max-Forwards"]), tag="c")
    seen = await it.caller.expect(200)
    assert (seen["X-Echo"], seen["To"], len(seen.all("Via"))) == ("10", answer["To"], 1)
    await it.leg.ack(seen)
    await it.callee.expect("ACK")
    await it.leg.send("BYE")
    it.callee.reply(await it.callee.expect("BYE"), 200)
    await it.caller.expect(200)
    result = await it.result()
    assert (result.final_status, result.connected) == (200, True)


async def test_a_missing_max_forwards_is_added(stations: Stations) -> None:
    it = await scene(stations)
    await it.leg.send("OPTIONS", forwards=None)
    options = await it.callee.expect("OPTIONS")
    assert options["Max-Forwards"] == "70"
    it.callee.reply(options, 200)
    await it.caller.expect(200)


async def test_a_recording_proxy_stays_on_the_path(stations: Stations) -> None:
    it = await scene(stations, record_route=True)
    await it.leg.send("INVITE")
    invite = await it.callee.expect("INVITE")
    (route,) = invite.all("Record-Route")
    assert "lr" in route
    answer = it.callee.reply(invite, 200)
    back = Leg.answering(it.callee, invite, answer)
    seen = await it.caller.expect(200)
    assert seen.all("Record-Route") == [route]
    await it.leg.ack(seen)
    ack = await it.callee.expect("ACK")
    assert (ack.get("Route"), len(ack.all("Via"))) == (None, 2)
    await back.send("BYE")
    bye = await it.caller.expect("BYE")
    assert bye.uri == it.caller.uri
    it.caller.reply(bye, 200)
    await it.callee.expect(200)
    assert it.caller.ladder == ["> INVITE", "< 200", "> ACK", "< BYE", "> 200"]
    assert it.callee.ladder == ["< INVITE", "> 200", "< ACK", "> BYE", "< 200"]


@pytest.mark.parametrize("options", [{}, {"record_route": False}], ids=["default", "asked"])
async def test_a_proxy_leaves_the_path(stations: Stations, options: dict[str, Any]) -> None:
    it = await scene(stations, **options)
    await it.leg.send("INVITE")
    invite = await it.callee.expect("INVITE")
    assert invite.all("Record-Route") == []
    it.callee.reply(invite, 200)
    seen = await it.caller.expect(200)
    it.leg.server = (it.callee.host, it.callee.port)
    await it.leg.ack(seen)
    await it.callee.expect("ACK")
    await it.leg.send("BYE")
    it.callee.reply(await it.callee.expect("BYE"), 200)
    await it.caller.expect(200)
    assert it.callee.ladder == ["< INVITE", "> 200", "< ACK", "< BYE", "> 200"]


async def test_reliable_provisional_responses_pass_a_recording_proxy(stations: Stations) -> None:
    it = await scene(stations, record_route=True)
    await it.leg.send("INVITE", ("Supported", "100rel"))
    invite = await it.callee.expect("INVITE")
    it.callee.reply(invite, 183, ("Require", "100rel"), ("RSeq", "5"), tag="c")
    progress = await it.caller.expect(183)
    assert progress["RSeq"] == "5"
    it.leg.learn(progress)
    await it.leg.send("PRACK", ("RAck", f"5 {invite.cseq} INVITE"))
    prack = await it.callee.expect("PRACK")
    assert prack["RAck"] == f"5 {invite.cseq} INVITE"
    it.callee.reply(prack, 200, tag="c")
    await it.caller.expect(200, of="PRACK")
    it.callee.reply(invite, 200, tag="c")
    await it.leg.ack(await it.caller.expect(200, of="INVITE"))
    await it.callee.expect("ACK")
    await it.leg.send("BYE")
    it.callee.reply(await it.callee.expect("BYE"), 200)
    await it.caller.expect(200, of="BYE")
    result = await it.result()
    assert [one.status for one in result.responses[0].messages][-1] == 200


async def test_a_refusal_is_passed_on(stations: Stations) -> None:
    it = await scene(stations)
    invite = await it.leg.send("INVITE")
    onward = await it.callee.expect("INVITE")
    it.callee.reply(onward, 486, ("X-Why", "talking"), reason="Busy", tag="c")
    await it.callee.expect("ACK")
    refusal = await it.refused(invite, 486)
    assert (refusal.reason, refusal["X-Why"], refusal.tag("To")) == ("Busy", "talking", "c")
    result = await it.result()
    assert (result.final_status, result.connected) == (486, False)
    assert result.winner is not None
    assert (result.winner.address, result.winner.port) == (it.callee.host, it.callee.port)
    assert it.callee.ladder == ["< INVITE", "> 486", "< ACK"]


async def test_the_engines_100_goes_no_further_and_the_callees_100_neither(stations: Stations) -> None:
    it = await scene(stations)
    invite = await it.leg.send("INVITE")
    assert (await it.caller.expect(100)).get("Contact") is None
    onward = await it.callee.expect("INVITE")
    it.callee.reply(onward, 100)
    it.callee.reply(onward, 404)
    await it.callee.expect("ACK")
    await it.refused(invite, 404)
    assert it.caller.count("100") == 1
    result = await it.result()
    assert [one.status for branch in result.responses for one in branch.messages] == [404]


@pytest.mark.parametrize("record_route", [False, True], ids=["leaving", "staying"])
async def test_redirects_are_passed_on_by_default(stations: Stations, record_route: bool) -> None:
    it = await scene(stations, record_route=record_route)
    elsewhere = await stations.phone()
    invite = await it.leg.send("INVITE")
    it.callee.reply(await it.callee.expect("INVITE"), 302, ("Contact", f"<{elsewhere.uri}>"))
    await it.callee.expect("ACK")
    assert (await it.refused(invite, 302))["Contact"] == f"<{elsewhere.uri}>"
    assert elsewhere.record == []


@pytest.mark.parametrize("record_route", [False, True], ids=["leaving", "staying"])
async def test_redirects_are_followed_where_asked(stations: Stations, record_route: bool) -> None:
    it = await scene(stations, follow_redirects=True, record_route=record_route)
    elsewhere = await stations.phone()
    await it.leg.send("INVITE")
    first = await it.callee.expect("INVITE")
    it.callee.reply(first, 302, ("Contact", f"<{elsewhere.uri}>"))
    await it.callee.expect("ACK")
    second = await elsewhere.expect("INVITE")
    assert second.uri == elsewhere.uri
    assert second.branch != first.branch
    assert len(second.all("Record-Route")) == record_route
    elsewhere.reply(second, 200)
    answer = await it.caller.expect(200)
    if not record_route:
        it.leg.server = (elsewhere.host, elsewhere.port)
    await it.leg.ack(answer)
    await elsewhere.expect("ACK")
    await it.leg.send("BYE")
    elsewhere.reply(await elsewhere.expect("BYE"), 200)
    await it.caller.expect(200)
    result = await it.result()
    assert (result.final_status, len(result.responses)) == (200, 2)
    assert result.winner is not None
    assert result.winner.port == elsewhere.port
    assert it.caller.count("302") == 0


@pytest.mark.parametrize("timeout", ["100ms", "0.1s", 0.1], ids=["milliseconds", "seconds", "number"])
async def test_a_target_without_a_provisional_response_is_passed_over(
    stations: Stations, timeout: str | float
) -> None:
    it = await scene(stations, 2, {"t1": 0.015}, provisional_timeout=timeout)
    dead, alive = it.callees
    await it.leg.send("INVITE")
    await dead.expect("INVITE")
    invite = await alive.expect("INVITE")
    alive.reply(invite, 200)
    answer = await it.caller.expect(200)
    it.leg.server = (alive.host, alive.port)
    await it.leg.ack(answer)
    await alive.expect("ACK")
    await it.leg.send("BYE")
    alive.reply(await alive.expect("BYE"), 200)
    await it.caller.expect(200)
    assert (await it.result()).final_status == 200
    assert set(dead.ladder) == {"< INVITE"}, "there is nothing to cancel (RFC 3261 §9.1)"


async def test_a_target_without_a_final_response_is_passed_over(stations: Stations) -> None:
    it = await scene(stations, 2, final_timeout=0.1)
    slow, quick = it.callees
    invite = await it.leg.send("INVITE")
    first = await slow.expect("INVITE")
    slow.reply(first, 180)
    cancel = await slow.expect("CANCEL")
    assert cancel.branch == first.branch
    slow.reply(cancel, 200)
    slow.reply(first, 487)
    await slow.expect("ACK")
    second = await quick.expect("INVITE")
    quick.reply(second, 603)
    await quick.expect("ACK")
    await it.caller.expect(180)
    await it.refused(invite, 603)
    assert (await it.result()).final_status == 603
    assert slow.ladder == ["< INVITE", "> 180", "< CANCEL", "> 200", "> 487", "< ACK"]


async def test_several_invites_are_cancelled_one_after_the_other(stations: Stations) -> None:
    it = await scene(stations, 3, final_timeout=0.1)
    invite = await it.leg.send("INVITE")
    for callee in it.callees:
        onward = await callee.expect("INVITE")
        callee.reply(onward, 180)
        callee.reply(await callee.expect("CANCEL"), 200)
        callee.reply(onward, 487)
        await callee.expect("ACK")
    for _ in it.callees:
        await it.caller.expect(180)
    answer = await it.caller.expect(408, 487)
    await it.leg.refused(invite, answer)
    assert (await it.result()).final_status == answer.status
    for callee in it.callees:
        assert callee.ladder == ["< INVITE", "> 180", "< CANCEL", "> 200", "> 487", "< ACK"]


async def test_the_first_of_a_simultaneous_search_wins(stations: Stations) -> None:
    it = await scene(stations, 2, forking="simultaneous", record_route=True)
    first, second = it.callees
    await it.leg.send("INVITE")
    invites = [await callee.expect("INVITE") for callee in it.callees]
    assert invites[0].branch != invites[1].branch
    second.reply(invites[1], 180, tag="second")
    first.reply(invites[0], 180, tag="first")
    for _ in range(2):
        await it.caller.expect(180)
    first.reply(invites[0], 200, tag="first")
    cancel = await second.expect("CANCEL")
    second.reply(cancel, 200, tag="second")
    second.reply(invites[1], 487, tag="second")
    await second.expect("ACK")
    answer = await it.caller.expect(200)
    assert answer.tag("To") == "first"
    await it.leg.ack(answer)
    await first.expect("ACK")
    await it.leg.send("BYE")
    first.reply(await first.expect("BYE"), 200)
    await it.caller.expect(200)
    result = await it.result()
    assert result.winner is not None
    assert (result.final_status, result.winner.port) == (200, first.port)
    assert it.caller.ladder == ["> INVITE", "< 180", "< 180", "< 200", "> ACK", "> BYE", "< 200"]
    assert second.ladder == ["< INVITE", "> 180", "< CANCEL", "> 200", "> 487", "< ACK"]


async def test_a_discarded_branch_is_cancelled_once_it_answers(stations: Stations) -> None:
    """RFC 3261 §9.1: a CANCEL may only follow a provisional response, however late it comes."""
    it = await scene(stations, 2, forking="simultaneous", record_route=True)
    first, late = it.callees
    await it.leg.send("INVITE")
    invites = [await callee.expect("INVITE") for callee in it.callees]
    first.reply(invites[0], 200, tag="first")
    answer = await it.caller.expect(200)
    await it.leg.ack(answer)
    await first.expect("ACK")
    assert late.count("CANCEL") == 0
    late.reply(invites[1], 180, tag="late")
    late.reply(await late.expect("CANCEL"), 200, tag="late")
    late.reply(invites[1], 487, tag="late")
    await late.expect("ACK")
    await it.leg.send("BYE")
    first.reply(await first.expect("BYE"), 200)
    await it.caller.expect(200)
    assert (await it.result()).final_status == 200
    assert it.caller.ladder == ["> INVITE", "< 200", "> ACK", "> BYE", "< 200"]


async def test_both_answers_of_a_forked_call_reach_the_caller(stations: Stations) -> None:
    """RFC 3261 §16.7 item 5: every 2xx is passed on, and the caller ends the one it does not want."""
    it = await scene(stations, 2, forking="simultaneous", record_route=True)
    await it.leg.send("INVITE")
    invites = [await callee.expect("INVITE") for callee in it.callees]
    for at, callee in enumerate(it.callees):
        callee.reply(invites[at], 200, tag=f"tag{at}")
    answers = [await it.caller.expect(200) for _ in it.callees]
    assert {answer.tag("To") for answer in answers} == {"tag0", "tag1"}
    for answer in answers:
        callee = it.callees[int((answer.tag("To") or "")[-1])]
        await it.leg.ack(answer)
        await callee.expect("ACK")
        await it.leg.send("BYE")
        callee.reply(await callee.expect("BYE"), 200)
        await it.caller.expect(200, of="BYE")
    for callee in it.callees:
        callee._waiting = [message for message in callee._waiting if message.method != "CANCEL"]


async def test_a_603_ends_a_simultaneous_search(stations: Stations) -> None:
    it = await scene(stations, 2, forking="simultaneous")
    first, second = it.callees
    invite = await it.leg.send("INVITE")
    invites = [await callee.expect("INVITE") for callee in it.callees]
    second.reply(invites[1], 180)
    await it.caller.expect(180)
    first.reply(invites[0], 603)
    await first.expect("ACK")
    second.reply(await second.expect("CANCEL"), 200)
    second.reply(invites[1], 487)
    await second.expect("ACK")
    await it.refused(invite, 603)
    assert (await it.result()).final_status == 603


async def test_the_best_of_several_refusals_is_passed_on(stations: Stations) -> None:
    it = await scene(stations, 3)
    invite = await it.leg.send("INVITE")
    for callee, status in zip(it.callees, (503, 486, 404), strict=True):
        callee.reply(await callee.expect("INVITE"), status)
        await callee.expect("ACK")
    answer = await it.caller.expect(486, 404)
    await it.leg.refused(invite, answer)
    result = await it.result()
    assert result.final_status == answer.status
    assert sorted(one.messages[-1].status for one in result.responses) == [404, 486, 503]


async def test_the_callers_cancel_reaches_every_branch(stations: Stations) -> None:
    it = await scene(stations, 2, forking="simultaneous")
    invite = await it.leg.send("INVITE")
    invites = [await callee.expect("INVITE") for callee in it.callees]
    for at, callee in enumerate(it.callees):
        callee.reply(invites[at], 180, tag=f"tag{at}")
        await it.caller.expect(180)
    await it.leg.cancel(invite, ("Reason", "SIP;cause=487"), ("Reason", 'Q.850;cause=16;text="bye"'))
    await it.caller.expect(200, of="CANCEL")
    for at, callee in enumerate(it.callees):
        cancel = await callee.expect("CANCEL")
        assert cancel.branch == invites[at].branch
        assert ", ".join(cancel.all("Reason")) == 'SIP;cause=487, Q.850;cause=16;text="bye"'
        callee.reply(cancel, 200, tag=f"tag{at}")
        callee.reply(invites[at], 487, tag=f"tag{at}")
        await callee.expect("ACK")
    await it.refused(invite, 487)
    assert (await it.result()).final_status == 487


async def test_targets_of_equal_q_ring_together_and_the_next_follow(stations: Stations) -> None:
    results: list[ProxyResult] = []
    low, high, also = callees = [await stations.phone() for _ in range(3)]

    async def handler(req: Request, res: Response) -> None:
        weighted: list[Address | tuple[str, float]] = [
            (low.uri, 0.2),
            Address.parse(f"<{high.uri}>;q=0.7"),
            (also.uri, 0.7),
        ]
        results.append(await req.proxy(weighted, forking="by_q", record_route=True))

    station = await stations.start(handler, "invite")
    caller = await stations.phone()
    leg = caller.leg(station.address)
    await leg.send("INVITE", ("Max-Breadth", "5"))
    invites = [await high.expect("INVITE"), await also.expect("INVITE")]
    assert sum(int(invite["Max-Breadth"]) for invite in invites) <= 5
    high.reply(invites[0], 486)
    await high.expect("ACK")
    assert low.record == []
    also.reply(invites[1], 480)
    await also.expect("ACK")
    last = await low.expect("INVITE")
    assert (last.uri, last["Max-Breadth"]) == (low.uri, "5")
    low.reply(last, 200)
    await leg.ack(await caller.expect(200))
    await low.expect("ACK")
    await leg.send("BYE")
    low.reply(await low.expect("BYE"), 200)
    await caller.expect(200)
    await eventually(lambda: results)
    assert results[0].winner is not None
    assert results[0].winner.port == low.port
    assert [callee.count("INVITE") for callee in callees] == [1, 1, 1]


async def test_a_cancelled_task_cancels_every_branch(stations: Stations) -> None:
    tasks: list[asyncio.Task[ProxyResult]] = []
    ended: list[bool] = []
    callees = [await stations.phone() for _ in range(2)]

    async def handler(req: Request, res: Response) -> None:
        uris = [callee.uri for callee in callees]
        tasks.append(asyncio.ensure_future(req.proxy(uris, forking="simultaneous")))
        with contextlib.suppress(asyncio.CancelledError):
            await tasks[0]
        ended.append(tasks[0].cancelled())

    station = await stations.start(handler, "invite")
    caller = await stations.phone()
    leg = caller.leg(station.address)
    invite = await leg.send("INVITE")
    invites = [await callee.expect("INVITE") for callee in callees]
    for callee, onward in zip(callees, invites, strict=True):
        callee.reply(onward, 180)
        await caller.expect(180)
    tasks[0].cancel()
    for callee, onward in zip(callees, invites, strict=True):
        cancel = await callee.expect("CANCEL")
        assert cancel.branch == onward.branch
        callee.reply(cancel, 200)
        callee.reply(onward, 487)
        await callee.expect("ACK")
    await leg.refused(invite, await caller.expect(487))
    assert ended == [True]


async def test_a_search_is_given_up_with_a_status_and_a_reason(stations: Stations) -> None:
    results: list[ProxyResult] = []
    callee = await stations.phone()
    requests: list[Request] = []

    async def handler(req: Request, res: Response) -> None:
        requests.append(req)
        results.append(await req.proxy(callee.uri))

    station = await stations.start(handler, "invite", "message")
    caller = await stations.phone()
    leg = caller.leg(station.address)
    invite = await leg.send("INVITE")
    onward = await callee.expect("INVITE")
    callee.reply(onward, 180)
    await caller.expect(180)
    with pytest.raises(ValueError, match="300 to 699"):
        requests[0].cancel_proxy(200)
    requests[0].cancel_proxy(480, 'SIP;cause=480;text="Gone home"')
    cancel = await callee.expect("CANCEL")
    assert cancel["Reason"] == 'SIP;cause=480;text="Gone home"'
    callee.reply(cancel, 200)
    callee.reply(onward, 487)
    await callee.expect("ACK")
    await leg.refused(invite, await caller.expect(480))
    await eventually(lambda: results)
    # A request other than INVITE is answered at once, and the target's answer goes nowhere.
    second = await stations.phone()
    await second.leg(station.address).send("MESSAGE")
    message = await callee.expect("MESSAGE")
    requests[1].cancel_proxy(503)
    await second.expect(503)
    callee.reply(message, 200)
    await eventually(lambda: len(results) > 1)
    assert second.ladder == ["> MESSAGE", "< 503"]
    # Over either link the result says what the caller got, which no target answered.
    assert [(one.final_status, one.winner) for one in results] == [(480, None), (503, None)]


IDENTITY = (("P-Asserted-Identity", "<sip:alice@example.com>"), ("Privacy", "id"))


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("type", ["stateful", "stateless"])
async def test_targets_outside_the_trusted_network_do_not_learn_who_wants_to_be_private(
    stations: Stations, trusted: bool, type: str
) -> None:
    it = await scene(stations, trusted=trusted, type=type)
    await it.leg.send("OPTIONS", *IDENTITY)
    options = await it.callee.expect("OPTIONS")
    assert (options.get("P-Asserted-Identity") is not None) is trusted
    assert options["Privacy"] == "id"
    it.callee.reply(options, 200)
    await it.caller.expect(200)


async def test_a_route_of_the_application_leads_the_way(stations: Stations) -> None:
    edge, results = await stations.phone(), []

    async def handler(req: Request, res: Response) -> None:
        route = f"<{edge.uri};lr>"
        results.append(await req.proxy("sip:bob@192.0.2.77", headers={"Route": route}))

    station = await stations.start(handler, "options")
    caller = await stations.phone()
    await caller.leg(station.address).send("OPTIONS")
    options = await edge.expect("OPTIONS")
    assert options.all("Route") == [f"<{edge.uri};lr>"]
    assert "sip:bob@192.0.2.77" in options.start
    edge.reply(options, 200)
    await caller.expect(200)
    await eventually(lambda: results)


async def test_targets_that_never_answer_end_in_408(stations: Stations) -> None:
    it = await scene(stations, engine={"t1": 0.01, "t2": 0.04})
    invite = await it.leg.send("INVITE")
    await it.callee.expect("INVITE")
    await it.refused(invite, 408)
    result = await it.result()
    assert (result.final_status, result.connected) == (408, False)
    assert it.callee.count("INVITE") >= 6, "timer A doubles from T1 until 64*T1"


@pytest.mark.parametrize(
    ("targets", "code"),
    [("sip:", "invalid-uri"), ([f"sip:u{number}@127.0.0.1" for number in range(129)], "limit")],
    ids=["unreadable", "too many"],
)
async def test_targets_that_cannot_be_taken_fail_and_the_request_can_be_answered(
    stations: Stations, targets: str | list[str], code: str
) -> None:
    codes: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        try:
            await req.proxy(targets)
        except CommandFailed as error:
            codes.append(error.code)
        await res.send(404)

    station = await stations.start(handler, "options")
    phone = await stations.phone()
    await phone.leg(station.address).send("OPTIONS")
    await phone.expect(404)
    assert codes == [code]


async def test_header_fields_are_added_to_what_is_forwarded(stations: Stations) -> None:
    it = await scene(stations, headers={"User-Agent": "dracht rocks!", "X-Two": ["a", "b"]})
    await it.leg.send("OPTIONS", ("X-Own", "kept, as sent"), ("Subject", "é"))
    options = await it.callee.expect("OPTIONS")
    assert (options["User-Agent"], options.all("X-Two")) == ("dracht rocks!", ["a", "b"])
    assert (options["X-Own"], options["Subject"]) == ("kept, as sent", "é")
    it.callee.reply(options, 200)
    await it.caller.expect(200)
    assert (await it.result()).to_dict()["finalStatus"] == 200


async def test_a_second_proxying_of_one_request_fails(stations: Stations) -> None:
    codes: list[str] = []
    callee = await stations.phone()

    async def handler(req: Request, res: Response) -> None:
        first = asyncio.create_task(req.proxy(callee.uri))
        await asyncio.sleep(0)
        try:
            await req.proxy(callee.uri)
        except CommandFailed as error:
            codes.append(error.code)
        await first

    station = await stations.start(handler, "options")
    phone = await stations.phone()
    await phone.leg(station.address).send("OPTIONS")
    callee.reply(await callee.expect("OPTIONS"), 200)
    await phone.expect(200)
    await eventually(lambda: codes)
    assert codes in (["already-proxied"], ["unknown-transaction"])
    assert callee.ladder == ["< OPTIONS", "> 200"]


async def test_a_request_without_state_takes_its_cancel_and_ack_along(stations: Stations) -> None:
    """RFC 3261 §16.11; the application sees repetitions, and chooses the same target."""
    it = await scene(stations, type="stateless", engine={"trying_after": 5})
    invite = await it.leg.send("INVITE")
    onward = await it.callee.expect("INVITE")
    result = await it.result()
    assert (result.final_status, result.responses) == (None, [])
    it.callee.reply(onward, 180)
    await it.caller.expect(180)
    await it.leg.cancel(invite, ("Reason", "SIP;cause=487"))
    cancel = await it.callee.expect("CANCEL")
    assert (cancel.branch, cancel.uri, cancel["Reason"]) == (onward.branch, it.callee.uri, "SIP;cause=487")
    it.callee.reply(cancel, 200)
    await it.caller.expect(200, of="CANCEL")
    it.callee.reply(onward, 487)
    await it.refused(invite, 487)
    ack = await it.callee.expect("ACK")
    assert ack.branch == onward.branch
    assert it.callee.ladder == ["< INVITE", "> 180", "< CANCEL", "> 200", "> 487", "< ACK"]


@pytest.mark.parametrize(
    ("path", "supported", "status", "paths"),
    [
        ("always", False, 200, 1),
        ("if_supported", False, 200, 0),
        ("if_supported", True, 200, 1),
        ("required", True, 200, 1),
        ("required", False, 421, 0),
    ],
)
async def test_path_depends_on_the_user_agent_as_asked(
    stations: Stations, path: str, supported: bool, status: int, paths: int
) -> None:
    registrar = await stations.phone()

    async def handler(req: Request, res: Response) -> None:
        with contextlib.suppress(CommandFailed):
            await req.proxy(registrar.uri, record_route=True, path=path)  # type: ignore[arg-type]

    station = await stations.start(handler, "register")
    phone = await stations.phone()
    await phone.leg(station.address).send("REGISTER", *([("Supported", "path")] if supported else []))
    if status == 200:
        register = await registrar.expect("REGISTER")
        assert len(register.all("Path")) == paths
        route = ("Service-Route", "<sip:home.example;lr>, <sip:more.example;lr>")
        registrar.reply(register, 200, route, *(("Path", value) for value in register.all("Path")))
    answer = await phone.expect(status)
    if status == 421:
        assert answer["Require"] == "path"
    else:
        assert answer["Service-Route"] == "<sip:home.example;lr>, <sip:more.example;lr>"
        assert len(answer.all("Path")) == paths


async def test_a_preloaded_route_is_where_a_request_of_ours_goes(stations: Stations) -> None:
    """RFC 3608 §6.1: what a Service-Route names is the route of the next requests."""
    proxy = await stations.phone()
    station = await stations.start(nobody)
    first = f"<sip:{proxy.host}:{proxy.port};lr>"
    sent = await station.agent.request(
        "sip:bob@home.example", "MESSAGE", headers={"Route": [first, "<sip:hsp.home.example;lr>"]}
    )
    message = await proxy.expect("MESSAGE")
    assert message.uri == "sip:bob@home.example"
    assert ", ".join(message.all("Route")) == f"{first}, <sip:hsp.home.example;lr>"
    proxy.reply(message, 200)
    assert (await sent.final()).status == 200
