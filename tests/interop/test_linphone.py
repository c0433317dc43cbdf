"""linphone's command line client: it registers, calls, is called and holds; either side hangs up; ours is at the other end."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.sip import unmarked
from tests.interop.conftest import RealStations
from tests.interop.office import office
from tests.interop.party import Party
from tests.interop.peers import linphone
from tests.interop.peers.process import Peers, steps
from tests.interop.sdp import direction

pytestmark = pytest.mark.peer("linphone")


async def test_a_phone_calls_holds_resumes_and_hangs_up(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite")
    phone = await linphone.start(peers, "alice", ours.address, expires=0)
    await phone.says(f"call {ours.uri}", "Media streams established")
    await ours.saw("INVITE ACK")
    await phone.says("pause", "is now paused")
    await ours.saw("INVITE ACK INVITE ACK")
    await phone.says("resume", "Media streams established")
    await ours.saw("INVITE ACK INVITE ACK INVITE ACK")
    await phone.says("terminate", "ended (No error)")
    await ours.saw("INVITE ACK INVITE ACK INVITE ACK BYE")
    await phone.expect(
        steps(">INVITE <180 <200 >ACK >INVITE <200 >ACK >INVITE <200 >ACK >BYE <200"),
        *("INVITE", "ACK", "BYE"),
    )
    call, hold, resume = phone.messages("INVITE", sent=True)
    assert [direction(invite.body) for invite in (call, hold, resume)] == ["sendrecv", "sendonly", "sendrecv"]
    answers = phone.messages(200, sent=False, of="INVITE")
    assert [direction(answer.body) for answer in answers] == ["sendrecv", "recvonly", "sendrecv"]
    assert {message["Call-ID"] for message in (call, hold, resume)} == {ours.seen[0].call_id}
    assert hold.uri == f"sip:{ours.address}"


async def test_a_phone_is_called_and_left(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite")
    phone = await linphone.start(peers, "alice", ours.address, expires=0)
    calling = asyncio.create_task(ours.call(f"sip:alice@127.0.0.1:{phone.port}"))
    await phone.writes("Receiving new incoming call from")
    await phone.says("answer", "Media streams established")
    answer = await calling
    assert answer.status == 200
    await ours.hang_up(answer.dialog_id)
    await phone.writes("ended (No error)")
    await phone.expect(steps("<INVITE >180 >200 <ACK <BYE >200"), "INVITE", "ACK", "BYE")
    assert phone.message("INVITE", sent=False)["Call-ID"] == answer.msg.call_id


async def test_a_phone_refuses(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite")
    phone = await linphone.start(peers, "alice", ours.address, expires=0)
    calling = asyncio.create_task(ours.call(f"sip:alice@127.0.0.1:{phone.port}"))
    await phone.writes("Receiving new incoming call from")
    phone.type("terminate")
    assert (await calling).status == 603
    await phone.expect(steps("<INVITE >180 >603 <ACK"), "INVITE", "ACK")


async def test_two_phones_register_and_call_through_us(stations: RealStations, peers: Peers) -> None:
    station = await stations.start(office())
    registrar = "{}:{}".format(*station.address)
    alice = await linphone.start(peers, "alice", registrar)
    bob = await linphone.start(peers, "bob", registrar)
    for phone in (alice, bob):
        await phone.saw(200, sent=False, of="REGISTER")
        await phone.says("status register", "registered, identity=")
    await alice.says(f"call sip:bob@{registrar}", "ringing")
    await bob.says("answer", "Media streams established")
    await alice.writes("Media streams established")
    await bob.saw("ACK", sent=False)
    await bob.says("terminate", "ended (No error)")
    await alice.writes("ended (No error)")
    await alice.expect(steps(">INVITE <180 <200 >ACK <BYE >200"), "INVITE", "ACK", "BYE")
    await bob.expect(steps("<INVITE >180 >200 <ACK >BYE <200"), "INVITE", "ACK", "BYE")
    assert unmarked(bob.message("BYE", sent=True)["Route"]) == f"<sip:{registrar};lr>"
    bob.type("unregister")
    await bob.saw(200, sent=False, of="REGISTER", count=2)
    await alice.says(f"call sip:bob@{registrar}", "error")
    assert alice.message(480, sent=False)
