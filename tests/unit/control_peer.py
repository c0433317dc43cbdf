"""The server's side of the control protocol for tests of the client's: a TCP listener that plays captured conversations.

It reads and writes frames by itself, so that it does not share mistakes with what it tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

CAPTURES = Path(__file__).parents[2] / "corpus" / "control" / "captures"
_ENTRY = re.compile(rb"^(A>S|S>A) \+\d+\.\d+ (?:(\d+)#|closed)", re.MULTILINE)


class Entry(NamedTuple):
    """A frame of a capture."""

    from_application: bool
    tokens: list[str]
    text: str

    @property
    def start(self) -> list[str]:
        """The first two words of its start line."""
        return self.text.split("\r\n", 1)[0].split(" ")[:2]


def entry(from_application: bool, payload: bytes) -> Entry:
    """A frame, cut into its tokens and its SIP text."""
    head, _, text = payload.decode().partition("\r\n")
    return Entry(from_application, head.split("|"), text)


def capture(name: str, *, without: Callable[[Entry], bool] = lambda _: False) -> list[Entry]:
    """The frames of a capture in order; those that `without` names, and what answers them, are left out."""
    data = (CAPTURES / f"{name}.txt").read_bytes()
    entries: list[Entry] = []
    at = 0
    left_out: set[str] = set()
    while (found := _ENTRY.search(data, at)) is not None:
        at = found.end()
        if found[2] is None:
            continue
        payload = data[at : at + int(found[2])]
        at += len(payload)
        one = entry(found[1] == b"A>S", payload)
        if (one.from_application and without(one)) or (
            one.tokens[1] == "response" and one.tokens[2] in left_out
        ):
            left_out.add(one.tokens[0])
        else:
            entries.append(one)
    return entries


def ping(one: Entry) -> bool:
    """Whether a frame is a ping."""
    return one.tokens[1] == "ping"


class ControlPeer:
    """A listener for one client at a time; `await frame()` and `send()` for tests that speak themselves, `play` for captures."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._clients: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self.port = 0
        self.received: list[Entry] = []

    async def __aenter__(self) -> ControlPeer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Closes the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._clients.put_nowait((reader, writer))

    @property
    def target(self) -> str:
        """Where to connect to."""
        return f"tcp://127.0.0.1:{self.port}"

    async def client(self) -> None:
        """Waits for the next client."""
        async with asyncio.timeout(5):
            self.reader, self.writer = await self._clients.get()

    async def frame(self) -> Entry:
        """The next frame of the client."""
        async with asyncio.timeout(5):
            length = await self.reader.readuntil(b"#")
            one = entry(True, await self.reader.readexactly(int(length[:-1])))
        self.received.append(one)
        return one

    def send(self, head: str, text: str = "") -> None:
        """Sends a frame."""
        payload = (f"{head}\r\n{text}" if text else head).encode()
        self.writer.write(b"%d#%b" % (len(payload), payload))

    async def welcome(self, version: str = "v0.9.10", *, routes: int = 0) -> None:
        """Lets the next client in, and takes its routes."""
        await self.client()
        asked = await self.frame()
        assert asked.tokens[1] == "authenticate"
        self.send(f"id|response|{asked.tokens[0]}|OK|udp/127.0.0.1:5060|{version}|udp/127.0.0.1:5060")
        for _ in range(routes):
            asked = await self.frame()
            assert asked.tokens[1] == "route"
            self.send(f"id|response|{asked.tokens[0]}|OK")

    async def play(self, entries: list[Entry]) -> None:
        """Plays the server's side of a capture, with the identifiers that this client chose in place of the captured ones.

        Each frame of the client must be of the captured type, for the same transaction and dialog, and with the same method or
        status.
        """
        await self.client()
        identifiers: dict[str, str] = {}
        for one in entries:
            if not one.from_application:
                tokens = [identifiers.get(token, token) for token in one.tokens]
                self.send("|".join(tokens), one.text)
                continue
            got = await self.frame()
            identifiers[one.tokens[0]] = got.tokens[0]
            assert got.tokens[1:4] == one.tokens[1:4], f"captured {one.tokens}, got {got.tokens}"
            if one.text:
                expected = one.start[:1] if not one.text.startswith("SIP/") else one.start
                assert got.start[: len(expected)] == expected, f"captured {one.start}, got {got.start}"
