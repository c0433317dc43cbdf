"""SIPp and session timers (RFC 4028): who refreshes is agreed, too short an interval is refused, and the engine's refresh comes.

A session of 90 seconds, the shortest there may be, is refreshed at 45 in real time: all refreshes of the engine are in one test,
side by side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.conformance.station import Keeper
from tests.interop.conftest import RealStations
from tests.interop.party import Party
from tests.interop.peers import sipp
from tests.interop.peers.process import Peers, eventually, steps
from tests.interop.peers.sipp import Sipp
from tests.interop.sdp import sdp

pytestmark = pytest.mark.peer("sipp")

LONG = ("-timeout", "90s")
"""SIPp's patience for a call of that length."""


async def test_too_short_an_interval_is_refused(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite", min_se=120)
    caller = await sipp.start(peers, "uac_timer_short", ours.station.address)
    await caller.finished()
    await caller.expect(steps(">INVITE <422 >ACK >INVITE <180 <200 >ACK >BYE <200"))
    assert caller.message(422, sent=False)["Min-SE"] == "120"
    answer = caller.message(200, sent=False, of="INVITE")
    assert answer["Session-Expires"].replace(" ", "") == "120;refresher=uac"
    assert answer["Require"] == "timer"
    await ours.saw("INVITE ACK BYE")  # the refused one never reached the application


async def test_a_callee_that_wants_longer_sessions_gets_them(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite")
    callee = await sipp.start(peers, "uas_timer_short", ours.station.address)
    answer = await ours.call(callee.uri, headers={"Supported": "timer", "Session-Expires": "90"})
    assert answer.status == 200
    assert answer.headers["Session-Expires"] == "180;refresher=uac"
    await ours.hang_up(answer.dialog_id)
    await callee.finished()
    await callee.expect(steps("<INVITE >422 <ACK <INVITE >200 <ACK <BYE >200"))
    first, second = callee.messages("INVITE", sent=False)
    assert first["Session-Expires"].startswith("90")
    assert (second["Call-ID"], second.cseq) == (first["Call-ID"], first.cseq + 1)


async def test_a_caller_refreshes(stations: RealStations, peers: Peers) -> None:
    ours = Party()
    ours.station = await stations.start(ours.handler, "invite")
    caller = await sipp.start(peers, "uac_timer_refreshes", ours.station.address)
    await caller.finished()
    await ours.saw("INVITE ACK UPDATE INVITE ACK BYE")
    await caller.expect(steps(">INVITE <180 <200 >ACK >UPDATE <200 >INVITE <200 >ACK >BYE <200"))
    for method in ("INVITE", "UPDATE"):
        for answer in caller.messages(200, sent=False, of=method):
            assert answer["Require"] == "timer", (
                "RFC 4028 §9: where the peer refreshes, it must have read this"
            )


@pytest.fixture
async def both_links(
    request: pytest.FixtureRequest, real_keeper: Keeper, peers: Peers
) -> AsyncIterator[list[RealStations]]:
    """Stations of either link in one test."""
    made = [RealStations(way, request.node.name, real_keeper, peers) for way in ("embedded", "connected")]
    yield made
    for stations in made:
        await stations.end()


async def test_the_engine_refreshes_at_half_the_interval(
    both_links: list[RealStations], peers: Peers
) -> None:
    await asyncio.gather(*(refreshes(stations, peers) for stations in both_links))


async def refreshes(stations: RealStations, peers: Peers) -> None:
    """The engine refreshes as callee, by UPDATE, and as caller, by re-INVITE."""
    called, calling = Party(), Party()
    called.station = await stations.start(called.handler, "invite")
    calling.station = await stations.start(calling.handler, "invite", session_expires=90)
    caller = await sipp.start(peers, "uac_timer_update", called.station.address, options=LONG)
    callee = await sipp.start(peers, "uas_timer_invite", calling.station.address, options=LONG)
    started = time.monotonic()
    answer = await calling.call(callee.uri)
    assert answer.status == 200

    async def refreshed(peer: Sipp, method: str, count: int) -> float:
        await eventually(lambda: len(peer.messages(method, sent=False)) == count, lambda: peer, limit=60.0)
        return time.monotonic() - started

    after = await asyncio.gather(refreshed(caller, "UPDATE", 1), refreshed(callee, "INVITE", 2))
    assert all(38.0 < seconds < 48.0 for seconds in after), (
        f"refreshed after {after} seconds instead of 45 or a little less"
    )
    await callee.saw("ACK", sent=False, count=2)
    await calling.hang_up(answer.dialog_id)
    await asyncio.gather(caller.finished(), callee.finished())

    await called.saw("INVITE ACK BYE")
    assert calling.methods == []
    await caller.expect(steps(">INVITE <180 <200 >ACK <UPDATE >200 >BYE <200"))
    await callee.expect(steps("<INVITE >200 <ACK <INVITE >200 <ACK <BYE >200"))
    update = caller.message("UPDATE", sent=False)
    assert update.body == b""
    assert update["Session-Expires"].replace(" ", "") == "90;refresher=uac", (
        "who sends the refresh is its UAC"
    )
    first, second = callee.messages("INVITE", sent=False)
    assert second.body == first.body == sdp(), (
        "a refresh by INVITE repeats the session as it is (RFC 4028 §7.4)"
    )
    assert second.tag("To") == callee.message(200, sent=True, of="INVITE").tag("To")
