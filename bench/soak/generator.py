"""Makes calls at a rate, in a fixed mixture, over a few lines of each transport, which it opens anew after a number of calls."""

from __future__ import annotations

import asyncio
import itertools
import random
import ssl
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from bench.soak.calls import KINDS, CallFailed, Kind, Switchboard, reset
from bench.soak.lines import Line, Transport, open_line

__all__ = ["Generator"]

_OPENED_ANEW = 400
"""Calls after which a connection is closed and another is opened: every second time in order, every second time with RST."""
_CONCURRENT = 400
"""Calls under way at most: a server that is slower than the rate slows the generator down."""


class _Place:
    """Where one line is after the other; a line that has had its calls ends when the last of them has."""

    def __init__(self, transport: Transport, server: tuple[str, int]) -> None:
        self.transport = transport
        self.server = server
        self.line: Line | None = None
        self.calls = 0
        """Calls that the line has had."""
        self.opening = asyncio.Lock()


class Generator:
    """Makes calls.

    Args:
        servers: where each transport is spoken.
        tls: for TLS and WSS.
        lines: connections of each transport at a time.
        seed: of the mixture.
        kinds: what is called, and how many of each hundred.
        opened_anew: calls after which a line is closed and another is opened.
    """

    def __init__(
        self,
        servers: Mapping[Transport, tuple[str, int]],
        tls: ssl.SSLContext | None = None,
        *,
        lines: int = 2,
        seed: int = 1,
        kinds: Sequence[tuple[int, Kind]] = KINDS,
        opened_anew: int = _OPENED_ANEW,
    ) -> None:
        self.board = Switchboard()
        self.done: Counter[str] = Counter()
        """Calls that went as they should: by kind and transport, as `answered udp`."""
        self.failures: Counter[str] = Counter()
        self.started = 0
        self.connections = 0
        """Lines that were opened, UDP sockets among them."""
        self._tls = tls
        self._random = random.Random(seed)
        self._kinds = [kind for _, kind in kinds]
        self._weights = [weight for weight, _ in kinds]
        self._opened_anew = opened_anew
        self._places = [
            _Place(transport, server) for _ in range(lines) for transport, server in servers.items()
        ]
        self._under_way: dict[Line, int] = {}
        self._turn = itertools.cycle(self._places)
        self._orderly = itertools.cycle((True, False))

    @property
    def finished(self) -> int:
        """Calls that have ended, well or not."""
        return sum(self.done.values()) + sum(self.failures.values())

    async def run(self, calls: int, rate: float) -> None:
        """Makes so many calls, at most `rate` a second; returns when all have ended."""
        begun, room = time.monotonic(), asyncio.Semaphore(_CONCURRENT)
        async with asyncio.TaskGroup() as group:
            for number in range(calls):
                await room.acquire()
                behind = begun + number / rate - time.monotonic()
                # A pause for every call would be shorter than the clock of the loop is fine.
                if behind > 0.01 or number % 16 == 0:
                    await asyncio.sleep(max(0.0, behind))
                kind = self._random.choices(self._kinds, self._weights)[0]
                group.create_task(self._call(kind, next(self._turn), room))
                self.started += 1

    async def close(self) -> None:
        """Closes every line."""
        for line in [*self._under_way]:
            await line.close()
        self._under_way.clear()

    async def _call(self, kind: Kind, place: _Place, room: asyncio.Semaphore) -> None:
        line: Line | None = None
        try:
            if kind is reset and place.transport != "udp":
                line = await self._open(place)  # of its own: on the shared ones other calls are under way
                await kind(self.board, line)
            else:
                line = await self._shared(place)
                await kind(self.board, line)
        except (CallFailed, OSError) as error:
            self.failures[f"{kind.__name__} {place.transport}: {error or repr(error)}"] += 1
        else:
            self.done[f"{kind.__name__} {place.transport}"] += 1
        finally:
            room.release()
            if line is not None:
                await self._left(place, line)

    async def _open(self, place: _Place) -> Line:
        line = await open_line(place.transport, place.server, self.board.receive, self._tls)
        self.connections += 1
        self._under_way[line] = 1
        return line

    async def _shared(self, place: _Place) -> Line:
        async with place.opening:
            if place.line is None or not place.line.open or place.calls >= self._opened_anew:
                old, place.line, place.calls = place.line, None, 0
                if old is not None:
                    await self._left(place, old)
                place.line = await self._open(place)
            place.calls += 1
            self._under_way[place.line] += 1
            return place.line

    async def _left(self, place: _Place, line: Line) -> None:
        """A call, or its place, no longer needs the line; the last one ends it: in good order or with RST, in turn."""
        self._under_way[line] -= 1
        if self._under_way[line]:
            return
        del self._under_way[line]
        if line.open:
            if next(self._orderly):
                await line.close()
            else:
                line.reset()
