"""TLS as OpenSSL sees it: what we show to `openssl s_client`, and which `openssl s_server` we refuse, with which words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from dracht import App, Request, Response, Tls, _core

from bench.processes import free_port
from tests.conformance.sip import Sip, written
from tests.conformance.station import Station
from tests.interop.certificates import Authority, Issued
from tests.interop.conftest import RealStations
from tests.interop.peers.process import Peer, Peers, eventually
from tests.interop.tls_probe import Handshake, handshake, offered, weaknesses

pytestmark = pytest.mark.peer("openssl")

LISTEN = ("sip:127.0.0.1:0;transport=udp,tcp", "sip:127.0.0.1:0;transport=tls")
OPTIONS = (
    b"OPTIONS sip:localhost SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bKopenssl;rport\r\n"
    b"From: <sip:openssl@localhost>;tag=1\r\nTo: <sip:localhost>\r\nCall-ID: openssl\r\nCSeq: 1 OPTIONS\r\n"
    b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def service() -> App:
    """Answers OPTIONS, and says whose certificate it came with."""
    app = App()

    @app.options
    async def options(req: Request, res: Response) -> None:
        names = req.peer_certificate.names if req.peer_certificate else ("nobody",)
        await res.send(200, headers={"X-Peer": ", ".join(names)})

    return app


async def start(stations: RealStations, *certificates: Issued, **options: Any) -> Station:
    """The service with these certificates."""
    tls = Tls(certificates=[one.pair for one in certificates], **options)
    return await stations.start(service(), listen=LISTEN, tls=tls)


def secure(station: Station) -> tuple[str, int]:
    """Where it speaks TLS."""
    bound = next(one for one in station.engine.hostports()[1] if one.startswith("tls/"))
    host, _, port = bound.removeprefix("tls/").rpartition(":")
    return host, int(port)


async def shake(station: Station, *options: str, name: str | None = None, say: bytes = b"") -> Handshake:
    """A handshake with it."""
    return await asyncio.to_thread(handshake, secure(station), *options, name=name, say=say)


# ---- what we offer


@pytest.mark.parametrize(("minimum", "rsa"), [("1.2", False), ("1.2", True), ("1.3", False)])
async def test_versions_and_ciphers(
    stations: RealStations, tmp_path: Path, minimum: Literal["1.2", "1.3"], rsa: bool
) -> None:
    issued = Authority(tmp_path).issue("localhost", rsa=rsa)
    station = await start(stations, issued, minimum_version=minimum)
    taken = await asyncio.to_thread(offered, secure(station), "localhost")
    print("\n".join(f"{version}: {', '.join(ciphers) or 'refused'}" for version, ciphers in taken.items()))
    assert taken["TLSv1"] == []
    assert taken["TLSv1.1"] == []
    assert bool(taken["TLSv1.2"]) == (minimum == "1.2")
    assert len(taken["TLSv1.3"]) >= 3, "RFC 8446 §9.1"
    for version, ciphers in taken.items():
        for cipher in ciphers:
            assert weaknesses(version, cipher) == [], f"{version} {cipher}"


async def test_each_name_has_its_certificate(stations: RealStations, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first, second = authority.issue("a.example"), authority.issue("b.example", "*.b.example")
    station = await start(stations, first, second)
    subjects = {}
    for name in ("a.example", "b.example", "sip.b.example"):
        checked = await shake(
            station,
            "-CAfile",
            str(authority.file),
            "-verify_hostname",
            name,
            "-verify_return_error",
            name=name,
        )
        assert checked.verified, checked.said
        subjects[name] = checked.subject
    assert subjects["a.example"] != subjects["b.example"] == subjects["sip.b.example"]
    for other in (None, "c.example"):
        assert (await shake(station, name=other)).subject == subjects["a.example"], "the first is the default"


async def test_a_request_over_tls(stations: RealStations, tmp_path: Path) -> None:
    station = await start(stations, Authority(tmp_path).issue("localhost"))
    answer = await shake(station, name="localhost", say=OPTIONS)
    assert "SIP/2.0 200 OK" in answer.said
    assert "X-Peer: nobody" in answer.said


async def test_a_client_certificate_is_demanded(stations: RealStations, tmp_path: Path, log: Log) -> None:
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "partner")
    station = await start(
        stations, ours.issue("localhost"), client_certificates="demanded", authorities=[str(theirs.file)]
    )
    known, stranger = theirs.issue("trunk.partner.example"), ours.issue("trunk.partner.example")
    expired = theirs.issue("trunk.partner.example", days=-1)

    async def asks_with(client: Issued | None) -> str:
        options = ("-cert", str(client.certificate), "-key", str(client.key)) if client else ()
        return (await shake(station, *options, name="localhost", say=OPTIONS)).said

    assert "X-Peer: trunk.partner.example" in await asks_with(known)
    for client, words in (
        (None, "it showed no certificate, and one is demanded"),
        (stranger, "an authority that is not trusted"),
        (expired, "its certificate expired 24 hours ago"),
    ):
        assert "SIP/2.0" not in await asks_with(client)
        await log.says("INFO", "peer=127.0.0.1:", words)  # strangers knock all day: no warning


class Log:
    """What the engine writes to standard error."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        _core.install_logging("info")
        self._capture = capture
        self._lines: list[str] = []

    def _with(self, words: tuple[str, ...]) -> list[str]:
        self._lines += self._capture.readouterr().err.splitlines()
        return [line for line in self._lines if all(word in line for word in words)]

    async def says(self, level: str, *words: str) -> None:
        """Waits for one line of that level with these words, and forgets it."""
        await eventually(
            lambda: self._with(words), lambda: f"a line with {words}; there are {self._lines}", limit=10.0
        )
        found = self._with(words)
        assert len(found) == 1, found
        assert f" {level} " in found[0]
        self._lines.remove(found[0])


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """The engine's log."""
    yield Log(capfd)
    _core.install_logging("off")


# ---- whom we refuse


@pytest.mark.parametrize("fault", ["none", "name", "expired", "authority", "version"])
async def test_a_server_is_verified(
    stations: RealStations, peers: Peers, tmp_path: Path, fault: str, log: Log
) -> None:
    known, unknown = Authority(tmp_path, "known"), Authority(tmp_path, "unknown")
    issued = {
        "none": lambda: known.issue("localhost"),
        "version": lambda: known.issue("localhost"),
        "name": lambda: known.issue("elsewhere.example"),
        "expired": lambda: known.issue("localhost", days=-1),
        "authority": lambda: unknown.issue("localhost"),
    }[fault]()
    station = await start(stations, known.issue("localhost"), authorities=[str(known.file)])
    port = free_port()
    old = ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0") if fault == "version" else ()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-naccept", "1", "-quiet", *old]
    command += ["-cert", str(issued.certificate), "-key", str(issued.key)]
    server = await peers.start(Peer("s_server", command, peers.folder("s_server")))
    await eventually(lambda: f"0100007F:{port:04X}" in Path("/proc/net/tcp").read_text())
    asked = await station.agent.request(f"sip:localhost:{port};transport=tls", "OPTIONS", timeout=20.0)
    if fault == "none":
        await server.until(lambda: "\r\n\r\n" in server.log.read_bytes().decode(), "our request")
        request = Sip(server.log.read_bytes())
        echoed = [(name, request[name]) for name in ("Via", "From", "To", "Call-ID", "CSeq")]
        assert server.process.stdin is not None
        server.process.stdin.write(written("SIP/2.0 200 OK", echoed))
        server.process.stdin.flush()
        assert (await asked.final()).status == 200
        return
    answer = await asked.final()
    assert answer.status == 503
    why = {
        "version": "TLS or WebSocket handshake failed",
        "name": "certificate not trusted: it is for another name",
        "expired": "certificate not trusted: it expired",
        "authority": "certificate not trusted: unknown authority",
    }[fault]
    assert answer.reason == f"Service Unavailable: {why}"
    assert "OPTIONS" not in server.output()
    said = {
        "name": ("localhost", "elsewhere.example"),
        "expired": ("its certificate expired 24 hours ago",),
        "authority": ("an authority that is not trusted",),
        "version": ("version",),
    }[fault]
    await log.says("WARN", f"127.0.0.1:{port}", *said)
