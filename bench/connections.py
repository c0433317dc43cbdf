"""What a connection costs that is there and silent: bytes of the server's process, by transport.

`python -m bench.connections [COUNT]` (8,000 by default): for each transport a server of its own, an embedded application with two
shards, to which another process opens that many connections; Pss before and after, divided. What the kernel holds for a socket is
not in it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.cases import ROOT
from bench.hostile.running import Server, started
from bench.hostile.streams import Crowd, Held, Ports, affordable

KINDS = ("tcp", "tls", "ws")
_SEVERAL = 50


async def _hold(kind: str, count: int, ports: Ports) -> None:
    """Opens them, says so, and holds them until standard input ends."""
    crowd = Crowd(ports)
    held: list[Held] = []
    for first in range(0, count, _SEVERAL):
        numbers = range(first, min(count, first + _SEVERAL))
        opened = await asyncio.gather(*(crowd.open(kind, number) for number in numbers))
        held += [one for one in opened if one is not None]
    for one in held:
        if kind != "ws":
            one.writer.write(b"\r\n\r\n")
    print(len(held), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for one in held:
        one.writer.transport.abort()


def _settled(server: Server, connections: int) -> int:
    """Bytes of the server when it holds that many."""
    deadline = time.monotonic() + 30
    while server.totals()["connections"] != connections:
        if time.monotonic() > deadline:
            raise SystemExit(f"{server.totals()['connections']} connections, not {connections}")
        time.sleep(0.2)
    time.sleep(1)
    return server.resident()


def cost(kind: str, count: int) -> float:
    """Bytes of one connection."""
    with tempfile.TemporaryDirectory() as folder, started(Path(folder), "embedded") as server:
        command = [sys.executable, "-m", "bench.connections", "hold", kind]
        numbers = [count, server.port, server.tls, server.ws]
        # The first ones bring what any number needs.
        for some in (200, count):
            before = _settled(server, 0)
            holder = subprocess.Popen(
                [*command, *map(str, [some, *numbers[1:]])],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert holder.stdout is not None
            opened = int(holder.stdout.readline())
            after = _settled(server, opened)
            holder.communicate(timeout=60)
        return (after - before) / opened


def main(arguments: list[str]) -> None:
    """Measures each transport, or holds connections for that."""
    if arguments[:1] == ["hold"]:
        _, kind, *numbers = arguments
        count, *ports = map(int, numbers)
        asyncio.run(_hold(kind, affordable(count), Ports(*ports)))
        return
    count = int(arguments[0]) if arguments else 8_000
    print("| transport | bytes a connection |\n|---|---|")
    for kind in KINDS:
        print(f"| {kind} | {cost(kind, count):,.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
