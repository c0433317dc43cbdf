"""baresip as a phone: it calls, is called, holds, cancels, refuses and hangs up, with an application of ours at the other end."""

from __future__ import annotations

import asyncio

import pytest
from dracht import Request, Response

from tests.interop.conftest import RealStations
from tests.interop.party import Party
from tests.interop.peers import baresip
from tests.interop.peers.process import Peers, steps
from tests.interop.sdp import direction, sdp, version

pytestmark = pytest.mark.peer("baresip")


async def at_work(stations: RealStations, party: Party) -> Party:
    """The party, with a station."""
    party.station = await stations.start(party.handler, "invite", "register")
    return party


async def test_a_phone_calls_holds_resumes_and_hangs_up(stations: RealStations, peers: Peers) -> None:
    ours = await at_work(stations, Party())
    phone = await baresip.start(peers, "alice", ours.address, expires=0)
    await phone.command("dial", ours.uri)
    await phone.told("CALL_ESTABLISHED")
    await ours.saw("INVITE ACK")
    await phone.command("hold")
    await ours.saw("INVITE ACK INVITE ACK")
    await phone.command("resume")
    await ours.saw("INVITE ACK INVITE ACK INVITE ACK")
    await phone.command("hangup")
    await ours.saw("INVITE ACK INVITE ACK INVITE ACK BYE")
    await phone.told("CALL_CLOSED")

    await phone.expect(steps(">INVITE <180 <200 >ACK >INVITE <200 >ACK >INVITE <200 >ACK >BYE <200"))
    call, hold, resume = phone.messages("INVITE", sent=True)
    assert [direction(invite.body) for invite in (call, hold, resume)] == ["sendrecv", "sendonly", "sendrecv"]
    assert version(hold.body) == version(call.body) + 1
    assert version(resume.body) == version(call.body) + 2
    answers = phone.messages(200, sent=False, of="INVITE")
    assert [direction(answer.body) for answer in answers] == ["sendrecv", "recvonly", "sendrecv"]
    # Each end took the other's tag and Contact into the dialog.
    assert {invite.tag("To") for invite in (hold, resume)} == {answers[0].tag("To")}
    assert hold.uri == f"sip:{ours.address}"
    assert [request.cseq.number for request in ours.seen] == [
        *(call.cseq, call.cseq, hold.cseq, hold.cseq, resume.cseq, resume.cseq, resume.cseq + 1)
    ]
    assert phone.kinds() == ["CALL_RINGING", "CALL_ESTABLISHED", "CALL_CLOSED"]


async def test_a_phone_is_called_gets_dtmf_is_held_and_left(stations: RealStations, peers: Peers) -> None:
    ours = await at_work(stations, Party())
    phone = await baresip.start(peers, "alice", ours.address, expires=0)
    calling = asyncio.create_task(ours.call(f"sip:alice@127.0.0.1:{phone.port}"))
    await phone.told("CALL_INCOMING")
    await phone.command("accept")
    answer = await calling
    assert answer.status == 200
    await phone.told("CALL_ESTABLISHED")

    dtmf = {"Content-Type": "application/dtmf-relay"}
    info = await ours.within(answer.dialog_id, "INFO", "Signal=7\r\nDuration=160\r\n", headers=dtmf)
    assert info.status == 200
    assert (await phone.told("CALL_DTMF_START"))["param"] == "7"
    hold = await ours.within(answer.dialog_id, "INVITE", sdp("sendonly", version=2))
    assert (hold.status, direction(hold.body)) == (200, "recvonly")
    back = await ours.within(answer.dialog_id, "INVITE", sdp(version=3))
    assert (back.status, direction(back.body)) == (200, "sendrecv")
    await ours.hang_up(answer.dialog_id)
    closed = await phone.told("CALL_CLOSED")

    await phone.expect(
        steps("<INVITE >180 >200 <ACK <INFO >200 <INVITE >200 <ACK <INVITE >200 <ACK <BYE >200")
    )
    assert closed["param"] == "Connection reset by peer"
    assert phone.message("BYE", sent=False)["Call-ID"] == answer.msg.call_id
    assert ours.methods == []


async def test_a_phone_refuses(stations: RealStations, peers: Peers) -> None:
    ours = await at_work(stations, Party())
    phone = await baresip.start(peers, "alice", ours.address, expires=0)
    calling = asyncio.create_task(ours.call(f"sip:alice@127.0.0.1:{phone.port}"))
    await phone.told("CALL_INCOMING")
    await phone.command("hangup")
    assert (await calling).status == 486
    await phone.expect(["< INVITE", "> 180", "> 486", "< ACK"])


async def test_a_call_to_a_phone_is_cancelled(stations: RealStations, peers: Peers) -> None:
    ours = await at_work(stations, Party())
    phone = await baresip.start(peers, "alice", ours.address, expires=0)
    invite = await ours.agent.request(f"sip:alice@127.0.0.1:{phone.port}", "INVITE", body=sdp())
    async for response in invite:
        if response.status == 180:
            await invite.cancel(headers={"Reason": 'SIP;cause=200;text="Call completed elsewhere"'})
    assert (await invite.final()).status == 487
    await phone.told("CALL_CLOSED")
    await phone.expect(["< INVITE", "> 180", "> 487", "< ACK"], "INVITE", "ACK")
    cancel = phone.message("CANCEL", sent=False)
    assert cancel.branch == phone.message("INVITE", sent=False).branch
    assert cancel["Reason"].startswith("SIP;cause=200")


async def test_a_phone_gives_up_while_it_rings_here(stations: RealStations, peers: Peers) -> None:
    ringing = asyncio.Event()

    async def ring(req: Request, res: Response) -> None:
        await res.send(180)
        ringing.set()
        await asyncio.Event().wait()

    ours = await at_work(stations, Party(answer=ring))
    phone = await baresip.start(peers, "alice", ours.address, expires=0)
    await phone.command("dial", ours.uri)
    await ringing.wait()
    await phone.told("CALL_RINGING")
    await phone.command("hangup")
    await phone.expect(["> INVITE", "< 180", "< 487", "> ACK"], "INVITE", "ACK")
    await phone.expect(["> CANCEL", "< 200"], "CANCEL")
    assert ours.seen[0].cancelled
