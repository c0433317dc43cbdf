"""An application that servers connect to (`accept=`) has the same handlers, defaults and calls as one that connects to them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from dracht import App, Request, Response

from tests.unit.control_peer import ControlPeer

NEW = "id|sip|network|300|udp|192.0.2.1|5060|00:00:00.000000|{}||192.0.2.9|5060|"
WITHIN = "id|sip|network|300|udp|192.0.2.1|5060|00:00:00.000000|{}|c1;from-tag=a|"
SENT = "id|response|{}|OK|application|300|udp|192.0.2.1|5060|00:00:00.000000|{}|c1;from-tag=a|"


def message(method: str, to_tag: str = "") -> str:
    """A request of the call c1."""
    return (
        f"{method} sip:bob@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-{method}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:alice@192.0.2.1>;tag=a\r\nTo: <sip:bob@192.0.2.9>{to_tag}\r\n"
        f"Call-ID: c1\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )


def answering() -> App:
    """An application that answers calls."""
    app = App(shutdown_timeout=0.01)

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await res.send(200)

    return app


def address(app: App) -> tuple[str, int]:
    """Where it lets servers connect."""
    host, _, port = app.agent.accepting[0].removeprefix("tcp://").partition(":")
    return host, int(port)


@asynccontextmanager
async def connected(app: App) -> AsyncIterator[ControlPeer]:
    """The application, and a server that has connected to it and let it in."""
    async with asyncio.timeout(10), app.serving(accept="tcp://127.0.0.1:0", secret="cymru"):
        peer = ControlPeer()
        peer.reader, peer.writer = await asyncio.open_connection(*address(app))
        try:
            asked = await peer.frame()
            assert asked.tokens[1:3] == ["authenticate", "cymru"]
            peer.send(f"id|response|{asked.tokens[0]}|OK|udp/192.0.2.9:5060|v0.9.10")
            yield peer
        finally:
            peer.writer.close()


async def counted(app: App, calls: int) -> None:
    """Waits until the application has so many calls."""
    while len(app.calls) != calls:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)


async def test_a_call_that_a_server_brings_is_answered_and_counted_until_its_bye() -> None:
    app = answering()
    async with connected(app) as peer:
        peer.send(NEW.format("t1"), message("INVITE"))
        answer = await peer.frame()
        assert (answer.start, answer.tokens[2]) == (["SIP/2.0", "200"], "t1")
        sent = message("INVITE", ";tag=b").replace("INVITE sip:bob@192.0.2.9 SIP/2.0", "SIP/2.0 200 OK")
        peer.send(SENT.format(answer.tokens[0], "t1"), sent)
        peer.send(WITHIN.format("t2"), message("ACK", ";tag=b"))
        await counted(app, 1)
        peer.send(WITHIN.format("t3"), message("BYE", ";tag=b"))
        answer = await peer.frame()
        assert (answer.start, answer.tokens[2]) == (["SIP/2.0", "200"], "t3")
        await counted(app, 0)


async def test_who_has_not_let_us_in_brings_no_request() -> None:
    seen: list[str] = []
    app = App(shutdown_timeout=0.01)

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        seen.append(req.method)
        await res.send(200)

    async with asyncio.timeout(10), app.serving(accept="tcp://127.0.0.1:0", secret="cymru"):
        for frame in (NEW.format("t1"), "id|something"):
            peer = ControlPeer()
            peer.reader, peer.writer = await asyncio.open_connection(*address(app))
            await peer.frame()
            peer.send(frame, message("INVITE"))
            assert await peer.reader.read() == b""
            peer.writer.close()
    assert seen == []


@pytest.mark.parametrize(
    ("room", "sent", "why"),
    [
        (0, b"", "0 connections are open, no more are taken"),
        (9, b"hello world", "a frame begins with its length"),
        (9, b"10#x|response", "sent what cannot be read before it let us in"),
        (9, b"5#x|sip", "sent something before it let us in"),
    ],
)
async def test_strangers_write_no_line_for_each_connection(
    room: int, sent: bytes, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dracht.link.accept._MAX_CONNECTIONS", room)
    app = answering()
    async with asyncio.timeout(10), app.serving(accept="tcp://127.0.0.1:0", secret="cymru"):
        for _ in range(40):
            reader, writer = await asyncio.open_connection(*address(app))
            writer.write(sent)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
        gc.collect()
    told = [one.getMessage() for one in caplog.records if one.levelno > logging.DEBUG]
    assert 10 <= len(told) <= 20, "ten in a second, of which there may be two"
    assert "what connected from 127.0.0.1" in told[0]
    assert why in told[0]


async def test_what_nobody_handles_gets_the_default() -> None:
    async with connected(answering()) as peer:
        peer.send(NEW.format("t1"), message("MESSAGE"))
        answer = await peer.frame()
        assert answer.start == ["SIP/2.0", "405"]
        assert "Allow: ACK, BYE, CANCEL, INVITE, PRACK" in answer.text


async def test_it_listens_no_more_when_the_block_is_left() -> None:
    app = answering()
    async with connected(app):
        host, port = address(app)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)
