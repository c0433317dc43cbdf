"""Telephones over TLS: SIPp by the thousand (through stunnel, as Debian's SIPp has no TLS), baresip and linphone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from dracht import Tls

from bench import sipp as load
from bench.soak.running import serving
from bench.soak.watching import tables
from tests.interop.browser.exchange import application
from tests.interop.certificates import Authority
from tests.interop.conftest import RealStations
from tests.interop.party import Party
from tests.interop.peers import baresip, linphone, stunnel
from tests.interop.peers.process import Peers, steps

LISTEN = ("sip:127.0.0.1:0;transport=udp,tcp", "sip:127.0.0.1:0;transport=tls")
CALLS, RATE = 1000, 250.0


@pytest.mark.peer("sipp")
@pytest.mark.peer("stunnel")
@pytest.mark.parametrize("way", ["embedded", "connected"])
@pytest.mark.parametrize("connections", ["one", "one a call"])
async def test_calls_by_the_thousand(peers: Peers, tmp_path: Path, way: str, connections: str) -> None:
    scenario = tmp_path / "uac_tls.xml"
    scenario.write_text((load.SCENARIOS / "uac.xml").read_text().replace("[transport]", "TLS"))
    calls, rate = (CALLS, RATE) if connections == "one" else (CALLS / 4, RATE / 4)
    async with serving(tmp_path, ("tls",), way, "sip:127.0.0.1:9") as server:
        tunnel = await stunnel.start(peers, server.addresses["tls"], server.authority.file)
        outcome = await asyncio.to_thread(
            load.call,
            tmp_path / "load",
            tunnel.port,
            scenario=str(scenario),
            calls=int(calls),
            rate=rate,
            transport="tcp" if connections == "one" else "tcp, a connection a call",
            user="answer",
        )
        assert (outcome.successful, outcome.failed) == (calls, 0), f"{outcome.errors}\n{tunnel}"
        held = await tables(server.control)
        assert not held.get("dialogs"), held
        print(f"{outcome.successful} calls at {outcome.rate:.0f}/s")


async def secure_party(stations: RealStations, folder: Path) -> tuple[Party, Authority, str]:
    """One of ours that is called over TLS as `localhost`; its `HOST:PORT`."""
    authority, party = Authority(folder), Party()
    tls = Tls(certificates=[authority.issue("localhost", "127.0.0.1").pair])
    party.station = await stations.start(party.handler, "invite", listen=LISTEN, tls=tls)
    bound = next(one for one in party.station.engine.hostports()[1] if one.startswith("tls/"))
    return party, authority, bound.removeprefix("tls/")


@pytest.mark.peer("baresip")
async def test_baresip_calls_holds_and_is_left(stations: RealStations, peers: Peers, tmp_path: Path) -> None:
    ours, authority, address = await secure_party(stations, tmp_path)
    phone = await baresip.start(peers, "alice", address, expires=0, transport="tls", authority=authority.file)
    await phone.command("dial", f"sip:ours@{address};transport=tls")
    await phone.told("CALL_ESTABLISHED")
    await phone.command("hold")
    await ours.saw("INVITE ACK INVITE ACK")
    await ours.hang_up(ours.dialog)
    await phone.told("CALL_CLOSED")
    await phone.expect(steps(">INVITE <180 <200 >ACK >INVITE <200 >ACK <BYE >200"))
    invite = phone.messages("INVITE", sent=True)[0]
    assert invite["Via"].startswith("SIP/2.0/TLS ")
    assert ours.last("INVITE").transport == "tls"


@pytest.mark.peer("linphone")
async def test_linphones_register_and_call_over_tls(
    stations: RealStations, peers: Peers, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    tls = Tls(certificates=[authority.issue("localhost", "127.0.0.1").pair])
    station = await stations.start(application("sip:127.0.0.1:9"), listen=LISTEN, tls=tls)
    bound = next(one for one in station.engine.hostports()[1] if one.startswith("tls/"))
    address = f"localhost:{bound.rpartition(':')[2]}"
    phones = {
        user: await linphone.start(
            peers, user, address, password=password, transport="tls", authority=authority.file
        )
        for user, password in (("alice", "wonderland"), ("bob", "builder"))
    }
    for phone in phones.values():
        await phone.saw(200, sent=False, of="REGISTER")
    alice, bob = phones["alice"], phones["bob"]
    await alice.says(f"call sip:bob@{address};transport=tls", "ringing")
    await bob.says("answer", "Media streams established")
    await alice.writes("Media streams established")
    await bob.saw("ACK", sent=False)
    await bob.says("terminate", "ended (No error)")
    await alice.writes("ended (No error)")
    await alice.expect(steps(">INVITE <180 <200 >ACK <BYE >200"), "INVITE", "ACK", "BYE")
    await bob.expect(steps("<INVITE >180 >200 <ACK >BYE <200"), "INVITE", "ACK", "BYE")
    assert bob.message("INVITE", sent=False)["Via"].startswith("SIP/2.0/TLS ")
    counts = station.counts()
    assert counts["connections"] == 2, "each phone is reached by the connection that it opened"


@pytest.mark.peer("linphone")
async def test_linphone_refuses_a_stranger(stations: RealStations, peers: Peers, tmp_path: Path) -> None:
    """Its own check, seen from our side: no request comes."""
    ours, _, address = await secure_party(stations, tmp_path)
    other = Authority(tmp_path, "other")
    phone = await linphone.start(peers, "alice", address, transport="tls", authority=other.file)
    log = phone.folder / "linphone.log"
    await phone.until(lambda: "SSL handshake failed" in log.read_text(errors="replace"), "its refusal")
    assert ours.seen == []
