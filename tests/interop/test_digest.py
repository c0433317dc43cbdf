"""Digest with real peers at our registrar and proxy: who answers which algorithm (RFC 7616, RFC 8760), in REGISTER and in calls.

linphone answers the first challenge that it knows, SHA-256 or MD5. baresip 1.0 knows MD5 alone, and fails where anything else is
offered beside it, in whatever order; SIPp 3.6 fails at SHA-256. They are offered MD5 alone: baresip by its User-Agent.
"""

from __future__ import annotations

import pytest
from dracht.digest import challenges

from tests.conformance.sip import Sip
from tests.interop.conftest import RealStations
from tests.interop.office import PASSWORD, REALM, office
from tests.interop.party import Party
from tests.interop.peers import baresip, linphone, sipp
from tests.interop.peers.process import Peer, Peers, steps

BOTH = ("SHA-256", "MD5")


async def registrar(stations: RealStations, *algorithms: str) -> str:
    """An office with digest: its `HOST:PORT`."""
    return "{}:{}".format(*(await stations.start(office(algorithms))).address)


def given(request: Sip, field: str = "Authorization") -> dict[str, str]:
    """The credentials of a request."""
    ((scheme, params),) = challenges(request[field])
    assert scheme.lower() == "digest"
    return params


def offered(refusal: Sip, field: str = "WWW-Authenticate") -> list[str]:
    """The algorithms of its challenges, in order."""
    return [params["algorithm"] for value in refusal.all(field) for _, params in challenges(value)]


def assert_registered(phone: Peer, algorithm: str) -> None:
    """It registered at the second attempt, by this algorithm."""
    credentials = given(phone.messages("REGISTER", sent=True)[1])
    assert credentials.get("algorithm", "MD5").upper() == algorithm
    assert credentials["realm"] == REALM
    assert credentials["nc"] == "00000001"
    assert len(credentials["response"]) == {"MD5": 32, "SHA-256": 64}[algorithm]


@pytest.mark.peer("linphone")
@pytest.mark.parametrize(
    ("algorithms", "chosen"),
    [(BOTH, "SHA-256"), (("MD5", "SHA-256"), "MD5"), (("SHA-256",), "SHA-256"), (("MD5",), "MD5")],
)
async def test_linphone_registers(
    stations: RealStations, peers: Peers, algorithms: tuple[str, ...], chosen: str
) -> None:
    where = await registrar(stations, *algorithms)
    phone = await linphone.start(peers, "alice", where, password=PASSWORD)
    await phone.expect(steps(">REGISTER <401 >REGISTER <200"))
    assert offered(phone.message(401, sent=False)) == list(algorithms)
    assert_registered(phone, chosen)


@pytest.mark.peer("baresip")
async def test_baresip_registers(stations: RealStations, peers: Peers) -> None:
    where = await registrar(stations, *BOTH)
    phone = await baresip.start(peers, "alice", where, password=PASSWORD)
    await phone.expect(steps(">REGISTER <401 >REGISTER <200"))
    assert_registered(phone, "MD5")


@pytest.mark.peer("linphone")
async def test_a_wrong_password_does_not_register_and_the_right_one_does(
    stations: RealStations, peers: Peers
) -> None:
    where = await registrar(stations, *BOTH)
    phone = await linphone.start(peers, "alice", where, password="guess")
    await phone.writes(f"Password for alice on {REALM}")
    assert phone.ladder()[:4] == steps(">REGISTER <401 >REGISTER <401")
    first, second = phone.messages("REGISTER", sent=True)[:2]
    assert first.get("Authorization") is None
    assert given(second)["username"] == "alice"
    assert phone.messages(200, sent=False, of="REGISTER") == []
    phone.type(PASSWORD)
    await phone.saw(200, sent=False, of="REGISTER")


@pytest.mark.peer("baresip")
@pytest.mark.peer("linphone")
async def test_phones_of_two_makes_call_one_another_with_digest(stations: RealStations, peers: Peers) -> None:
    where = await registrar(stations, *BOTH)
    alice = await baresip.start(peers, "alice", where, password=PASSWORD)
    bob = await linphone.start(peers, "bob", f"{where}", password=PASSWORD)
    for phone in (alice, bob):
        await phone.saw(200, sent=False, of="REGISTER")
    # linphone leaves the port out of who it is: its address of record is bob@127.0.0.1.
    await alice.command("dial", f"sip:bob@{where}")
    await bob.writes("Receiving new incoming call from")
    await bob.says("answer", "Media streams established")
    await alice.told("CALL_ESTABLISHED")
    await bob.saw("ACK", sent=False)
    await bob.says("terminate", "ended (No error)")
    await alice.told("CALL_CLOSED")
    calls = ("INVITE", "ACK", "BYE")
    await alice.expect(steps(">INVITE <407 >ACK >INVITE <180 <200 >ACK <BYE >200"), *calls)
    await bob.expect(steps("<INVITE >180 >200 <ACK >BYE <200"), *calls)
    assert given(alice.messages("INVITE", sent=True)[1], "Proxy-Authorization")["uri"] == f"sip:bob@{where}"

    await bob.says("call sip:alice@" + where, "ringing")
    await alice.told("CALL_INCOMING")
    await alice.command("accept")
    await bob.writes("Media streams established", count=2)
    await alice.told("CALL_ESTABLISHED", count=2)
    await alice.command("hangup")
    await bob.writes("ended (No error)", count=2)
    second = bob.message("INVITE", sent=True)
    assert given(second, "Proxy-Authorization")["algorithm"] == "SHA-256"
    await alice.expect(steps("<INVITE >180 >200 <ACK >BYE <200"), call=second["Call-ID"])


@pytest.mark.peer("sipp")
async def test_sipp_registers_and_calls(stations: RealStations, peers: Peers) -> None:
    where = await registrar(stations, "MD5")
    host, port = where.split(":")
    to = (host, int(port))
    credentials = ("-au", "service", "-ap", PASSWORD)
    phone = await sipp.start(peers, "register_digest", to, options=credentials)
    await phone.finished()
    await phone.expect(steps(">REGISTER <401 >REGISTER <200"))
    assert_registered(phone, "MD5")

    callee = Party()
    callee.station = await stations.start(callee.handler, "invite")
    headers = {"To": f"<sip:callee@{where}>", "Contact": f"<{callee.uri}>"}
    sent = await callee.agent.request(f"sip:{where}", "REGISTER", headers=headers, auth=("callee", PASSWORD))
    assert (await sent.final()).status == 200
    # Unless told, SIPp's digest-uri is the address it sends to, without the user of the request-URI.
    target = ("-s", "callee", "-auth_uri", f"callee@{where}")
    caller = await sipp.start(peers, "uac_digest", to, options=(*credentials, *target))
    await caller.finished()
    await caller.expect(steps(">INVITE <407 >ACK >INVITE <180 <200 >ACK >BYE <200"))
    assert (
        given(caller.messages("INVITE", sent=True)[1], "Proxy-Authorization")["uri"] == f"sip:callee@{where}"
    )
    await callee.saw("INVITE ACK BYE")
    assert callee.seen[0].from_.uri.user == "caller"
