"""Connections that send line ends and pings by the thousand, as fast as they are read, over TCP, TLS and WebSocket.

A process of its own: `python -m bench.hostile.line_ends COUNT SECONDS TCP TLS WS`, with the ports; prints one JSON line.
Every other connection sends without a pause, which the server ends after a thousand in a second, and is opened anew at once; the
rest keep below that, and have all of theirs answered (RFC 5626 §4.4.1). Each is of an address of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

from bench.hostile.streams import EACH, Crowd, Ports

_KINDS = ("tcp", "tls", "ws")
_WEBSOCKET_PING = b"\x89\x80\x00\x00\x00\x00"
_SEVERAL = 4096
# After so many in a second a connection is ended: crates/net/src/stream/receiving.rs.
_ENDED = 1000
# Nine in ten milliseconds: 900 a second, as long as the machine keeps up.
_FEW, _PAUSE = 9, 0.01


class Flood:
    """One connection after the other of one kind and one address."""

    def __init__(self, crowd: Crowd, number: int, *, is_patient: bool) -> None:
        self.kind = _KINDS[number // 2 % len(_KINDS)]
        self._crowd, self._number, self._is_patient = crowd, number * EACH, is_patient
        self._data = _WEBSOCKET_PING if self.kind == "ws" else b"\r\n\r\n"
        self._data *= _FEW if is_patient else _SEVERAL
        self._until = 0.0
        self.taken = self.opened = self.refused = self.closed = 0

    async def run(self, seconds: float) -> None:
        """Sends for so long."""
        self._until = time.monotonic() + seconds
        # `wait_for` in the opening of a WebSocket may lose the cancellation (before Python 3.12): the clock is asked as well.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while time.monotonic() < self._until:
                    await self._one()

    async def _one(self) -> None:
        """One connection, until the server ends it."""
        held = await self._crowd.open(self.kind, self._number)
        if held is None:
            self.refused += 1
            await asyncio.sleep(_PAUSE)
            return
        self.opened += 1
        reading = asyncio.create_task(_drained(held.reader))
        try:
            while not reading.done() and time.monotonic() < self._until:
                held.writer.write(self._data)
                await held.writer.drain()
                self.taken += _FEW if self._is_patient else 0
                await asyncio.sleep(_PAUSE if self._is_patient else 0)
        except OSError:
            await asyncio.wait([reading], timeout=_PAUSE)
        finally:
            if reading.done():
                self.closed += 1
                # Of what the kernel took, most is never read.
                self.taken += 0 if self._is_patient else _ENDED
            reading.cancel()
            held.writer.transport.abort()


async def _drained(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65_536):
            pass


async def flood(count: int, seconds: float, ports: Ports) -> dict[str, float]:
    """So many connections at a time, for so long; what became of them. `rate` is of line ends and pings that the server took."""
    crowd = Crowd(ports)
    floods = [Flood(crowd, number, is_patient=number % 2 == 1) for number in range(count)]
    begun, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(one.run(seconds) for one in floods))
    took = time.monotonic() - begun
    outcome: dict[str, float] = {
        "rate": sum(one.taken for one in floods) / took,
        "processor": (time.process_time() - cpu) / took,
        "opened": sum(one.opened for one in floods),
        "refused": sum(one.refused for one in floods),
    }
    for kind in _KINDS:
        outcome[f"{kind}_closed_by_server"] = sum(one.closed for one in floods if one.kind == kind)
    return outcome


if __name__ == "__main__":
    how_many, how_long, *numbers = sys.argv[1:]
    where = Ports(*(int(number) for number in numbers))
    print(json.dumps(asyncio.run(flood(int(how_many), float(how_long), where))), flush=True)
