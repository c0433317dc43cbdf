"""One attack after the other against one server, with calls beside each; what they cost in time and memory."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dracht.server.status import ask_status

from bench.cases import DRACHT, ROOT, SECRET
from bench.processes import Running, free_port, resident_bytes, running, wait_for_tcp
from tests.interop.certificates import Authority
from tests.interop.peers.sipvicious import available, modes, scan

__all__ = [
    "ATTACKS", "BAR", "GROWTH", "MARGIN", "Outcome", "Server", "attack", "growth", "rest", "returned", "settled", "started",
]  # fmt: skip

BAR = 0.1
"""Seconds within which 99 of 100 requests of calls that there are must be answered."""
MARGIN = 20.0
"""Megabytes that a server may hold at rest beyond what it held when it had served a few calls and nothing else."""
GROWTH = 1.0
"""Megabytes by which the size at rest may grow with a round, where the same attacks come again and again."""
# Seconds at rest after which applications give memory back for the last time, and one more.
_GIVEN_BACK = 36.0
_ATTACK = "bench.hostile"
ATTACKS = ("quiet", "garbage", "invites", "slow", "idle", "line-ends", "sipvicious", "all")
"""What there is: nothing (to compare with), and each of the floods; `all` is all of them at once."""
_CALLS = 10


@dataclass(frozen=True)
class Server:
    """What is attacked."""

    port: int
    """Of UDP and TCP."""
    tls: int
    ws: int
    control: int
    processes: Sequence[Running]

    def resident(self) -> int:
        """Bytes of all its processes."""
        return sum(resident_bytes(one.pid) for one in self.processes)

    def totals(self) -> dict[str, int]:
        """The counts of all shards together."""
        status = asyncio.run(ask_status("127.0.0.1", self.control, SECRET))
        found: dict[str, int] = {}
        for shard in status["shards"]:
            for name, value in {**shard.pop("totals"), **shard}.items():
                found[name] = found.get(name, 0) + value
        return found


@dataclass
class Outcome:
    """What one attack did."""

    attack: str
    times: dict[str, dict[str, float]]
    """For each kind of request its count, p50, p99 and longest time, in milliseconds."""
    failed: int
    repeated: int
    resident: dict[str, float]
    """Megabytes before, at most, and after."""
    generators: list[dict[str, float]] = field(default_factory=list)
    changed: dict[str, int] = field(default_factory=dict)
    """What the server counted."""

    @property
    def is_good(self) -> bool:
        """Whether the calls that there were did not suffer."""
        return not self.failed and all(
            self.times[kind]["p99"] < BAR * 1000 for kind in ("re-INVITE", "BYE") if kind in self.times
        )

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self) | {"good": self.is_good}


@contextmanager
def started(folder: Path, way: str, *, t1: float = 0.5) -> Iterator[Server]:
    """A server that trusts nobody, and its application. With a shorter T1 transactions end sooner, for those who cannot wait."""
    port, tls, ws, control = (free_port() for _ in range(4))
    listen = [f"sip:127.0.0.1:{port};transport=udp,tcp"]
    listen += [f"sip:127.0.0.1:{tls};transport=tls", f"sip:127.0.0.1:{ws};transport=ws"]
    certificate = list(Authority(folder).issue("localhost").pair)
    path = {"PYTHONPATH": f"{ROOT / 'python'}:{ROOT}"}

    def application(**options: object) -> list[str]:
        return [sys.executable, "-m", f"{_ATTACK}.application", json.dumps({**options, "secret": SECRET})]

    address = f"127.0.0.1:{control}"
    if way == "embedded":
        command = application(listen=listen, control=address, certificate=certificate, shards=2, t1=t1)
        with running("application", command, folder, path) as one:
            wait_for_tcp(control, one)
            yield Server(port, tls, ws, control, [one])
        return
    config = folder / "dracht.toml"
    config.write_text(
        f'[server]\nlisten = {json.dumps(listen)}\ncontrol = "{address}"\nsecret = "{SECRET}"\nshards = 2\n\n'
        f"[tls]\ncertificates = {json.dumps([certificate])}\n\n[timers]\nt1 = {t1}\n\n[admission]\ntrusted = []\n"
    )
    with running("serve", [DRACHT, "serve", "--config", config], folder, path) as server:
        wait_for_tcp(control, server)
        command = application(connect=f"tcp://{address}")
        with running("application", command, folder, path) as process:
            yield Server(port, tls, ws, control, [server, process])


def _generators(name: str, server: Server, seconds: float, rates: Mapping[str, float]) -> list[list[str]]:
    def module(which: str, *arguments: object) -> list[str]:
        return [sys.executable, "-m", f"{_ATTACK}.{which}", *(str(one) for one in arguments)]

    ports = (server.port, server.tls, server.ws)
    kinds = {
        "garbage": module("datagrams", "garbage", server.port, rates["garbage"], seconds),
        "invites": module("datagrams", "invites", server.port, rates["invites"], seconds),
        "slow": module("streams", "slow", int(rates["slow"]), seconds, *ports),
        "idle": module("streams", "idle", int(rates["idle"]), seconds, *ports),
        "line-ends": module("line_ends", int(rates["line_ends"]), seconds, *ports),
    }
    if name == "all":
        return list(kinds.values())
    return [kinds[name]] if name in kinds else []


async def _scans(port: int, until: float, folder: Path) -> dict[str, float]:
    """Every scan in turn, at least once and as often as time is; how many there were, and how many found something."""
    outcome = {"scans": 0.0, "scans_that_found": 0.0, "rounds": 0.0}
    words = folder / "words"
    words.write_text("".join(f"{number}\n" for number in range(1, 21)))
    while available() and (not outcome["rounds"] or time.monotonic() < until):
        for mode in modes(words):
            output = await scan(folder, mode.program, port, *mode.options)
            outcome["scans"] += 1
            outcome["scans_that_found"] += mode.found in output
        outcome["rounds"] += 1
    return outcome


async def _lines(
    server: Server, seconds: float, commands: Sequence[list[str]], scans: bool, folder: Path
) -> Any:
    """Runs the bystander and, when its calls stand, the generators; what all of them said, and the most memory."""
    pipe = asyncio.subprocess.PIPE
    environment = {"PYTHONPATH": f"{ROOT / 'python'}:{ROOT}", "PATH": "/usr/bin:/bin"}

    async def begin(command: Sequence[str]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, cwd=ROOT, env=environment, limit=1 << 26
        )

    beside = [sys.executable, "-m", f"{_ATTACK}.bystander", str(server.port), str(_CALLS)]
    bystander = await begin(beside)
    assert bystander.stdin is not None
    assert bystander.stdout is not None
    async with asyncio.timeout(60):
        assert (await bystander.stdout.readline()).strip() == b"ready"
    bystander.stdin.write(b"begin\n")
    others = [await begin(command) for command in commands]
    ends: list[asyncio.Task[Any]] = [asyncio.create_task(one.communicate()) for one in others]
    if scans:
        scanning = asyncio.create_task(_scans(server.port, time.monotonic() + seconds, folder))
        ends.append(scanning)
    ends.append(asyncio.create_task(asyncio.sleep(seconds)))
    most = 0
    async with asyncio.timeout(seconds + 300):
        while pending := [end for end in ends if not end.done()]:
            most = max(most, await asyncio.to_thread(server.resident))
            # For all of them: one that ends earlier would have us look without a pause, a load of its own.
            await asyncio.wait(pending, timeout=0.25)
        bystander.stdin.write(b"end\n")
        answer = await bystander.stdout.readline()
        await bystander.wait()
    said = [json.loads(end.result()[0]) for end in ends[: len(others)]]
    if scans:
        said.append(scanning.result())
    return json.loads(answer), said, most


def attack(server: Server, name: str, seconds: float, rates: Mapping[str, float], folder: Path) -> Outcome:
    """One attack, for so long."""
    before, resident = server.totals(), server.resident()
    commands = _generators(name, server, seconds, rates)
    scans = name in ("sipvicious", "all")
    beside, said, most = asyncio.run(_lines(server, seconds, commands, scans, folder))
    after = server.totals()
    times = {kind: _figures(values) for kind, values in beside["times"].items() if values}
    changed = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    megabytes = {"before": resident / 1e6, "most": most / 1e6, "after": server.resident() / 1e6}
    return Outcome(name, times, beside["failed"], beside["repeated"], megabytes, said, changed)


def rest(server: Server, seconds: float = 90.0) -> tuple[float, dict[str, int]]:
    """Waits until nothing of calls is left: the megabytes then, and what is left all the same."""
    names = ("server_transactions", "client_transactions", "dialogs", "proxies", "sources", "connections")
    deadline = time.monotonic() + seconds
    while True:
        totals = server.totals()
        left = {name: totals[name] for name in names if totals[name]}
        if not left or time.monotonic() > deadline:
            return server.resident() / 1e6, left
        time.sleep(1.0)


def returned(server: Server, warmed: float, margin: float = MARGIN, seconds: float = 60.0) -> float:
    """Waits until the server holds no more than `margin` megabytes beyond `warmed`; the megabytes then, or when time is up.

    Memory is given back at once, after 10 s, and by applications for the last time after 35 s.
    """
    deadline = time.monotonic() + seconds
    while (size := server.resident() / 1e6) > warmed + margin and time.monotonic() < deadline:
        time.sleep(0.5)
    return size


def settled(server: Server) -> float:
    """The megabytes of a server in which every table is empty, when all that is given back has been."""
    time.sleep(_GIVEN_BACK)
    return server.resident() / 1e6


def growth(sizes: Sequence[float]) -> float:
    """Megabytes a round by which the size at rest grows from the first round to the last: next to nothing on a plateau."""
    return (sizes[-1] - sizes[0]) / (len(sizes) - 1) if len(sizes) > 1 else 0.0


def _figures(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {
        "count": len(ordered),
        "p50": statistics.median(ordered) * 1000,
        "p99": p99 * 1000,
        "longest": ordered[-1] * 1000,
    }
