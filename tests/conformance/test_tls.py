"""TLS end to end, over both links: a phone's certificate reaches the application, and the control port proves its name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dracht import Agent, ConnectionLost, Request, Response, Tls
from dracht.server import Server, ServerConfig

from tests.conformance.phone import LIMIT
from tests.conformance.station import SECRET, Stations
from tests.interop.certificates import Authority

pytest.importorskip("trustme")
TLS_ALONE = ("sip:127.0.0.1:0;transport=tls",)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def own(authority: Authority, **options: object) -> Tls:
    """What a server of the tests is told: a certificate for localhost, and the authority."""
    certificate = authority.issue("localhost", "127.0.0.1").pair
    return Tls(certificates=[certificate], authorities=[authority.file], **options)  # type: ignore[arg-type]


async def ask(address: tuple[str, int], context: ssl.SSLContext) -> str:
    """An OPTIONS over TLS, and the first line of its answer."""
    async with asyncio.timeout(LIMIT):
        reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="localhost")
        host, port = writer.get_extra_info("sockname")[:2]
        writer.write(
            f"OPTIONS sip:service@localhost SIP/2.0\r\nVia: SIP/2.0/TLS {host}:{port};branch=z9hG4bKtls;rport\r\n"
            "Max-Forwards: 70\r\nFrom: <sip:phone@localhost>;tag=1\r\nTo: <sip:service@localhost>\r\nCall-ID: tls\r\n"
            "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode()
        )
        line = await reader.readline()
        writer.close()
    return line.decode().strip()


async def test_a_phones_certificate_reaches_the_application(stations: Stations, authority: Authority) -> None:
    seen: list[Request] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req)
        await res.send(200)

    tls = own(authority, client_certificates="asked")
    station = await stations.start(handler, "options", listen=TLS_ALONE, tls=tls)
    address = "127.0.0.1", int(station.engine.hostports()[1][0].rpartition(":")[2])
    context = authority.context()
    assert await ask(address, context) == "SIP/2.0 200 OK"
    context.load_cert_chain(*authority.issue("phone.example.com").pair)
    assert await ask(address, context) == "SIP/2.0 200 OK"
    without, proved = (req.peer_certificate for req in seen)
    assert without is None
    assert proved is not None
    assert proved.names == ("phone.example.com",)
    assert seen[1].transport == "tls"


@asynccontextmanager
async def served(tls: Tls) -> AsyncIterator[Server]:
    """A server whose control port speaks TLS."""
    with Server(ServerConfig(("sip:127.0.0.1:0",), "tls://127.0.0.1:0", SECRET, tls=tls)) as server:
        yield server


async def nobody(req: Request, res: Response) -> None:
    raise AssertionError("nobody sends anything here")


async def test_the_control_port_speaks_tls_and_proves_its_name(authority: Authority, tmp_path: Path) -> None:
    async with served(own(authority)) as server:
        assert server.control_url.startswith("tls://")
        async with Agent(nobody).serving(
            connect=server.control_url, secret=SECRET, tls=Tls(authorities=[authority.file])
        ) as agent:
            assert agent.hostports
        # In clear, and by somebody who trusts another authority, nothing is reached.
        for url, tls in (
            (f"tcp://{server.control}", None),
            (server.control_url, Tls(authorities=[Authority(tmp_path, "other").file])),
        ):
            with pytest.raises(ConnectionLost):
                await Agent(nobody).connect(url, secret=SECRET, tls=tls, timeout=LIMIT)


async def test_certificates_are_read_again_when_told_and_bad_ones_are_not_taken(authority: Authority) -> None:
    files = authority.issue("127.0.0.1")
    tls = Tls(certificates=[files.pair], authorities=[authority.file], reload_interval=0)
    async with served(tls) as server:
        assert server.reload_certificates()
        files.key.write_text("nonsense")
        with pytest.raises(ValueError, match=files.key.name):
            server.reload_certificates()
        agent = Agent(nobody)
        await agent.connect(server.control_url, secret=SECRET, tls=authority.context())
        await agent.close()


def test_mistakes_are_named() -> None:
    for arguments, text in (
        ({"certificates": "chain.pem"}, "list of pairs"),
        ({"client_certificates": "yes"}, "client_certificates is one of"),
        ({"minimum_version": "1.1"}, "minimum_version is one of"),
        ({"reload_interval": -1.0}, "reload_interval is a number"),
    ):
        with pytest.raises(ValueError, match=text):
            Tls(**arguments)
    with pytest.raises(ValueError, match="needs a certificate"):
        ServerConfig(("sip:127.0.0.1:0",), "tls://127.0.0.1:0", SECRET)
