"""A SIP domain is found by its NAPTR and SRV records (RFC 3263), and a target that does not answer costs one timeout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from dracht import CommandFailed, Dns, ProxyResult, Request, Response

from tests.conformance.phone import Phone
from tests.conformance.station import Station, Stations, eventually, nobody
from tests.nameserver import NameServer


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    """A name server that the test commands."""
    async with NameServer() as server:
        yield server


def dns(names: NameServer, **options: float) -> Dns:
    """Short times, so that a test is."""
    chosen = {"timeout": 0.5, "limit": 2.0, "target_timeout": 0.3, "unavailable_longest": 0.4, **options}
    return Dns(servers=(names.address,), hosts=False, unavailable=0.4, **chosen)  # type: ignore[arg-type]


def service(names: NameServer, domain: str, *phones: Phone) -> None:
    """A domain whose UDP service is at these phones, the first before the second."""
    targets = [(at, 0, phone.port, f"p{at}.{domain}") for at, phone in enumerate(phones)]
    names.srv(f"_sip._udp.{domain}", *targets)
    for at, _ in enumerate(phones):
        names.host(f"p{at}.{domain}", "127.0.0.1")


async def options(station: Station, uri: str, answering: Phone) -> int:
    """The final status of an OPTIONS that this phone answers 200."""
    tx = await station.agent.request(uri, "OPTIONS")
    final = asyncio.ensure_future(tx.final())
    answering.reply(await answering.expect("OPTIONS"), 200)
    return (await final).status


def requests(phone: Phone) -> int:
    """How many different requests were sent to a phone that does not hear."""
    return len({message["Call-ID"] for message in phone.dropped})


async def test_a_dead_first_target_costs_one_timeout_and_is_used_again_when_it_is_back(
    stations: Stations, names: NameServer
) -> None:
    first, second = await stations.phone(), await stations.phone()
    service(names, "pool.example", first, second)
    station = await stations.start(nobody, dns=dns(names, unavailable_longest=60.0))
    first.drop = lambda message: True

    for _ in range(10):
        assert await options(station, "sip:pool.example", second) == 200
    assert requests(first) == 1
    assert station.counts()["failovers"] == 1

    first.drop = lambda message: False
    back = asyncio.ensure_future(first.expect("OPTIONS"))
    while not back.done():
        tx = await station.agent.request("sip:pool.example", "OPTIONS")
        other = asyncio.ensure_future(second.expect("OPTIONS"))
        await asyncio.wait([back, other], return_when=asyncio.FIRST_COMPLETED)
        if other.done():
            second.reply(other.result(), 200)
        else:
            other.cancel()
            first.reply(back.result(), 200)
        assert (await tx.final()).status == 200
    assert await options(station, "sip:pool.example", first) == 200
    assert station.counts()["targets_returned"] == 1


async def test_a_broken_domain_leaves_the_others_alone(stations: Stations, names: NameServer) -> None:
    phone = await stations.phone()
    service(names, "good.example", phone)
    names.broken("silent.example", "silent")
    names.broken("failing.example", "fails")
    station = await stations.start(nobody, dns=dns(names))

    async def lost(uri: str) -> None:
        with pytest.raises(CommandFailed):
            await station.agent.request(uri, "OPTIONS")

    broken = [
        asyncio.ensure_future(lost(f"sip:{number}.{domain}.example"))
        for domain in ("silent", "failing")
        for number in range(20)
    ]
    for _ in range(10):
        assert await options(station, "sip:good.example", phone) == 200
    assert not all(task.done() for task in broken)
    await asyncio.gather(*broken)
    assert names.asked.count(("_sip._udp.good.example", "SRV")) == 1
    counts = station.counts()
    assert (counts["dns_questions"], counts["dns_failed"]) == (50, 40)
    assert counts["dns_cached"] >= 9


async def test_a_proxied_call_goes_to_the_next_target_after_a_503(
    stations: Stations, names: NameServer
) -> None:
    busy, free = await stations.phone(), await stations.phone()
    service(names, "pool.example", busy, free)
    results: list[ProxyResult] = []

    async def handler(req: Request, res: Response) -> None:
        results.append(await req.proxy("sip:bob@pool.example"))

    station = await stations.start(handler, "invite", dns=dns(names))
    caller = await stations.phone()
    leg = caller.leg(station.address)
    invite = await leg.send("INVITE")
    busy.reply(await busy.expect("INVITE"), 503)
    await busy.expect("ACK")
    free.reply(await free.expect("INVITE"), 486)
    refusal = await caller.expect(486)
    await leg.refused(invite, refusal)
    await free.expect("ACK")
    await eventually(lambda: results)
    assert results[0].final_status == 486
    assert busy.ladder == ["< INVITE", "> 503", "< ACK"]
    assert free.ladder == ["< INVITE", "> 486", "< ACK"]


async def test_the_domain_chooses_the_transport(stations: Stations, names: NameServer) -> None:
    phone = await stations.phone(transport="tcp")
    names.naptr(
        "corp.example",
        (10, 10, "SIPS+D2T", "_sips._tcp.corp.example"),
        (20, 10, "SIP+D2T", "_sip._tcp.corp.example"),
        (30, 10, "SIP+D2U", "_sip._udp.corp.example"),
    )
    names.srv("_sip._tcp.corp.example", (0, 0, phone.port, "phone.corp.example"))
    names.srv("_sip._udp.corp.example", (0, 0, 9, "phone.corp.example"))
    names.host("phone.corp.example", "127.0.0.1")
    station = await stations.start(nobody, dns=dns(names))
    assert await options(station, "sip:corp.example", phone) == 200
    request = next(entry.message for entry in phone.record if entry.message.method == "OPTIONS")
    assert request["Via"].startswith("SIP/2.0/TCP ")
    assert ("_sips._tcp.corp.example", "SRV") not in names.asked


async def test_a_call_that_is_cancelled_is_cancelled_where_it_went(
    stations: Stations, names: NameServer
) -> None:
    dead, phone = await stations.phone(), await stations.phone()
    service(names, "pool.example", dead, phone)
    dead.drop = lambda message: True
    station = await stations.start(nobody, dns=dns(names))
    tx = await station.agent.request("sip:pool.example", "INVITE")
    invite = await phone.expect("INVITE")
    phone.reply(invite, 180)
    await tx.cancel()
    phone.reply(await phone.expect("CANCEL"), 200)
    phone.reply(invite, 487)
    await phone.expect("ACK")
    assert (await tx.final()).status == 487
    assert all(message.method == "INVITE" for message in dead.dropped)
