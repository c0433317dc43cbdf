"""Who is not answered: a request that the application drops, a source that it bans, what a filter fits, over both links."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from dracht import Admission, Filter, Request, Response
from dracht.server.status import ask_status

from tests.conformance.phone import Phone
from tests.conformance.station import SECRET, Station, Stations, eventually

STRICT = Admission(trusted=[])


async def fine(req: Request, res: Response) -> None:
    await res.send(200)


async def is_served(stations: Stations, station: Station, host: str = "127.0.0.1") -> None:
    """Somebody is answered: what came before has been dealt with."""
    phone = await stations.phone(host)
    await phone.leg(station.address).send("OPTIONS")
    await phone.expect(200)


async def test_a_dropped_request_gets_no_answer_and_neither_do_its_repetitions(stations: Stations) -> None:
    seen: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.method)
        if req.method == "OPTIONS":
            await res.send(200)
        else:
            req.drop()

    async def saw(method: str) -> None:
        await eventually(lambda: method in seen, seen)

    # So short that an application which only stays silent would be answered for.
    station = await stations.start(handler, "invite", "message", "options", application_timeout=0.4)
    phone = await stations.phone()
    for method in ("INVITE", "MESSAGE"):
        leg = phone.leg(station.address)
        request = await leg.send(method)
        await saw(method)
        await is_served(stations, station)
        phone._udp.sendto(request.data, station.address)  # type: ignore[union-attr]
        await is_served(stations, station)
        assert seen.count(method) == 1
    # What the engine would say once the application's time is up comes 0.4 s after the request: wait until it has forgotten both.
    await eventually(lambda: station.counts()["server_transactions"] == 0, station.counts)
    assert [entry.message.start for entry in phone.record if not entry.sent] == []
    assert station.counts()["unanswered"] == 0


async def test_a_banned_source_is_heard_no_more_until_the_ban_is_lifted(stations: Stations) -> None:
    seen: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.source[0])
        await res.send(200)
        if req.method == "MESSAGE":
            station.agent.ban(req.source[0], 600)

    station = await stations.start(handler, "message", "options")
    phone = await stations.phone("127.0.0.5")
    await phone.leg(station.address).send("MESSAGE")
    await phone.expect(200)
    await eventually(lambda: station.counts()["bans"] == 1)
    await phone.leg(station.address).send("OPTIONS")
    await eventually(lambda: station.counts()["dropped_banned"] == 1)
    await is_served(stations, station)
    ((network, seconds, reason),) = station.engine.bans()
    assert (network, reason) == ("127.0.0.5", "asked for")
    assert 500 < seconds <= 600
    station.agent.unban("127.0.0.5")
    await eventually(lambda: station.counts()["bans"] == 0)
    await phone.leg(station.address).send("OPTIONS")
    await phone.expect(200)
    assert seen == ["127.0.0.5", "127.0.0.1", "127.0.0.5"]


async def test_a_ban_is_in_the_status_with_its_reason(stations: Stations) -> None:
    station = await stations.start(fine, "options")
    station.agent.ban("192.0.2.0/24", 60)
    await eventually(lambda: station.counts()["bans"] == 1)
    status = await ask_status(*station.control, SECRET)
    (ban,) = status["bans"]
    assert (ban["network"], ban["reason"]) == ("192.0.2.0/24", "asked for")
    assert json.dumps(status)


@pytest.mark.parametrize("wrong", ["", "example.com", "192.0.2.1/33", "192.0.2"])
async def test_what_is_no_network_is_not_banned(stations: Stations, wrong: str) -> None:
    station = await stations.start(fine, "options")
    with pytest.raises(ValueError, match="no address or network"):
        station.agent.ban(wrong)
    with pytest.raises(ValueError, match="more than 0"):
        station.agent.ban("192.0.2.1", 0)


async def test_scanners_get_silence_and_phones_an_answer(stations: Stations) -> None:
    station = await stations.start(fine, "options", admission=STRICT)
    scanner = await stations.phone("127.0.0.5")
    await scanner.leg(station.address).send("OPTIONS", ("User-Agent", "friendly-scanner"))
    await eventually(lambda: station.counts()["dropped_filter"] == 1)
    phone = await stations.phone("127.0.0.6")
    await phone.leg(station.address).send("OPTIONS", ("User-Agent", "a phone"))
    await phone.expect(200)
    assert [entry for entry in scanner.record if not entry.sent] == []


async def test_filters_drop_answer_ban_and_admit_in_their_order(stations: Stations) -> None:
    admission = Admission(
        trusted=[],
        filters=[
            Filter(user_agent="friendly-scanner (ours)", action="admit"),
            Filter(user_agent="old*", methods=["options"], action=403),
            Filter(user_agent="bad*", action="ban", seconds=60),
            Filter(message_over=2000),
        ],
    )
    station = await stations.start(fine, "options", "message", admission=admission)

    async def ask(host: str, agent: str, method: str = "OPTIONS", body: bytes = b"") -> None:
        phone = await stations.phone(host)
        await phone.leg(station.address).send(method, ("User-Agent", agent), body=body)
        await asyncio.sleep(0)
        phones[host] = phone

    phones: dict[str, Phone] = {}
    await ask("127.0.0.5", "friendly-scanner (ours)")
    await phones["127.0.0.5"].expect(200)
    await ask("127.0.0.6", "old/1.0")
    await phones["127.0.0.6"].expect(403)
    await ask("127.0.0.6", "old/1.0", "MESSAGE")
    await phones["127.0.0.6"].expect(200)
    await ask("127.0.0.7", "fine", "MESSAGE", b"x" * 2000)
    await eventually(lambda: station.counts()["dropped_filter"] == 2, station.counts)
    await ask("127.0.0.8", "bad")
    await eventually(lambda: station.counts()["bans"] == 1)
    assert [ban[2] for ban in station.engine.bans()] == ["bad*"]


async def test_a_source_past_its_rate_is_dropped_and_another_is_served(stations: Stations) -> None:
    station = await stations.start(fine, "options", admission=Admission(trusted=[], rate=1, burst=5))
    phone = await stations.phone("127.0.0.5")
    for _ in range(50):
        await phone.leg(station.address).send("OPTIONS")
    await is_served(stations, station, "127.0.0.6")
    dropped = station.counts()["dropped_rate"]
    # A slow machine lets in one more for each second.
    assert 35 <= dropped <= 45
    for _ in range(50 - dropped):
        await phone.expect(200)


async def test_a_source_past_its_bytes_is_dropped_and_another_is_served(stations: Stations) -> None:
    admission = Admission(trusted=[], byte_rate=1, byte_burst=10_000)
    station = await stations.start(fine, "message", "options", admission=admission)
    phone = await stations.phone("127.0.0.5")
    for _ in range(10):
        await phone.leg(station.address).send("MESSAGE", body=b"x" * 3_000)
    await is_served(stations, station, "127.0.0.6")
    assert station.counts()["dropped_bytes"] == 7
    for _ in range(3):
        await phone.expect(200)


async def test_loopback_is_trusted_unless_it_is_said_otherwise(stations: Stations) -> None:
    station = await stations.start(fine, "options")
    phone = await stations.phone()
    await phone.leg(station.address).send("OPTIONS", ("User-Agent", "friendly-scanner"))
    await phone.expect(200)
    assert station.counts()["sources"] == 0


async def test_a_call_of_a_stranger_makes_it_known_and_leaves_nothing(stations: Stations) -> None:
    admission = Admission(trusted=[], half_open=1)
    station = await stations.start(fine, "invite", admission=admission)
    phone = await stations.phone("127.0.0.5")
    for _ in range(3):
        leg = phone.leg(station.address)
        await leg.send("INVITE")
        await leg.ack(await phone.expect(200))
        await leg.send("BYE")
        await phone.expect(200, of="BYE")
    assert station.counts()["refused_quota"] == 0
    await eventually(lambda: station.counts()["sources"] == 0, station.counts)


async def test_the_command_bans_and_lifts(stations: Stations) -> None:
    station = await stations.start(fine, "options")
    host, port = station.control
    command = [sys.executable, "-m", "dracht.cli", "ban", "--control", f"{host}:{port}", "--secret", SECRET]
    process = await asyncio.create_subprocess_exec(*command, "192.0.2.0/24", "60")
    assert await process.wait() == 0
    await eventually(lambda: station.counts()["bans"] == 1)
    process = await asyncio.create_subprocess_exec(*command, "192.0.2.0/24", "--lift")
    assert await process.wait() == 0
    await eventually(lambda: station.counts()["bans"] == 0)
    process = await asyncio.create_subprocess_exec(*command, "example.com", stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"no address or network" in errors
