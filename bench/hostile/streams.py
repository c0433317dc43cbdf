"""Connections that are idle, or send a byte now and then (slowloris), over TCP, TLS and WebSocket.

A process of its own: `python -m bench.hostile.streams idle COUNT SECONDS TCP TLS WS`, or `slow` for `idle`, with the ports.
Prints one JSON line. Eight in ten of the idle connections are TCP's, one is TLS's, one WebSocket's; each sends a keep-alive, and
no message. The slow ones are of five kinds: a SIP header over TCP, a TLS handshake, a SIP header over TLS, an HTTP upgrade, a
WebSocket frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

EACH = 400
"""A source of its own for so many, as one may have a thousand."""
_SLOW = b"OPTIONS sip:service@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKslow\r\nX-Slow: "
_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
# A masked text frame of 4,096 bytes, which never come whole.
_FRAME = b"\x81\xfe\x10\x00\x00\x00\x00\x00" + _SLOW
_SEVERAL = 50
_OTHER_FILES = 50
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Ports:
    """Where the server listens."""

    tcp: int
    tls: int
    ws: int


@dataclass
class Held:
    """A connection, and what it sends byte by byte."""

    kind: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    slowly: bytes

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed it."""
        return self.reader.at_eof() or self.writer.is_closing()


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _hello() -> bytes:
    """A ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Crowd:
    """Opens connections, each few hundred from an address of their own."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._context = _context()
        self._hello = _hello()

    async def _connect(self, number: int, port: int, tls: bool = False) -> _Streams:
        host = f"127.2.{number // EACH // 250}.{number // EACH % 250 + 1}"
        return await asyncio.open_connection(
            "127.0.0.1",
            port,
            local_addr=(host, 0),
            limit=4096,
            ssl=self._context if tls else None,
            server_hostname="localhost" if tls else None,
        )

    async def _upgraded(self, number: int) -> _Streams:
        reader, writer = await self._connect(number, self._ports.ws)
        writer.write(_UPGRADE + b"\r\n")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        return reader, writer

    async def open(self, kind: str, number: int) -> Held | None:
        """A connection of this kind, or None where the server refuses it."""
        kinds: dict[str, tuple[Callable[[], Awaitable[_Streams]], bytes]] = {
            "tcp": (lambda: self._connect(number, self._ports.tcp), _SLOW),
            "tls handshake": (lambda: self._connect(number, self._ports.tls), self._hello[:-1]),
            "tls": (lambda: self._connect(number, self._ports.tls, tls=True), _SLOW),
            "ws upgrade": (lambda: self._connect(number, self._ports.ws), _UPGRADE),
            "ws": (lambda: self._upgraded(number), _FRAME),
        }
        opened, slowly = kinds[kind]
        try:
            reader, writer = await opened()
        except (OSError, EOFError):
            return None
        return Held(kind, reader, writer, slowly)


_SLOW_KINDS = ("tcp", "tls handshake", "tls", "ws upgrade", "ws")
_IDLE_KINDS = ("tcp",) * 8 + ("tls", "ws")


async def attack(attack: str, count: int, seconds: float, ports: Ports) -> dict[str, float]:
    """Opens the connections, holds them for so long, closes them; what became of them."""
    kinds: Sequence[str] = _SLOW_KINDS if attack == "slow" else _IDLE_KINDS
    crowd = Crowd(ports)
    begun = time.monotonic()
    held: list[Held] = []
    for first in range(0, count, _SEVERAL):
        numbers = range(first, min(count, first + _SEVERAL))
        opened = await asyncio.gather(*(crowd.open(kinds[number % len(kinds)], number) for number in numbers))
        here = [one for one in opened if one is not None]
        held += here
        for one in here:
            # Who sends nothing at all within half a minute is closed.
            if attack == "idle" and one.kind in ("tcp", "tls"):
                one.writer.write(b"\r\n\r\n")
    opening = time.monotonic() - begun
    position = 0
    while time.monotonic() - begun < opening + seconds:
        if attack == "slow":
            for one in held:
                if not one.is_closed:
                    one.writer.write(one.slowly[position : position + 1] or b"x")
            position += 1
        await asyncio.sleep(0.5)
    outcome: dict[str, float] = {"opened": len(held), "seconds_to_open": opening}
    for kind in dict.fromkeys(kinds):
        outcome[f"{kind}_opened"] = sum(one.kind == kind for one in held)
        outcome[f"{kind}_closed_by_server"] = sum(one.kind == kind and one.is_closed for one in held)
    for one in held:
        one.writer.transport.abort()
    await asyncio.sleep(0.5)
    return outcome


def affordable(count: int) -> int:
    """As many of these connections as the system lets this process have, and the server, which has other files open, too."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return count if most == resource.RLIM_INFINITY else min(count, most - _OTHER_FILES)


if __name__ == "__main__":
    name, how_many, how_long, *numbers = sys.argv[1:]
    where = Ports(*(int(number) for number in numbers))
    print(
        json.dumps(asyncio.run(attack(name, affordable(int(how_many)), float(how_long), where))), flush=True
    )
