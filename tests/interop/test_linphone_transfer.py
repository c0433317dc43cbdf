"""linphone phones at our registrar and proxy transfer calls: blind, and attended by Replaces (RFC 3891), all of it through us."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from tests.interop.conftest import RealStations
from tests.interop.office import office
from tests.interop.peers import linphone
from tests.interop.peers.linphone import Linphone
from tests.interop.peers.process import Peers, steps

pytestmark = pytest.mark.peer("linphone")


async def phones(stations: RealStations, peers: Peers, *users: str) -> tuple[str, list[Linphone]]:
    """Phones of these users, registered; and where."""
    where = "{}:{}".format(*(await stations.start(office())).address)
    started = [await linphone.start(peers, user, where) for user in users]
    for phone in started:
        await phone.saw(200, sent=False, of="REGISTER")
    return where, started


async def call(caller: Linphone, callee: Linphone, where: str) -> str:
    """A call from phone to phone, acknowledged; its Call-ID."""
    before = len(callee.messages("INVITE", sent=False))
    acknowledged = len(callee.messages("ACK", sent=False))
    caller.type(f"call sip:{callee.user}@{where}")
    invite = await callee.saw("INVITE", sent=False, count=before + 1)
    await callee.writes("Receiving new incoming call from", before + 1)
    callee.type("answer")
    await callee.saw("ACK", sent=False, count=acknowledged + 1)
    return invite["Call-ID"]


async def test_an_attended_transfer(stations: RealStations, peers: Peers) -> None:
    where, (alice, bob, carol) = await phones(stations, peers, "alice", "bob", "carol")
    first = await call(bob, alice, where)
    await alice.says("pause 1", "is now paused")
    second = await call(alice, carol, where)
    alice.type("transfer 1 --to-call 2")

    replacing = await carol.saw("INVITE", sent=False, count=2)
    third = replacing["Call-ID"]
    await bob.saw("ACK", sent=True, count=2)
    await carol.saw("BYE", sent=True)
    assert len({first, second, third}) == 3
    # What alice was told to ask for, bob asked for: the call between alice and carol, by its Call-ID and tags.
    refer = bob.message("REFER", sent=False)
    assert refer["Call-ID"] == first
    assert "Replaces=" in refer["Refer-To"]
    assert unquote(refer["Refer-To"].split("Replaces=")[1].rstrip(">")).split(";")[0] == second
    consulted = carol.message("INVITE", sent=False)
    assert replacing["Replaces"].split(";")[0] == second
    assert replacing["Referred-By"]
    assert len(replacing.all("Via")) == len(consulted.all("Via")) == 2, "through us"
    # carol takes the call of bob in the place of alice's, without asking her user, and ends alice's.
    await carol.expect(steps("<INVITE >180 >200 <ACK >BYE <200"), "INVITE", "ACK", "BYE", call=second)
    await bob.saw("BYE", sent=False)
    await carol.says("terminate", "ended (No error)")
    await bob.expect(steps(">INVITE <180 <200 >ACK <BYE >200"), "INVITE", "ACK", "BYE", call=third)
    outcome = alice.messages("NOTIFY", sent=False)[-1]
    assert outcome.body.startswith(b"SIP/2.0 200")


async def test_a_blind_transfer(stations: RealStations, peers: Peers) -> None:
    where, (alice, bob, carol) = await phones(stations, peers, "alice", "bob", "carol")
    first = await call(bob, alice, where)
    alice.type(f"transfer 1 sip:carol@{where}")
    await carol.writes("Receiving new incoming call from")
    await carol.says("answer", "Media streams established")
    second = carol.message("INVITE", sent=False)["Call-ID"]
    assert second != first
    await carol.saw("ACK", sent=False)
    await bob.saw("REFER", sent=False)
    await alice.until(
        lambda: any(b"SIP/2.0 200" in notify.body for notify in alice.messages("NOTIFY", sent=False)),
        "the outcome in a NOTIFY",
    )
    await carol.says("terminate", "ended (No error)")
    await bob.expect(steps(">INVITE <180 <200 >ACK <BYE >200"), "INVITE", "ACK", "BYE", call=second)
