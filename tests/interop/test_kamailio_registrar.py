"""Kamailio as our registrar, with digest: MD5, and SHA-256 (RFC 8760). What registered is called through it."""

from __future__ import annotations

import pytest
from dracht import Agent, Digest
from dracht.digest import challenges
from dracht.transaction import IncomingResponse

from tests.conformance.sip import uri_of
from tests.interop.conftest import RealStations
from tests.interop.party import Party, nobody
from tests.interop.peers import kamailio
from tests.interop.peers.kamailio import Kamailio
from tests.interop.peers.process import Peers, steps

pytestmark = pytest.mark.peer("kamailio")

ALGORITHMS = ["MD5", "SHA-256"]


async def register(
    agent: Agent,
    registrar: Kamailio,
    contact: str | None,
    auth: Digest,
    *,
    number: int,
    expires: int | None = None,
) -> IncomingResponse:
    """A REGISTER of bob; its final response. `number` is its CSeq: one registration is one sequence (RFC 3261 §10.2)."""
    bob = f"sip:bob@{registrar.address}"
    headers = {"From": f"<{bob}>;tag=bob", "To": f"<{bob}>", "Call-ID": f"bob-{registrar.port}"}
    headers["CSeq"] = f"{number} REGISTER"
    if contact is not None:
        headers["Contact"] = contact
    if expires is not None:
        headers["Expires"] = str(expires)
    sent = await agent.request(f"sip:{registrar.address}", "REGISTER", headers=headers, auth=auth)
    return await sent.final()


def bindings(response: IncomingResponse) -> list[str]:
    """The Contacts of a 200, without expires."""
    return [contact.uri_text for contact in response.contacts]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_register_refresh_query_be_called_and_leave(
    stations: RealStations, peers: Peers, algorithm: str
) -> None:
    caller, callee = Party(), Party()
    for party in (caller, callee):
        party.station = await stations.start(party.handler, "invite")
    registrar = await kamailio.start(peers, "registrar", algorithm=algorithm)
    contact = callee.uri
    auth = Digest("bob", "secret")

    first = await register(callee.agent, registrar, f"<{contact}>", auth, number=1, expires=60)
    assert (first.status, bindings(first)) == (200, [contact])
    await registrar.expect(["< REGISTER", "> 401", "< REGISTER", "> 200"])
    ((scheme, challenge),) = challenges(registrar.message(401, sent=True)["WWW-Authenticate"])
    assert scheme.lower() == "digest"
    assert challenge.get("algorithm", "MD5") == algorithm
    ((_, given),) = challenges(registrar.message("REGISTER", sent=False)["Authorization"])
    assert given.get("algorithm", "MD5") == algorithm
    assert (given["nonce"], given["nc"], given["qop"]) == (challenge["nonce"], "00000001", "auth")
    assert len(given["response"]) == {"MD5": 32, "SHA-256": 64}[algorithm]

    refreshed = await register(callee.agent, registrar, f"<{contact}>", auth, number=3, expires=1800)
    assert (refreshed.status, bindings(refreshed)) == (200, [contact])
    assert 1700 < int(refreshed.contacts[0].param("expires") or 0) <= 1800
    queried = await register(callee.agent, registrar, None, auth, number=5)
    assert (queried.status, bindings(queried)) == (200, [contact])

    aor = f"sip:bob@{registrar.address}"
    alice = Digest("alice", "secret")
    answer = await caller.call(aor, auth=alice)
    assert answer.status == 200
    await callee.saw("INVITE ACK")
    await caller.hang_up(answer.dialog_id)
    await callee.saw("INVITE ACK BYE")
    invite = callee.last("INVITE")
    assert str(invite.uri) == contact, "the registrar replaced the address by the binding"
    assert "Proxy-Authorization" not in invite.headers, "and took the credentials that were for it"
    await registrar.expect(
        steps("<INVITE >407 <ACK <INVITE >INVITE <180 >180 <200 >200 <ACK >ACK <BYE >BYE <200 >200"),
        *("INVITE", "ACK", "BYE"),
    )
    refused, repeated = registrar.messages("INVITE", sent=False)
    assert repeated.cseq == refused.cseq + 1
    assert repeated["Call-ID"] == refused["Call-ID"]
    acks = registrar.messages("ACK", sent=False)
    assert [ack.cseq for ack in acks] == [refused.cseq, repeated.cseq]
    assert uri_of(acks[1]["Route"]).startswith(f"sip:{registrar.address};")

    gone = await register(callee.agent, registrar, f"<{contact}>", auth, number=7, expires=0)
    assert (gone.status, bindings(gone)) == (200, [])
    assert (await caller.call(aor, auth=alice)).status == 404


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_wrong_password_is_tried_once(stations: RealStations, peers: Peers, algorithm: str) -> None:
    station = await stations.start(nobody)
    registrar = await kamailio.start(peers, "registrar", algorithm=algorithm)
    contact = "<sip:bob@127.0.0.1:9>"
    refused = await register(station.agent, registrar, contact, Digest("bob", "wrong"), number=1, expires=60)
    assert refused.status == 401
    await registrar.expect(["< REGISTER", "> 401", "< REGISTER", "> 401"])


async def test_the_lifetime_that_counts_is_the_registrars(stations: RealStations, peers: Peers) -> None:
    station = await stations.start(nobody)
    registrar = await kamailio.start(peers, "registrar")
    contact = "<sip:bob@127.0.0.1:9>"
    auth = Digest("bob", "secret")
    answer = await register(station.agent, registrar, contact, auth, number=1, expires=10)
    # Kamailio does not refuse (423): it gives its minimum, and the client has to read what it got.
    assert (answer.status, answer.contacts[0].param("expires")) == (200, "30")
