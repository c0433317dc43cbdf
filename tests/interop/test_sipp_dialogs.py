"""SIPp changes sessions with us: UPDATE (RFC 3311), re-INVITE, target refresh, CANCEL, loss; each end as caller and callee."""

from __future__ import annotations

import asyncio

import pytest
from dracht import Request, Response

from tests.interop.conftest import RealStations
from tests.interop.party import Party
from tests.interop.peers import sipp
from tests.interop.peers.process import Peers, eventually, steps
from tests.interop.sdp import direction, sdp

pytestmark = pytest.mark.peer("sipp")


async def test_a_caller_updates_early_and_confirmed(stations: RealStations, peers: Peers) -> None:
    updated = asyncio.Event()
    ours = Party()

    async def answer(req: Request, res: Response) -> None:
        ours.seen.append(await res.send(183, body=sdp(), reliable=True).acked())
        await updated.wait()
        ours.seen.append(await res.send(200).acked())

    ours = Party(answer=answer)
    ours.station = await stations.start(ours.handler, "invite")
    caller = await sipp.start(peers, "uac_update", ours.station.address)
    await eventually(lambda: "UPDATE" in ours.methods, lambda: ours.methods)
    await caller.saw(200, sent=False, of="UPDATE")
    updated.set()
    await ours.saw("INVITE PRACK UPDATE ACK UPDATE")
    answered = await ours.within(ours.dialog, "UPDATE", sdp("sendonly", version=4))
    assert (answered.status, direction(answered.body)) == (200, "recvonly")
    await caller.finished()
    await ours.saw("INVITE PRACK UPDATE ACK UPDATE BYE")

    await caller.expect(
        steps(">INVITE <183 >PRACK <200 >UPDATE <200 <200 >ACK >UPDATE <200 <UPDATE >200 >BYE <200")
    )
    early, confirmed = caller.messages("UPDATE", sent=True)
    assert early.tag("To") == confirmed.tag("To") == caller.message(183, sent=False).tag("To")
    assert caller.message("UPDATE", sent=False)["Contact"] == f"<sip:{ours.address}>"


async def test_a_callee_updates_early_and_confirmed(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite")
    callee = await sipp.start(peers, "uas_update", ours.station.address)
    answer = await ours.call(
        callee.uri, headers={"Supported": "100rel", "Allow": "INVITE, ACK, BYE, CANCEL, PRACK, UPDATE"}
    )
    assert answer.status == 200
    await ours.saw("UPDATE UPDATE")
    await callee.saw(200, sent=False, of="UPDATE", count=2)
    answered = await ours.within(answer.dialog_id, "UPDATE", sdp("sendonly", version=4))
    assert (answered.status, direction(answered.body)) == (200, "recvonly")
    await ours.hang_up(answer.dialog_id)
    await callee.finished()

    await callee.expect(
        steps("<INVITE >183 <PRACK >200 >UPDATE <200 >200 <ACK >UPDATE <200 <UPDATE >200 <BYE >200")
    )
    assert [direction(update.body) for update in ours.seen] == ["sendonly", "sendrecv"]
    invite, update, bye = (callee.message(method, sent=False) for method in ("INVITE", "UPDATE", "BYE"))
    # PRACK, UPDATE, BYE: each one further (RFC 3261 §12.2.1.1).
    assert (update.cseq, bye.cseq) == (invite.cseq + 2, invite.cseq + 3)


async def test_a_caller_holds_and_is_held(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite")
    caller = await sipp.start(peers, "uac_reinvite", ours.station.address)
    await ours.saw("INVITE ACK INVITE ACK INVITE ACK")
    hold = await ours.within(ours.dialog, "INVITE", sdp("sendonly", version=4))
    assert (hold.status, direction(hold.body)) == (200, "recvonly")
    back = await ours.within(ours.dialog, "INVITE", sdp(version=5))
    assert (back.status, direction(back.body)) == (200, "sendrecv")
    await caller.finished()
    await ours.saw("INVITE ACK INVITE ACK INVITE ACK BYE")

    change = ">INVITE <200 >ACK "
    answered = "<INVITE >200 <ACK "
    await caller.expect(steps(">INVITE <180 <200 >ACK " + change * 2 + answered * 2 + ">BYE <200"))
    assert [invite.uri for invite in caller.messages("INVITE", sent=False)] == [
        f"sip:caller@127.0.0.1:{caller.port}"
    ] * 2
    sequence = [invite.cseq for invite in caller.messages("INVITE", sent=False)]
    assert sequence[1] == sequence[0] + 1


async def test_a_callee_is_held_holds_and_moves(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite")
    callee = await sipp.start(peers, "uas_reinvite", ours.station.address)
    answer = await ours.call(callee.uri)
    for number, way in enumerate(("sendonly", "sendrecv"), 2):
        changed = await ours.within(answer.dialog_id, "INVITE", sdp(way, version=number))
        expected = {"sendonly": "recvonly", "sendrecv": "sendrecv"}[way]
        assert (changed.status, direction(changed.body)) == (200, expected)
    await ours.saw("INVITE ACK")
    await ours.hang_up(answer.dialog_id)
    await callee.finished()

    came = "<INVITE >200 <ACK "
    await callee.expect(steps(came * 3 + ">INVITE <200 >ACK <BYE >200"))
    # RFC 3261 §12.2.1.2: the re-INVITE's Contact is the new remote target, for the BYE as for all that follows.
    assert callee.message("BYE", sent=False).uri == f"sip:moved@127.0.0.1:{callee.port}"
    assert direction(ours.last("INVITE").body) == "sendonly"


async def test_a_caller_cancels(stations: RealStations, peers: Peers) -> None:
    async def ring(req: Request, res: Response) -> None:
        await res.send(180)
        await asyncio.Event().wait()

    ours = Party(answer=ring)
    ours.station = await stations.start(ours.handler, "invite")
    caller = await sipp.start(peers, "uac_cancel", ours.station.address)
    await caller.finished()
    await caller.expect(steps(">INVITE <180 >CANCEL <200 <487 >ACK"))
    assert ours.methods == ["INVITE"]
    cancel = ours.seen[0].cancel_message
    assert cancel is not None
    assert cancel.header("Reason") == "Q.850;cause=16"
    # RFC 3261 §9.2: the To tag of the 200 to the CANCEL is that of the 487.
    statuses = [caller.message(200, sent=False, of="CANCEL"), caller.message(487, sent=False)]
    assert len({message.tag("To") for message in statuses}) == 1


async def test_a_callee_is_cancelled(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite")
    callee = await sipp.start(peers, "uas_cancel", ours.station.address)
    invite = await ours.agent.request(callee.uri, "INVITE", body=sdp())
    async for response in invite:
        if response.status == 180:
            await invite.cancel(headers={"Reason": 'SIP;cause=200;text="Call completed elsewhere"'})
    assert (await invite.final()).status == 487
    await callee.finished()
    await callee.expect(steps("<INVITE >180 <CANCEL >200 >487 <ACK"))
    branches = {callee.message(method, sent=False).branch for method in ("INVITE", "CANCEL", "ACK")}
    assert len(branches) == 1, "RFC 3261 §9.1, §17.1.1.3: CANCEL and ACK have the branch of the INVITE"


async def test_calls_survive_a_lossy_peer(stations: RealStations, peers: Peers) -> None:
    """A fifth is lost in either direction; what is lost is repeated, and every call ends as it should."""
    calls = 40
    ours = Party(reliable=True)
    ours.station = await stations.start(ours.handler, "invite")
    # A repeated PRACK gets its 200 again, perhaps when SIPp is about to send the BYE: no reason to give the call up.
    repeat = (
        "-max_invite_retrans",
        "15",
        "-max_non_invite_retrans",
        "15",
        "-default_behaviors",
        "all,-abortunexp",
    )
    caller = await sipp.start(peers, "uac_lossy", ours.station.address, calls=calls, rate=40, options=repeat)
    await caller.finished()
    await eventually(lambda: ours.methods.count("BYE") == calls, lambda: ours.methods)
    for method in ("INVITE", "PRACK", "ACK", "BYE"):
        assert len({req.call_id for req in ours.seen if req.method == method}) == calls
        assert ours.methods.count(method) == calls, f"a repeated {method} came twice"
    repeated = [entry.message for entry in caller.record() if not entry.sent and entry.message.status == 183]
    assert len(repeated) > len({message.data for message in repeated}), (
        "none was lost: the test shows nothing"
    )
