"""sipsak over UDP and TCP: it asks, registers, and sends what is no SIP message, which harms nobody.

sipsak 0.9.8 cuts the last digit off a port of five digits in the request-URI. Its TLS is left out: it fails with
`openssl s_server` too ("select returned error"), before it has sent its request.
"""

from __future__ import annotations

import asyncio

import pytest
from dracht import App, Request, Response

from tests.conformance.sip import Sip
from tests.conformance.station import Station
from tests.interop.conftest import RealStations

pytestmark = pytest.mark.peer("sipsak")

TRANSPORTS = ("udp", "tcp")


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


def service() -> App:
    """Answers OPTIONS, and REGISTER with what is registered."""
    app = App()

    @app.options
    async def options(req: Request, res: Response) -> None:
        await res.send(200)

    @app.register
    async def register(req: Request, res: Response) -> None:
        await res.send(200, headers={"Contact": f"<{req.contacts[0].uri_text}>;expires=15"})

    return app


def by(station: Station, transport: str, user: str) -> list[str]:
    """Arguments for a transport, with the URI."""
    host, port = station.address
    return [f"--transport={transport}", "-s", f"sip:{user}@{host}:{port}"]


@pytest.fixture
async def served(stations: RealStations) -> Station:
    return await stations.start(service())


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_it_asks_and_is_answered(served: Station, transport: str) -> None:
    status, responses, output = await sipsak(*by(served, transport, "ping"))
    assert status == 0, output
    assert [response.status for response in responses] == [200]
    assert responses[0]["Via"].startswith(f"SIP/2.0/{transport.upper()} ")
    assert "received=127.0.0.1" in responses[0]["Via"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_it_registers(served: Station, transport: str) -> None:
    status, responses, output = await sipsak("-U", "-i", *by(served, transport, "alice"))
    assert status == 0, output
    assert [response.status for response in responses if response.method == "REGISTER"] == [200]
    assert "sip:alice@" in responses[-1]["Contact"]


async def test_trash_harms_nobody(served: Station) -> None:
    await sipsak("-R", "-t", "40", *by(served, "udp", "trash"))
    for transport in TRANSPORTS:
        assert (await sipsak(*by(served, transport, "ping")))[0] == 0
