"""Kamailio as the proxy between two of ours, in the path of every request by its Record-Route."""

from __future__ import annotations

import asyncio

import pytest
from dracht import Request, Response

from tests.conformance.sip import uri_of
from tests.interop.conftest import RealStations
from tests.interop.party import Party
from tests.interop.peers import kamailio
from tests.interop.peers.kamailio import Kamailio, relayed
from tests.interop.peers.process import Peers, eventually
from tests.interop.sdp import direction, sdp

pytestmark = pytest.mark.peer("kamailio")


@pytest.fixture
async def sides(stations: RealStations) -> tuple[Party, Party]:
    """Caller and callee."""
    caller, callee = Party(), Party(reliable=True)
    for party in (caller, callee):
        party.station = await stations.start(party.handler, "invite")
    return caller, callee


def assert_in_the_path(proxy: Kamailio, method: str, *, to: Party) -> None:
    """The last request of that method had the proxy as its Route, and reached the target without."""
    came, went = proxy.message(method, sent=False), proxy.message(method, sent=True)
    assert uri_of(came["Route"]).startswith(f"sip:{proxy.address};"), str(came)
    assert went.get("Route") is None, str(went)
    assert to.address in came.uri, (
        "the request-URI is the peer's Contact from the beginning (RFC 3261 §12.2.1.1)"
    )
    assert came.uri == went.uri
    assert len(went.all("Via")) == 2, str(went)
    assert int(went["Max-Forwards"]) == int(came["Max-Forwards"]) - 1


async def test_a_call_with_everything_in_it_through_its_record_route(
    sides: tuple[Party, Party], peers: Peers
) -> None:
    caller, callee = sides
    proxy = await kamailio.start(peers, "proxy")
    answer = await caller.call(callee.uri, next_hop=f"sip:{proxy.address}", headers={"Supported": "100rel"})
    assert answer.status == 200
    await callee.saw("INVITE PRACK ACK")
    assert uri_of(answer.headers["Record-Route"]).startswith(f"sip:{proxy.address};")

    hold = await caller.within(answer.dialog_id, "INVITE", sdp("sendonly", version=2))
    assert (hold.status, direction(hold.body)) == (200, "recvonly")
    await callee.saw("INVITE PRACK ACK INVITE ACK")
    resume = await callee.within(callee.dialog, "INVITE", sdp(version=2))
    assert (resume.status, direction(resume.body)) == (200, "sendrecv")
    await caller.saw("INVITE ACK")
    update = await caller.within(answer.dialog_id, "UPDATE", sdp("sendonly", version=3))
    assert (update.status, direction(update.body)) == (200, "recvonly")
    dtmf = {"Content-Type": "application/dtmf-relay"}
    assert (await callee.within(callee.dialog, "INFO", "Signal=5\r\n", headers=dtmf)).status == 200
    text = {"Content-Type": "text/plain"}
    assert (await caller.within(answer.dialog_id, "MESSAGE", "hello", headers=text)).status == 200
    await callee.hang_up(callee.dialog)

    await callee.saw("INVITE PRACK ACK INVITE ACK UPDATE MESSAGE")
    await caller.saw("INVITE ACK INFO BYE")
    assert callee.last("MESSAGE").body == b"hello"
    await proxy.expect(
        relayed(
            "INVITE 183 PRACK 200 200 ACK INVITE 200 ACK INVITE 200 ACK UPDATE 200 INFO 200 MESSAGE 200 BYE 200"
        )
    )
    for method in ("PRACK", "UPDATE", "MESSAGE"):
        assert_in_the_path(proxy, method, to=callee)
    for method in ("ACK", "INVITE", "INFO", "BYE"):
        assert_in_the_path(proxy, method, to=caller)


async def test_a_cancel_through_the_proxy(stations: RealStations, peers: Peers) -> None:
    async def ring(req: Request, res: Response) -> None:
        await res.send(180)
        await asyncio.Event().wait()

    caller, callee = Party(), Party(answer=ring)
    for party in (caller, callee):
        party.station = await stations.start(party.handler, "invite")
    proxy = await kamailio.start(peers, "proxy")
    invite = await caller.agent.request(callee.uri, "INVITE", body=sdp(), next_hop=f"sip:{proxy.address}")
    async for response in invite:
        if response.status == 180:
            await invite.cancel()
    assert (await invite.final()).status == 487
    await proxy.expect(
        ["< INVITE", "> INVITE", "< 180", "> 180", "< 487", "> ACK", "> 487", "< ACK"], "INVITE", "ACK"
    )
    # A CANCEL is answered hop by hop, at once (RFC 3261 §16.10).
    assert sorted(proxy.ladder("CANCEL")) == ["< 200", "< CANCEL", "> 200", "> CANCEL"]
    assert proxy.message("CANCEL", sent=True).branch == proxy.message("INVITE", sent=True).branch
    assert callee.methods == ["INVITE"]
    assert callee.seen[0].cancelled


async def test_a_refer_and_its_notify_through_the_proxy(sides: tuple[Party, Party], peers: Peers) -> None:
    caller, callee = sides
    proxy = await kamailio.start(peers, "proxy")
    answer = await caller.call(callee.uri, next_hop=f"sip:{proxy.address}", headers={"Supported": "100rel"})
    assert answer.status == 200
    await callee.saw("INVITE PRACK ACK")
    refer = await caller.within(answer.dialog_id, "REFER", headers={"Refer-To": "<sip:third@127.0.0.1:9>"})
    assert refer.status == 202
    outcome = {
        "Event": "refer",
        "Subscription-State": "terminated;reason=noresource",
        "Content-Type": "message/sipfrag;version=2.0",
    }
    notify = await callee.within(callee.dialog, "NOTIFY", "SIP/2.0 200 OK\r\n", headers=outcome)
    assert notify.status == 200
    await caller.hang_up(answer.dialog_id)
    await caller.saw("NOTIFY")
    assert caller.last("NOTIFY").body == b"SIP/2.0 200 OK\r\n"
    await proxy.expect(relayed("REFER 202 NOTIFY 200 BYE 200"), "REFER", "NOTIFY", "BYE")
    assert_in_the_path(proxy, "REFER", to=callee)
    assert_in_the_path(proxy, "NOTIFY", to=caller)


async def test_calls_through_a_proxy_that_loses_every_tenth_message(
    sides: tuple[Party, Party], peers: Peers
) -> None:
    """INVITE, reliable 183, PRACK, 200, ACK, UPDATE and BYE get through by repetition, each once to either application."""
    caller, callee = sides
    calls = 20
    proxy = await kamailio.start(peers, "lossy")

    async def one() -> None:
        answer = await caller.call(
            callee.uri, next_hop=f"sip:{proxy.address}", headers={"Supported": "100rel"}
        )
        assert answer.status == 200
        call_id = answer.msg.call_id
        await eventually(lambda: ("ACK", call_id) in [(req.method, req.call_id) for req in callee.seen])
        update = await caller.within(answer.dialog_id, "UPDATE", sdp("sendonly", version=2))
        assert (update.status, direction(update.body)) == (200, "recvonly")
        await caller.hang_up(answer.dialog_id)

    await asyncio.gather(*(one() for _ in range(calls)))
    for method in ("INVITE", "PRACK", "ACK", "UPDATE", "BYE"):
        assert callee.methods.count(method) == calls, f"{method}: {callee.methods}"
        assert len({req.call_id for req in callee.seen if req.method == method}) == calls
    assert caller.methods == []
    await proxy.saw(200, sent=True, of="BYE", count=calls)
    entries = [entry.message.data for entry in proxy.record() if not entry.sent]
    assert len(entries) > len(set(entries)), "nothing was lost: the test shows nothing"
