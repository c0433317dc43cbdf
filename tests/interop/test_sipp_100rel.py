"""SIPp and reliable provisional responses (RFC 3262), each end as caller and as callee."""

from __future__ import annotations

import pytest
from dracht import Request, Response

from tests.interop.conftest import RealStations
from tests.interop.peers import sipp
from tests.interop.peers.process import Peers
from tests.interop.sdp import sdp

pytestmark = pytest.mark.peer("sipp")


async def test_a_caller_that_requires_100rel_gets_both_provisionals_reliably(
    stations: RealStations, peers: Peers
) -> None:
    acknowledged = []

    async def handler(req: Request, res: Response) -> None:
        if req.method != "INVITE":
            await res.send(200)
            return
        for status in (180, 183):
            prack = await res.send(status, reliable=True).acked()
            acknowledged.append((prack.method, prack.headers["RAck"]))
        await res.send(200, body=sdp())

    station = await stations.start(handler, "invite")
    caller = await sipp.start(peers, "uac_100rel", station.address)
    await caller.finished()

    assert caller.ladder() == [
        *("> INVITE", "< 180", "> PRACK", "< 200", "< 183", "> PRACK", "< 200"),
        *("< 200", "> ACK", "> BYE", "< 200"),
    ]
    first, second = (int(caller.message(status, sent=False)["RSeq"]) for status in (180, 183))
    assert second == first + 1, "RFC 3262 §3: RSeq goes up by one"
    assert acknowledged == [("PRACK", f"{first} 1 INVITE"), ("PRACK", f"{second} 1 INVITE")]
    assert [message.cseq for message in caller.messages("PRACK", sent=True)] == [2, 3]
    assert "100rel" not in (caller.message(200, sent=False, of="INVITE").get("Require") or "")


async def test_a_callees_reliable_183_gets_our_prack(stations: RealStations, peers: Peers) -> None:
    async def handler(req: Request, res: Response) -> None:
        raise AssertionError(f"SIPp sends nothing of its own, but {req!r} came")

    station = await stations.start(handler)
    callee = await sipp.start(peers, "uas_100rel", station.address)
    call = await station.agent.request(callee.uri, "INVITE", headers={"Supported": "100rel"}, body=sdp())
    statuses = []
    async for response in call:
        statuses.append(response.status)
        if response.status == 183:
            prack = await response.prack()
            assert (await prack.final()).status == 200
    answer = await call.final()
    await answer.ack()
    bye = await station.agent.request(method="BYE", dialog=answer.dialog_id)
    assert (await bye.final()).status == 200
    await callee.finished()

    assert statuses == [183, 200]
    assert callee.ladder() == [
        *("< INVITE", "> 183", "< PRACK", "> 200", "> 200", "< ACK", "< BYE", "> 200"),
    ]
    invite, prack_seen = callee.message("INVITE", sent=False), callee.message("PRACK", sent=False)
    assert prack_seen["RAck"] == f"17 {invite.cseq} INVITE"
    assert prack_seen.cseq == invite.cseq + 1
    assert prack_seen.uri == f"sip:sipp@127.0.0.1:{callee.port}", "the target that the 183 gave"
    assert callee.message("ACK", sent=False).cseq == invite.cseq
    assert callee.message("BYE", sent=False).cseq == invite.cseq + 2
