"""What users of comparable servers reported of connections: leaks after a reset, TLS that stays dead, browsers not reached.

Each test is named after what was asked for: docs/explanation/field-regressions.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from dracht import CommandFailed, Request, Response, Tls
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from bench.soak.calls import KEPT_BACK, Answering, reset
from bench.soak.generator import Generator
from bench.soak.lines import Transport
from tests.conformance.sip import Sip, cut, written
from tests.conformance.station import Station
from tests.interop.certificates import Authority, Issued
from tests.interop.conftest import RealStations
from tests.interop.party import nobody
from tests.interop.peers.process import LIMIT, eventually
from tests.interop.sdp import sdp

LISTEN = (
    "sip:127.0.0.1:0;transport=udp,tcp",
    "sip:127.0.0.1:0;transport=tls",
    "sip:127.0.0.1:0;transport=wss",
)
QUICK: dict[str, Any] = {"t1": 0.05, "t2": 0.2, "t4": 0.1}


def addresses(station: Station) -> dict[str, tuple[str, int]]:
    """Where it speaks each transport."""
    found = {}
    for bound in station.engine.hostports()[1]:
        transport, _, address = bound.partition("/")
        host, _, port = address.rpartition(":")
        found[transport] = (host, int(port))
    return found


def held(station: Station) -> dict[str, int]:
    """What its tables hold, connections among them."""
    names = ("server_transactions", "client_transactions", "dialogs", "proxies", "timers", "connections")
    return {name: count for name, count in station.counts().items() if name in names and count}


# ---- ask 2: nothing is left of calls and transactions that ended


@pytest.mark.parametrize("transport", ["tcp", "tls", "wss"])
async def test_ask_2_a_peer_that_resets_before_its_bye_is_answered_leaves_nothing(
    stations: RealStations, tmp_path: Path, transport: Transport
) -> None:
    kept_back, calls = asyncio.Event(), 30

    async def answer(req: Request, res: Response) -> None:
        if KEPT_BACK in req.headers:
            await kept_back.wait()
        await res.send(200, body=sdp() if req.method == "INVITE" else b"")

    authority = Authority(tmp_path)
    tls = Tls(certificates=[authority.issue("localhost").pair])
    station = await stations.start(answer, "invite", "bye", "options", listen=LISTEN, tls=tls, **QUICK)
    generator = Generator(
        {transport: addresses(station)[transport]}, authority.context(), kinds=((1, reset),)
    )
    await generator.run(calls, 200)
    assert generator.done == {f"reset {transport}": calls}, generator.failures
    await eventually(lambda: station.counts()["connections"] == 0, lambda: held(station))
    kept_back.set()
    await eventually(lambda: not held(station), lambda: held(station))


async def test_ask_2_finished_client_transactions_are_removed(stations: RealStations) -> None:
    answering = Answering()
    station = await stations.start(nobody, **QUICK)
    target = f"sip:callee@127.0.0.1:{answering.port}"

    async def call() -> None:
        invite = await station.agent.request(target, "INVITE", body=sdp(), timeout=20)
        answer = await invite.final()
        await answer.ack()
        bye = await station.agent.request(method="BYE", dialog=answer.dialog_id, timeout=20)
        assert (await bye.final()).status == 200

    async def ask() -> None:
        assert (await (await station.agent.request(target, "OPTIONS", timeout=20)).final()).status == 200

    await asyncio.gather(*(one() for _ in range(50) for one in (call, ask)))
    assert answering.invites == 50
    await eventually(lambda: not held(station), lambda: held(station))
    answering.close()


# ---- ask 6: TLS that went dead is replaced, by TLS


class SecurePeer:
    """A server of TLS that answers every request with 200, and whose connections a test breaks."""

    def __init__(self) -> None:
        self.connections: list[asyncio.StreamWriter] = []
        self.names: list[str | None] = []
        self.requests: list[Sip] = []
        self.silent = False
        self.port = 0

    async def open(self, issued: Issued, port: int = 0) -> asyncio.Server:
        """Listens with a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*issued.pair)
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        server = await asyncio.start_server(self._accepted, "127.0.0.1", port, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        buffer = bytearray()
        try:
            while data := await reader.read(65536):
                buffer += data
                for message in cut(buffer):
                    request = Sip(message)
                    self.requests.append(request)
                    if not self.silent:
                        echoed = [("Via", via) for via in request.all("Via")]
                        echoed += [(name, request[name]) for name in ("From", "Call-ID", "CSeq")]
                        writer.write(written("SIP/2.0 200 OK", [*echoed, ("To", f"{request['To']};tag=p")]))
        except OSError:
            pass
        finally:
            writer.close()


async def status(station: Station, peer: SecurePeer, timeout: float = 20.0) -> int:
    """The answer to an OPTIONS of ours."""
    uri = f"sip:peer@localhost:{peer.port};transport=tls"
    asked = await station.agent.request(uri, "OPTIONS", timeout=timeout)
    return (await asked.final()).status


async def secure_client(stations: RealStations, authority: Authority) -> Station:
    """One of ours that believes this authority."""
    tls = Tls(certificates=[authority.issue("localhost").pair], authorities=[str(authority.file)])
    return await stations.start(nobody, listen=LISTEN, tls=tls, **QUICK)


async def test_ask_6_a_connection_that_broke_is_replaced(stations: RealStations, tmp_path: Path) -> None:
    authority, peer = Authority(tmp_path), SecurePeer()
    station = await secure_client(stations, authority)
    server = await peer.open(authority.issue("localhost"))
    for number in range(1, 4):
        assert await status(station, peer) == 200
        assert await status(station, peer) == 200
        assert len(peer.connections) == number, "one connection, used again"
        peer.connections[-1].transport.abort()
        await eventually(lambda: station.counts()["connections"] == 0, lambda: held(station))
    assert peer.names == ["localhost"] * 3, "the name is asked for, and checked, each time"
    server.close()


async def test_ask_6_a_connection_that_fell_silent_is_replaced(
    stations: RealStations, tmp_path: Path
) -> None:
    authority, peer = Authority(tmp_path), SecurePeer()
    station = await secure_client(stations, authority)
    server = await peer.open(authority.issue("localhost"))
    assert await status(station, peer) == 200
    peer.silent = True
    for _ in range(10):
        assert await status(station, peer) == 408
        if len(peer.connections) > 1:
            break
    peer.silent = False
    assert await status(station, peer) == 200
    assert len(peer.connections) == 2
    peer.connections[0].transport.abort()
    server.close()


async def test_ask_6_never_by_plain_tcp_nor_by_a_stranger(stations: RealStations, tmp_path: Path) -> None:
    known, unknown, peer = Authority(tmp_path, "known"), Authority(tmp_path, "unknown"), SecurePeer()
    station = await secure_client(stations, known)
    server = await peer.open(known.issue("localhost"))
    assert await status(station, peer) == 200
    server.close()
    peer.connections[-1].transport.abort()
    await eventually(lambda: station.counts()["connections"] == 0, lambda: held(station))

    came: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(4096))
        writer.write(b"SIP/2.0 400 This Is Not TLS\r\n\r\n")
        writer.close()

    without = await asyncio.start_server(plain, "127.0.0.1", peer.port)
    assert await status(station, peer) == 503
    assert all(data[:1] == b"\x16" for data in came), (
        "it began with a handshake (RFC 8446 §5.1), never with SIP"
    )
    assert came
    without.close()
    stranger = await peer.open(unknown.issue("localhost"), peer.port)
    before = len(peer.requests)
    assert await status(station, peer) == 503
    assert len(peer.requests) == before
    stranger.close()
    back = await peer.open(known.issue("localhost"), peer.port)
    assert await status(station, peer) == 200
    back.close()


# ---- ask 14: browsers; tests/interop/browser shows the same with Chromium


class WebPhone:
    """A browser's SIP as bare as can be: messages over a secure WebSocket, with a name that nobody resolves."""

    def __init__(self, socket: ClientConnection, name: str) -> None:
        self.socket = socket
        self.name = f"{name}.invalid"
        self.contact = f"sip:{name}@{self.name};transport=ws"
        self._count = 0

    def request(self, method: str, uri: str, *fields: tuple[str, str], to: str | None = None) -> str:
        """A request as text."""
        self._count += 1
        head = [("Via", f"SIP/2.0/WSS {self.name};branch=z9hG4bK{self.name}{self._count}")]
        head += [("From", f"<sip:{self.name}>;tag=f"), ("To", to or f"<{uri}>"), ("Call-ID", self.name)]
        head += [
            ("CSeq", f"{self._count} {method}"),
            ("Contact", f"<{self.contact}>"),
            ("Max-Forwards", "70"),
        ]
        return written(f"{method} {uri} SIP/2.0", [*head, *fields]).decode()

    async def receive(self) -> Sip:
        """The next message."""
        async with asyncio.timeout(LIMIT):
            data = await self.socket.recv()
        return Sip(data.encode() if isinstance(data, str) else data)

    async def final(self) -> Sip:
        """The next message that is no provisional response."""
        while 100 <= (message := await self.receive()).status < 200:
            pass
        return message

    async def ok(self, request: Sip, *fields: tuple[str, str]) -> None:
        """Answers with 200."""
        echoed = [(name, value) for name, value in request.fields if name in ("Via", "Record-Route")]
        echoed += [(name, request[name]) for name in ("From", "Call-ID", "CSeq")]
        to = request["To"]
        echoed.append(("To", to if "tag=" in to else f"{to};tag=t"))
        await self.socket.send(
            written("SIP/2.0 200 OK", [*echoed, ("Contact", f"<{self.contact}>"), *fields]).decode()
        )


@contextlib.asynccontextmanager
async def web_phone(
    station: Station, authority: Authority, name: str = "browser", protocols: tuple[str, ...] = ("sip",)
) -> AsyncIterator[WebPhone]:
    """A phone that is connected."""
    host, port = addresses(station)["wss"]
    async with connect(
        f"wss://localhost:{port}/",
        host=host,
        port=port,
        ssl=authority.context(),
        subprotocols=[Subprotocol(one) for one in protocols] or None,
        ping_interval=None,
        proxy=None,
    ) as socket:
        yield WebPhone(socket, name)


async def test_ask_14_pings_and_keep_alives_are_answered(stations: RealStations, tmp_path: Path) -> None:
    """Both kinds: WebSocket's (RFC 6455 §5.5.2) and the double CRLF of RFC 5626 §4.4.1, which some clients send as text."""
    authority = Authority(tmp_path)
    tls = Tls(certificates=[authority.issue("localhost").pair])
    station = await stations.start(nobody, listen=LISTEN, tls=tls)
    async with web_phone(station, authority) as phone:
        assert phone.socket.subprotocol == "sip", "RFC 7118 §4"
        async with asyncio.timeout(LIMIT):
            await (await phone.socket.ping(b"still there?"))
            await phone.socket.send("\r\n\r\n")
            assert (await phone.socket.recv()) in ("\r\n", b"\r\n")
    await eventually(lambda: station.counts()["connections"] == 0)


async def test_ask_14_who_does_not_speak_sip_is_refused(stations: RealStations, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = Tls(certificates=[authority.issue("localhost").pair])
    station = await stations.start(nobody, listen=LISTEN, tls=tls)
    for protocols in ((), ("mqtt",)):
        with pytest.raises((InvalidStatus, InvalidHandshake)):
            async with web_phone(station, authority, protocols=protocols):
                pass
    async with web_phone(station, authority, protocols=("mqtt", "sip")) as phone:
        assert phone.socket.subprotocol == "sip"


async def test_ask_14_a_back_to_back_user_agent_reaches_a_browser(
    stations: RealStations, tmp_path: Path
) -> None:
    """An application that knows nothing of flows calls the Contact of a browser, within and outside of a call."""
    authority, contacts = Authority(tmp_path), asyncio.Queue[str]()

    async def register(req: Request, res: Response) -> None:
        contacts.put_nowait(req.contacts[0].uri_text)
        await res.send(200)

    tls = Tls(certificates=[authority.issue("localhost").pair])
    station = await stations.start(register, "register", "bye", listen=LISTEN, tls=tls)
    async with web_phone(station, authority, "alice") as alice, web_phone(station, authority, "bob") as bob:
        for phone in (alice, bob):
            await phone.socket.send(phone.request("REGISTER", "sip:phones.example"))
            assert (await phone.final()).status == 200
        for phone in (alice, bob):
            contact = await contacts.get()
            assert contact == phone.contact
            invite = await station.agent.request(contact, "INVITE", body=sdp(), timeout=20)
            came = await phone.receive()
            assert (came.method, came.uri) == ("INVITE", phone.contact)
            assert came["Via"].startswith("SIP/2.0/WSS ")
            await phone.ok(came)
            answer = await invite.final()
            await answer.ack()
            assert (await phone.receive()).method == "ACK"
            bye = await station.agent.request(method="BYE", dialog=answer.dialog_id, timeout=20)
            came = await phone.receive()
            assert (came.method, came.uri) == ("BYE", phone.contact)
            await phone.ok(came)
            assert (await bye.final()).status == 200
    await eventually(lambda: station.counts()["connections"] == 0, lambda: held(station))
    with pytest.raises(
        CommandFailed, match="flow-failed"
    ):  # at once: no name server is asked for what nobody has
        await station.agent.request(alice.contact, "OPTIONS", timeout=20)
