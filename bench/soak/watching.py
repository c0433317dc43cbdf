"""Watches a server under soak: its resident memory and its tables, from outside."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dracht.cli.status import TABLES
from dracht.server.status import ask_status

from bench.cases import SECRET
from bench.processes import Running, resident_bytes

__all__ = ["Sample", "Watch", "tables"]

_NOT_CALLS = frozenset({"applications", "connections"})


@dataclass(frozen=True)
class Sample:
    """One look."""

    seconds: float
    """Since the beginning."""
    calls: int
    """That had ended."""
    resident: dict[str, int]
    """Bytes, for each process."""

    @property
    def total(self) -> int:
        """Bytes of all processes."""
        return sum(self.resident.values())


@dataclass
class Watch:
    """Looks at processes every few seconds, and keeps what it saw."""

    processes: Sequence[Running]
    calls: Callable[[], int]
    samples: list[Sample] = field(default_factory=list)

    async def run(self, every: float = 1.0) -> None:
        """Until it is cancelled."""
        begun = time.monotonic()
        while True:
            resident = {process.name: resident_bytes(process.pid) for process in self.processes}
            self.samples.append(Sample(time.monotonic() - begun, self.calls(), resident))
            await asyncio.sleep(every)

    def around(self, share: float, of: int, width: float = 0.05) -> float:
        """Resident bytes when that share of `of` calls had ended: the median of the samples around it."""
        near = [one.total for one in self.samples if abs(one.calls - share * of) <= width * of]
        nearest = min(self.samples, key=lambda one: abs(one.calls - share * of))
        return statistics.median(near or [nearest.total])


async def tables(control: int) -> dict[str, int]:
    """What every table of the server holds, summed over its shards, as `dracht status` asks it; empty tables are left out."""
    answer = await ask_status("127.0.0.1", control, SECRET)
    held: dict[str, int] = {}
    for shard in answer["shards"]:
        for name in TABLES:
            if name not in _NOT_CALLS and shard.get(name):
                held[name] = held.get(name, 0) + int(shard[name])
    return held
