"""baresip and REFER with ours at the other end: we transfer it, it transfers us, blind and attended (RFC 3515, RFC 3891)."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from dracht import Request, Response

from tests.interop.conftest import RealStations
from tests.interop.party import Party
from tests.interop.peers import baresip
from tests.interop.peers.process import Peers, steps
from tests.interop.sdp import sdp

pytestmark = pytest.mark.peer("baresip")

FINAL = "terminated;reason=noresource"


async def test_we_transfer_a_phone(stations: RealStations, peers: Peers) -> None:
    ours, third = Party(), Party()
    for party in (ours, third):
        party.station = await stations.start(party.handler, "invite")
    phone = await baresip.start(peers, "alice", ours.address, parameters=";answermode=auto", expires=0)
    answer = await ours.call(f"sip:alice@127.0.0.1:{phone.port}")
    assert answer.status == 200
    refer = await ours.within(answer.dialog_id, "REFER", headers={"Refer-To": f"<{third.uri}>"})
    assert refer.status == 202
    await third.saw("INVITE ACK")
    await ours.saw("NOTIFY NOTIFY")
    trying, outcome = ours.seen
    assert trying.body.splitlines()[0] == b"SIP/2.0 100 Trying"
    assert trying.headers["Subscription-State"].startswith("active;expires=")
    assert outcome.body.splitlines()[0] == b"SIP/2.0 200 OK"
    assert outcome.headers["Subscription-State"] == FINAL
    assert {notify.headers["Event"].split(";")[0] for notify in ours.seen} == {"refer"}
    await ours.hang_up(answer.dialog_id)
    await third.hang_up(third.dialog)
    await phone.expect(
        steps("<INVITE >180 >200 <ACK <REFER >202 >NOTIFY <200 >NOTIFY <200 <BYE >200"),
        call=answer.msg.call_id,
    )
    await phone.expect(steps(">INVITE <180 <200 >ACK <BYE >200"), call=third.seen[0].call_id)


class Transferee(Party):
    """Does what a REFER asks, and tells how it went."""

    async def handler(self, req: Request, res: Response) -> None:
        if req.method != "REFER":
            await super().handler(req, res)
            return
        self.seen.append(req)
        await res.send(202)
        assert req.dialog_id is not None
        await self._notify(req, "SIP/2.0 100 Trying", "active;expires=60")
        target, _, asked = req.headers["Refer-To"].strip("<>").partition("?")
        given = dict(part.split("=", 1) for part in asked.split("&")) if asked else {}
        answer = await self.call(target, headers={name: unquote(value) for name, value in given.items()})
        await self._notify(req, f"SIP/2.0 {answer.status} {answer.reason}", FINAL)
        self.made = answer

    async def _notify(self, refer: Request, outcome: str, state: str) -> None:
        headers = {"Event": "refer", "Subscription-State": state, "Content-Type": "message/sipfrag"}
        assert (await self.within(refer.dialog_id, "NOTIFY", outcome, headers=headers)).status == 200


async def test_a_phone_transfers_us(stations: RealStations, peers: Peers) -> None:
    ours, third = Transferee(), Party()
    for party in (ours, third):
        party.station = await stations.start(party.handler, "invite")
    phone = await baresip.start(peers, "alice", ours.address, expires=0)
    await phone.command("dial", ours.uri)
    await phone.told("CALL_ESTABLISHED")
    await ours.saw("INVITE ACK")
    await phone.command("transfer", third.uri)
    await ours.saw("INVITE ACK REFER BYE")  # it hangs up once the NOTIFY says 200
    await phone.told("CALL_CLOSED")
    await third.saw("INVITE ACK")
    assert ours.last("REFER").headers["Refer-To"] == third.uri
    await phone.expect(
        steps(">INVITE <180 <200 >ACK >REFER <202 <NOTIFY >200 <NOTIFY >200 >BYE <200"),
    )
    await third.hang_up(third.dialog)
    await ours.saw("INVITE ACK REFER BYE BYE")


async def test_a_phone_transfers_us_to_the_call_that_it_made_before(
    stations: RealStations, peers: Peers
) -> None:
    """Attended: baresip 1.0 has no command for it, but sends what it is given, a Refer-To with Replaces."""

    async def answer(req: Request, res: Response) -> None:
        if "Replaces" not in req.headers:
            await third._ring(req, res)
            return
        # RFC 3891 §3: the call named by Call-ID and tags is taken over, without ringing.
        call_id, *tags = req.headers["Replaces"].split(";")
        first = third.seen[0]
        assert call_id == first.call_id
        assert f"to-tag={consulted_tag}" in tags
        assert f"from-tag={first.from_.tag}" in tags
        third.seen.append(await res.send(200, body=sdp()).acked())

    ours, third = Transferee(), Party(answer=answer)
    for party in (ours, third):
        party.station = await stations.start(party.handler, "invite")
    phone = await baresip.start(peers, "alice", ours.address, expires=0)
    await phone.command("dial", third.uri)
    consulted = await phone.told("CALL_ESTABLISHED")
    await third.saw("INVITE ACK")
    consulted_tag = phone.message(200, sent=False, of="INVITE").tag("To")
    await phone.command("hold")
    await third.saw("INVITE ACK INVITE ACK")
    await phone.command("dial", ours.uri)
    await phone.told("CALL_ESTABLISHED", count=2)
    await ours.saw("INVITE ACK")
    from_tag = third.seen[0].from_.tag
    replaces = quote(f"{consulted['id']};to-tag={consulted_tag};from-tag={from_tag}", safe="")
    await phone.command("transfer", f"{third.uri}?Replaces={replaces}")
    await ours.saw("INVITE ACK REFER BYE")
    # With its second call gone the phone takes the first one back from hold, until we end it.
    await third.saw("INVITE ACK INVITE ACK INVITE ACK INVITE ACK")
    await third.hang_up(third.seen[0].dialog_id)
    await phone.told("CALL_CLOSED", count=2)

    takes_over = next(req for req in third.seen if "Replaces" in req.headers)
    assert takes_over.headers["Replaces"].startswith(f"{consulted['id']};")
    assert takes_over.call_id not in (consulted["id"], ours.seen[0].call_id)
    await phone.expect(
        steps(">INVITE <180 <200 >ACK >INVITE <200 >ACK >INVITE <200 >ACK <BYE >200"),
        call=str(consulted["id"]),
    )
    await third.hang_up(takes_over.dialog_id)
    await ours.saw("INVITE ACK REFER BYE BYE")
