"""sipsak over UDP, TCP and TLS: it asks, registers with digest, and sends what is no SIP message, which harms nobody.

sipsak 0.9.8 cuts the last digit off a port of five digits in the request-URI, and answers a challenge by MD5 only where that is
the first.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from dracht import Tls

from tests.conformance.sip import Sip
from tests.conformance.station import Station
from tests.interop.certificates import Authority
from tests.interop.conftest import RealStations
from tests.interop.office import PASSWORD, office

pytestmark = pytest.mark.peer("sipsak")

TRANSPORTS = ("udp", "tcp", "tls")


async def sipsak(*arguments: str) -> tuple[int, list[Sip], str]:
    """Runs it: its exit status, the responses it received, and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        "sipsak", "-vvv", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    assert process.returncode is not None
    found = []
    for block in output.split(b"received from: ")[1:]:
        message = block[block.index(b"SIP/2.0 ") :]
        found.append(Sip(message[: message.index(b"\r\n\r\n") + 4]))
    return process.returncode, found, output.decode("utf-8", "replace")


class Served:
    """The registrar on every transport, and how sipsak gets there."""

    def __init__(self, station: Station, authority: Authority) -> None:
        self.station = station
        self._authority = authority

    def by(self, transport: str, user: str) -> list[str]:
        """Arguments for a transport, with the URI."""
        bound = next(one for one in self.station.engine.hostports()[1] if one.startswith(f"{transport}/"))
        chosen = [f"--transport={transport}", "-s", f"sip:{user}@{bound.partition('/')[2]}"]
        return [*chosen, f"--tls-ca-cert={self._authority.file}"] if transport == "tls" else chosen


@pytest.fixture
async def served(stations: RealStations, tmp_path: Path) -> Served:
    authority = Authority(tmp_path)
    listen = ("sip:127.0.0.1:0;transport=udp,tcp", "sip:127.0.0.1:0;transport=tls")
    tls = Tls(certificates=[authority.issue("127.0.0.1", "localhost").pair])
    return Served(await stations.start(office(["MD5"]), listen=listen, tls=tls), authority)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_it_asks_and_is_answered(served: Served, transport: str) -> None:
    status, responses, output = await sipsak(*served.by(transport, "ping"))
    assert status == 0, output
    assert [response.status for response in responses] == [200]
    assert responses[0]["Via"].startswith(f"SIP/2.0/{transport.upper()} ")
    assert "received=127.0.0.1" in responses[0]["Via"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_it_registers_with_digest(served: Served, transport: str) -> None:
    status, responses, output = await sipsak("-U", *served.by(transport, "alice"), "-a", PASSWORD)
    assert status == 0, output
    assert [response.status for response in responses if response.method == "REGISTER"] == [401, 200]
    assert "sip:alice@" in responses[-1]["Contact"]


async def test_trash_harms_nobody(served: Served) -> None:
    await sipsak("-R", "-t", "40", *served.by("udp", "trash"))
    for transport in TRANSPORTS:
        assert (await sipsak(*served.by(transport, "ping")))[0] == 0
