"""JsSIP and SIP.js in Chromium over secure WebSocket: they register, call one another and a telephone, hold and hang up.

Between two browsers media flows, by WebRTC on loopback, which each proves by what it plays. SIPp has no DTLS: a call with it is
signalling, accepted by both, whose media never comes about.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.processes import free_port
from tests.interop.browser.exchange import DOMAIN, Exchange, open_exchange
from tests.interop.conftest import RealStations
from tests.interop.peers import sipp
from tests.interop.peers.chromium import BrowserPhone, Chromium, Library
from tests.interop.peers.process import Peers, steps
from tests.interop.sdp import direction

pytestmark = pytest.mark.peer("chromium")

BOTH_WAYS = pytest.mark.parametrize(("caller", "callee"), [("jssip", "sipjs"), ("sipjs", "jssip")])
EACH = pytest.mark.parametrize("library", ["jssip", "sipjs"])


async def set_up(caller: BrowserPhone, callee: BrowserPhone, name: str) -> None:
    """A call from one page to the other, answered."""
    await caller.call(name)
    await callee.shows(call="incoming")
    await callee.press("Answer")
    for phone in (caller, callee):
        await phone.shows(call="active")


@BOTH_WAYS
async def test_browsers_call_hold_and_hang_up(
    stations: RealStations, peers: Peers, tmp_path: Path, caller: Library, callee: Library
) -> None:
    exchange = await open_exchange(stations, tmp_path)
    async with Chromium(peers, tmp_path, exchange.certificate) as chromium:
        alice = await chromium.phone("alice", caller, exchange.secure)
        bob = await chromium.phone("bob", callee, exchange.secure)
        await alice.picture(f"{caller}-registered")
        await alice.call("bob")
        await bob.shows(call="incoming")
        await bob.picture(f"{callee}-incoming")
        await bob.press("Answer")
        for phone in (alice, bob):
            await phone.shows(call="active")
            await phone.hears()
        await alice.picture(f"{caller}-in-a-call")
        await alice.press("Hold")
        await alice.shows(call="held")
        await alice.picture(f"{caller}-on-hold")
        await alice.press("Resume")
        await alice.shows(call="active")
        held = ">INVITE <200 >ACK"
        other = held.translate(str.maketrans("<>", "><"))
        # The ACK of the last one is still on its way to him when the caller's page shows the call.
        await bob.expect(steps(f"<INVITE >180 >200 <ACK {other} {other}"), *CALL)
        await bob.press("Hang up")
        for phone in (alice, bob):
            await phone.shows(call="none")
        await alice.picture(f"{caller}-afterwards")
        # The proxy asks for the caller's credentials first.
        await alice.expect(steps(f">INVITE <407 >ACK >INVITE <180 <200 >ACK {held} {held} <BYE >200"), *CALL)
        await bob.expect(steps(f"<INVITE >180 >200 <ACK {other} {other} >BYE <200"), *CALL)
        offers = [direction(invite.body) for invite in bob.messages("INVITE", sent=False)]
        assert offers == ["sendrecv", "sendonly", "sendrecv"]
        assert_reached_by_flow(exchange, bob)


CALL = ("INVITE", "ACK", "BYE")


def assert_reached_by_flow(exchange: Exchange, phone: BrowserPhone) -> None:
    """What reached a browser was for its contact that nobody resolves, over its own connection, recorded for what follows."""
    invite = phone.messages("INVITE", sent=False)[0]
    assert ".invalid" in invite.uri
    assert invite["Via"].startswith("SIP/2.0/WSS ")
    assert f":{exchange.secure[1]}" in invite["Record-Route"]
    assert "lr" in invite["Record-Route"]
    assert phone.sockets == 1


@EACH
async def test_a_browser_calls_a_telephone(
    stations: RealStations, peers: Peers, tmp_path: Path, library: Library
) -> None:
    phone = await sipp.start(peers, "uas_browser", ("127.0.0.1", free_port()))
    exchange = await open_exchange(stations, tmp_path, f"sip:127.0.0.1:{phone.port}")
    async with Chromium(peers, tmp_path, exchange.certificate) as chromium:
        alice = await chromium.phone("alice", library, exchange.secure)
        await alice.call("4711")
        await alice.shows(call="active")
        await alice.press("Hold")
        await alice.shows(call="held")
        await alice.press("Resume")
        await alice.shows(call="active")
        await alice.press("Hang up")
        await alice.shows(call="none")
        await phone.finished()
        held = ">INVITE <200 >ACK"
        await alice.expect(steps(f">INVITE <407 >ACK >INVITE <180 <200 >ACK {held} {held} >BYE <200"), *CALL)
        other = "<INVITE >200 <ACK"
        await phone.expect(steps(f"<INVITE >180 >200 <ACK {other} {other} <BYE >200"), *CALL)
    invite = phone.messages("INVITE", sent=False)[0]
    assert invite.uri.startswith("sip:4711@")
    assert invite["Via"].startswith("SIP/2.0/UDP "), "towards the telephone it is our address and transport"
    routes = [one for value in invite.all("Record-Route") for one in value.split(",")]
    assert len(routes) == 2, "RFC 5658: one for each side, as the transports differ"


@EACH
async def test_a_telephone_calls_a_browser(
    stations: RealStations, peers: Peers, tmp_path: Path, library: Library
) -> None:
    exchange = await open_exchange(stations, tmp_path)
    async with Chromium(peers, tmp_path, exchange.certificate) as chromium:
        bob = await chromium.phone("bob", library, exchange.secure)
        phone = await sipp.start(
            peers,
            "uac_browser",
            exchange.station.address,
            keys={"domain": DOMAIN},
            options=("-s", "bob", "-d", "2000"),
        )
        await bob.shows(call="incoming")
        await bob.press("Answer")
        await bob.shows(call="active")
        await phone.finished()
        await bob.shows(call="none")
        await bob.expect(steps("<INVITE >180 >200 <ACK <BYE >200"), *CALL)
        await phone.expect(steps(">INVITE <180 <200 >ACK >BYE <200"), *CALL)
        assert_reached_by_flow(exchange, bob)
        assert ".invalid" in phone.message("BYE", sent=True).uri


@EACH
async def test_the_network_is_cut_and_returns(
    stations: RealStations, peers: Peers, tmp_path: Path, library: Library
) -> None:
    exchange = await open_exchange(stations, tmp_path)
    cable = await stations.cable(exchange.secure)
    async with Chromium(peers, tmp_path, exchange.certificate) as chromium:
        alice = await chromium.phone("alice", "jssip", exchange.secure)
        bob = await chromium.phone("bob", library, cable.address)
        cable.cut()
        await bob.shows(registration="no")
        await bob.shows(registration="yes")
        assert bob.sockets >= 2
        assert cable.connections >= 2
        await set_up(alice, bob, "bob")
        await alice.press("Hang up")
        await bob.shows(call="none")
        await bob.expect(steps("<INVITE >180 >200 <ACK <BYE >200"), *CALL)


async def test_a_call_outlives_the_connection(stations: RealStations, peers: Peers, tmp_path: Path) -> None:
    """JsSIP keeps its call when its connection breaks (SIP.js ends it); either side can still hang up, by the new one."""
    exchange = await open_exchange(stations, tmp_path)
    cable = await stations.cable(exchange.secure)
    async with Chromium(peers, tmp_path, exchange.certificate) as chromium:
        alice = await chromium.phone("alice", "sipjs", exchange.secure)
        bob = await chromium.phone("bob", "jssip", cable.address)
        for leaver, stayer in ((bob, alice), (alice, bob)):
            await set_up(alice, bob, "bob")
            await bob.hears()
            cable.cut()
            await bob.shows(registration="no", call="active")
            await bob.shows(registration="yes", call="active")
            await leaver.press("Hang up")
            await stayer.shows(call="none")
            assert leaver.message(200, sent=False, of="BYE")
            assert stayer.message(200, sent=True, of="BYE")


async def test_a_connection_that_fell_silent_is_replaced(
    stations: RealStations, peers: Peers, tmp_path: Path
) -> None:
    """The network goes without a word to the server: the browser is called by the connection that it opened since."""
    exchange = await open_exchange(stations, tmp_path)
    cable = await stations.cable(exchange.secure)
    async with Chromium(peers, tmp_path, exchange.certificate) as chromium:
        alice = await chromium.phone("alice", "jssip", exchange.secure)
        bob = await chromium.phone("bob", "jssip", cable.address)
        cable.forget()
        await bob.shows(registration="no")
        await bob.shows(registration="yes")
        await set_up(alice, bob, "bob")
        await bob.press("Hang up")
        await alice.shows(call="none")


async def test_a_wrong_password_is_shown(stations: RealStations, peers: Peers, tmp_path: Path) -> None:
    exchange = await open_exchange(stations, tmp_path)
    async with Chromium(peers, tmp_path, exchange.certificate) as chromium:
        phone = await chromium.phone("alice", "jssip", exchange.secure, password="guessed", registers=False)
        await phone.shows(registration="refused")
        await phone.picture("refused")
        await phone.saw(401, sent=False, count=2)


async def test_a_page_of_a_stranger_is_not_believed(
    stations: RealStations, peers: Peers, tmp_path: Path
) -> None:
    """A certificate that the browser was not told of: no connection, nothing is said."""
    exchange = await open_exchange(stations, tmp_path)
    (tmp_path / "other").mkdir()
    other = await open_exchange(stations, tmp_path / "other")
    async with Chromium(peers, tmp_path, other.certificate) as chromium:
        phone = await chromium.phone("alice", "jssip", exchange.secure, registers=False)
        await phone.until(lambda: any("ERR_CERT" in line for line in phone.said), "a refused certificate")
        await phone.shows(connection="offline")
        assert phone.record() == []
