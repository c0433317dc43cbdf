"""Runs SIPp as caller and callee and reads its counters. SIPp's exit status alone proves nothing: the counters are the result."""

from __future__ import annotations

import csv
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import Running, cpu_seconds, free_port, running, wait_for_tcp, wait_for_udp

SCENARIOS = Path(__file__).resolve().parent.parent / "tests" / "interop" / "scenarios"
BUFFER = "4000000"


def available() -> bool:
    """Whether SIPp is installed."""
    return shutil.which("sipp") is not None


@dataclass
class Load:
    """What SIPp's callers saw, summed over the generators."""

    calls: int = 0
    successful: int = 0
    failed: int = 0
    retransmissions: int = 0
    seconds: float = 0.0
    generator_cpu: float = 0.0
    generators: int = 1
    response_ms: dict[str, list[float]] = field(default_factory=dict)
    errors: str = ""

    @property
    def rate(self) -> float:
        """Calls per second reached."""
        return self.calls / self.seconds if self.seconds else 0.0

    @property
    def generator_load(self) -> float:
        """Share of one processor that the busiest kind of generator used, 0 to 1."""
        return self.generator_cpu / self.seconds / self.generators if self.seconds else 0.0

    def percentile(self, share: float, timer: str | None = None) -> float:
        """A percentile of the response times in milliseconds; of the first timer unless one is named."""
        for name, values in self.response_ms.items():
            if (timer is None or timer == name) and values:
                ordered = sorted(values)
                return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
        return 0.0


def transport_flag(transport: str) -> list[str]:
    flags = {"udp": "u1", "tcp": "t1", "tcp, a connection a call": "tn"}
    return ["-t", flags[transport], "-max_socket", "1000"]


@contextmanager
def callee(folder: Path, port: int, transport: str = "udp", scenario: str = "uas.xml") -> Iterator[Running]:
    """SIPp as callee on `port` for the length of the block."""
    command: list[str | Path] = [
        "sipp",
        "127.0.0.1",
        "-i",
        "127.0.0.1",
        "-p",
        str(port),
        "-sf",
        SCENARIOS / scenario,
    ]
    command += [*transport_flag(transport), "-nostdin", "-buff_size", BUFFER]
    command += ["-trace_stat", "-stf", folder / "callee.csv"]
    with running("callee", command, folder) as started:
        (wait_for_udp if transport == "udp" else wait_for_tcp)(port, started)
        yield started


def _caller_command(
    folder: Path,
    target: str,
    scenario: str,
    calls: int,
    rate: float,
    transport: str,
    hold_ms: int,
    user: str,
) -> list[str | Path]:
    port = free_port()
    command: list[str | Path] = ["sipp", target, "-i", "127.0.0.1", "-p", str(port), "-s", user]
    command += ["-sf", SCENARIOS / scenario, "-m", str(calls), "-r", f"{rate:g}", "-d", str(hold_ms)]
    command += [*transport_flag(transport), "-l", str(max(1000, calls)), "-nostdin", "-buff_size", BUFFER]
    command += ["-trace_err", "-trace_stat", "-stf", folder / "stat.csv", "-fd", "1"]
    command += ["-trace_rtt", "-rtt_freq", "500"]
    return command


def call(
    folder: Path,
    port: int,
    *,
    scenario: str = "uac.xml",
    calls: int = 1000,
    rate: float = 100.0,
    transport: str = "udp",
    hold_ms: int = 10,
    generators: int = 1,
    user: str = "service",
    timeout: float = 300.0,
) -> Load:
    """Runs SIPp callers against 127.0.0.1:`port` until all calls ended, and returns what they saw.

    `rate` is in calls per second over all generators; `hold_ms` the pause between ACK and BYE; `user` whom they call; `timeout`
    in seconds.
    Raises TimeoutError when SIPp does not end in time.
    """
    load = Load(generators=generators)
    with ExitStack() as stack:
        started: list[tuple[Running, Path]] = []
        begun = time.monotonic()
        for index in range(generators):
            sub = folder / f"caller{index}"
            sub.mkdir(parents=True, exist_ok=True)
            command = _caller_command(
                sub,
                f"127.0.0.1:{port}",
                scenario,
                calls // generators,
                rate / generators,
                transport,
                hold_ms,
                user,
            )
            started.append((stack.enter_context(running(f"caller{index}", command, sub)), sub))
        for process, sub in started:
            used = _wait(process, begun + timeout)
            load.generator_cpu += used
            load.seconds = max(load.seconds, time.monotonic() - begun)
            _read_counters(sub, load)
    return load


def _wait(process: Running, deadline: float) -> float:
    used = 0.0
    while process.process.poll() is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"SIPp did not end in time:\n{process.output()[-3000:]}")
        used = cpu_seconds(process.pid) or used
        time.sleep(0.05)
    return used


def _read_counters(folder: Path, load: Load) -> None:
    with (folder / "stat.csv").open(newline="") as handle:
        last = list(csv.DictReader(handle, delimiter=";"))[-1]
    load.calls += int(last["TotalCallCreated"])
    load.successful += int(last["SuccessfulCall(C)"])
    load.failed += int(last["FailedCall(C)"])
    load.retransmissions += int(last["Retransmissions(C)"])
    for path in folder.glob("*_rtt.csv"):
        for line in path.read_text().splitlines()[1:]:
            _, milliseconds, timer = line.split(";")
            load.response_ms.setdefault(timer.strip(), []).append(float(milliseconds))
    for path in folder.glob("*_errors.log"):
        load.errors += path.read_text(errors="replace")[:2000]


def counters(folder: Path) -> Sequence[str]:
    """The names of SIPp's result files in a folder, for messages."""
    return sorted(path.name for path in folder.iterdir())


def version() -> str:
    """SIPp's version line."""
    text = subprocess.run(["sipp", "-v"], capture_output=True, text=True, check=False).stdout
    return next((line.strip().rstrip(".") for line in text.splitlines() if "SIPp" in line), "unknown")
