"""baresip phones at our registrar and proxy: they call one another, and transfer (REFER, with its outcome in NOTIFY)."""

from __future__ import annotations

import pytest

from tests.conformance.sip import Sip, unmarked
from tests.interop.conftest import RealStations
from tests.interop.office import office
from tests.interop.peers import baresip
from tests.interop.peers.baresip import Baresip
from tests.interop.peers.process import Peers, steps

pytestmark = pytest.mark.peer("baresip")


async def phones(stations: RealStations, peers: Peers, *users: str) -> list[Baresip]:
    """Phones of these users, registered at an office of their own."""
    station = await stations.start(office())
    registrar = "{}:{}".format(*station.address)
    started = [await baresip.start(peers, user, registrar) for user in users]
    for phone in started:
        await phone.saw(200, sent=False, of="REGISTER")
    return started


async def call(caller: Baresip, callee: Baresip) -> str:
    """A call from phone to phone, established at both; its Call-ID."""
    before = callee.kinds().count("CALL_INCOMING")
    await caller.command("dial", callee.aor)
    call_id = str((await callee.told("CALL_INCOMING", count=before + 1))["id"])
    await callee.command("accept")
    for phone in (caller, callee):
        await phone.told("CALL_ESTABLISHED", id=call_id)
    return call_id


async def test_two_phones_call_one_another_through_us(stations: RealStations, peers: Peers) -> None:
    alice, bob = await phones(stations, peers, "alice", "bob")
    office = alice.registrar
    first = await call(alice, bob)
    await bob.command("hangup")
    await alice.told("CALL_CLOSED")
    second = await call(bob, alice)
    await bob.command("hangup")
    await alice.told("CALL_CLOSED", count=2)

    for caller, callee, call_id, hangs_up in ((alice, bob, first, bob), (bob, alice, second, bob)):
        end = ["> BYE", "< 200"] if caller is hangs_up else ["< BYE", "> 200"]
        await caller.expect(["> INVITE", "< 180", "< 200", "> ACK", *end], call=call_id)
        end = ["> BYE", "< 200"] if callee is hangs_up else ["< BYE", "> 200"]
        await callee.expect(["< INVITE", "> 180", "> 200", "< ACK", *end], call=call_id)
    for phone in (alice, bob):
        came = phone.message("INVITE", sent=False)
        assert f"<sip:{office};lr>" in unmarked(came["Record-Route"])
        assert len(came.all("Via")) == 2
        assert came.uri.startswith(f"sip:{phone.user}-0x"), "the Contact that it registered"
    assert unmarked(bob.message("BYE", sent=True)["Route"]) == f"<sip:{office};lr>"


def outcomes(notifies: list[Sip]) -> list[tuple[str, str]]:
    """What each NOTIFY said: the first line of its sipfrag, and the state of the subscription."""
    return [
        (notify.body.decode().splitlines()[0], notify["Subscription-State"].split(";")[0])
        for notify in notifies
    ]


async def test_a_blind_transfer_to_a_third_phone(stations: RealStations, peers: Peers) -> None:
    alice, bob, carol = await phones(stations, peers, "alice", "bob", "carol")
    first = await call(alice, bob)
    await alice.command("transfer", carol.aor)
    await carol.told("CALL_INCOMING")
    await carol.command("accept")
    await carol.told("CALL_ESTABLISHED")
    await alice.told("CALL_CLOSED")
    await bob.told("CALL_CLOSED")
    second = carol.message("INVITE", sent=False)["Call-ID"]
    await carol.command("hangup")
    await bob.told("CALL_CLOSED", count=2)

    end = [">REFER", "<202", "<NOTIFY", ">200", "<NOTIFY", ">200", ">BYE", "<200"]
    await alice.expect(steps(" ".join([">INVITE <180 <200 >ACK", *end])), call=first)
    await bob.expect(
        steps("<INVITE >180 >200 <ACK <REFER >202 >NOTIFY <200 >NOTIFY <200 <BYE >200"), call=first
    )
    await bob.expect(steps(">INVITE <180 <200 >ACK <BYE >200"), call=second)
    await carol.expect(steps("<INVITE >180 >200 <ACK >BYE <200"), call=second)
    refer = bob.message("REFER", sent=False)
    assert refer["Refer-To"] == carol.aor
    assert len(refer.all("Via")) == 2, "it came through us"
    # RFC 3515 §2.4.5: the outcome is in the last NOTIFY, which ends the subscription.
    expected = [("SIP/2.0 100 Trying", "active"), ("SIP/2.0 200 OK", "terminated")]
    assert outcomes(alice.messages("NOTIFY", sent=False)) == expected
    assert carol.message("INVITE", sent=False)["From"].startswith(f"<{bob.aor}>")


async def test_a_blind_transfer_to_somebody_who_is_not_there(stations: RealStations, peers: Peers) -> None:
    alice, bob = await phones(stations, peers, "alice", "bob")
    first = await call(alice, bob)
    await alice.command("transfer", f"sip:nobody@{alice.registrar}")
    await alice.told("TRANSFER_FAILED")
    assert outcomes(alice.messages("NOTIFY", sent=False))[-1] == (
        "SIP/2.0 480 Temporarily Unavailable",
        "terminated",
    )
    await alice.command("hangup")
    await bob.told("CALL_CLOSED", id=first)
