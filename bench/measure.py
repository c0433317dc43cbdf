"""Takes the figures of one case: CPU a call, latency, the highest rate without loss, memory a held call."""

from __future__ import annotations

import statistics
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import sipp
from bench.cases import Case, Subject
from bench.probe import probing
from bench.processes import cpu_seconds, resident_bytes

RETRANSMISSION_BOUND = 0.001
"""Retransmissions a call that a run may have and still count as without loss."""
GENERATOR_BOUND = 0.85
"""Share of a processor from which a SIPp generator itself may be the limit."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    calls: int = 5000
    rate: float = 500.0
    rounds: int = 3
    rates: tuple[float, ...] = (500, 1000, 1500, 2000, 3000, 4000, 6000, 8000)
    seconds_per_rate: float = 4.0
    held: int = 3000


@dataclass
class Figures:
    """One row of the result."""

    name: str
    group: str
    cpu_us: float = 0.0
    """CPU time a call in microseconds, all processes of the case together: the median over the rounds."""
    cpu_us_rounds: list[float] = field(default_factory=list)
    cpu_us_by_process: dict[str, float] = field(default_factory=dict)
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    failed: int = 0
    retransmissions: int = 0
    calls_per_second: float = 0.0
    limit: str = ""
    """What ended the search for the highest rate: failed calls, retransmissions, the generator, or the end of the ladder."""
    bytes_per_call: float | None = None

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def measure(case: Case, effort: Effort) -> Figures:
    """Runs a case in a temporary folder and returns its figures."""
    figures = Figures(case.name, case.group)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with case.start(folder, case.transport) as subject:
            _steady(case, effort, subject, folder, figures)
            _highest(case, effort, subject, folder, figures)
        if case.method == "INVITE":
            held = folder / "held"
            held.mkdir()
            with case.start(held, case.transport) as subject:
                _memory(case, effort, subject, held, figures)
    return figures


def _load(
    case: Case, folder: Path, port: int, calls: int, rate: float, *, generators: int = 1, hold_ms: int = 10
) -> sipp.Load:
    return sipp.call(
        folder,
        port,
        scenario=case.scenario,
        calls=calls,
        rate=rate,
        transport=case.transport,
        generators=generators,
        hold_ms=hold_ms,
    )


def _steady(case: Case, effort: Effort, subject: Subject, folder: Path, figures: Figures) -> None:
    """CPU a call and latency at the steady rate, after a warm-up; the probe's calls count as calls."""
    _load(case, folder / "warm-up", subject.port, int(effort.rate), effort.rate)
    by_process: dict[str, list[float]] = {process.name: [] for process in subject.processes}
    latencies: list[float] = []
    for number in range(effort.rounds):
        before = {process.name: cpu_seconds(process.pid) for process in subject.processes}
        with probing(case.method, subject.port) as probe:
            load = _load(case, folder / f"steady{number}", subject.port, effort.calls, effort.rate)
        calls = load.calls + len(probe.milliseconds)
        for process in subject.processes:
            used = cpu_seconds(process.pid) - before[process.name]
            by_process[process.name].append(used / calls * 1e6)
        latencies += probe.milliseconds
        figures.failed += load.failed + probe.lost
        figures.retransmissions += load.retransmissions
        figures.cpu_us_rounds.append(sum(values[-1] for values in by_process.values()))
    figures.cpu_us = statistics.median(figures.cpu_us_rounds)
    figures.cpu_us_by_process = {name: statistics.median(values) for name, values in by_process.items()}
    latencies.sort()
    for share, attribute in ((0.50, "p50_ms"), (0.95, "p95_ms"), (0.99, "p99_ms")):
        if latencies:
            setattr(figures, attribute, latencies[min(len(latencies) - 1, int(share * len(latencies)))])


def _highest(case: Case, effort: Effort, subject: Subject, folder: Path, figures: Figures) -> None:
    """Climbs the ladder of rates until calls fail, retransmissions show, or the generators are the limit."""
    figures.limit = "end of the ladder"
    for rate in effort.rates:
        generators = 1 if rate <= 1000 else 2
        calls = int(rate * effort.seconds_per_rate)
        load = _load(case, folder / f"rate{rate:g}", subject.port, calls, rate, generators=generators)
        if load.failed or load.successful < load.calls:
            figures.limit = f"{load.failed} of {load.calls} calls failed at {rate:g}/s"
            return
        if load.retransmissions > load.calls * RETRANSMISSION_BOUND:
            figures.limit = f"{load.retransmissions} retransmissions in {load.calls} calls at {rate:g}/s"
            return
        if load.generator_load > GENERATOR_BOUND:
            figures.limit = f"the generators' processors at {rate:g}/s"
            return
        figures.calls_per_second = max(figures.calls_per_second, min(rate, load.rate * 1.05))


def _memory(case: Case, effort: Effort, subject: Subject, folder: Path, figures: Figures) -> None:
    """Memory that a held call adds: the difference between the middle of `held` calls and before, after a warm-up."""
    _load(case, folder / "warm-up", subject.port, 200, 200.0)
    before = sum(resident_bytes(process.pid) for process in subject.processes)
    peak = before
    rate = 400.0
    hold_ms = int((effort.held / rate + 3.0) * 1000)
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.25):
            peak = max(peak, sum(resident_bytes(process.pid) for process in subject.processes))

    watcher = threading.Thread(target=watch, name="memory", daemon=True)
    watcher.start()
    try:
        load = _load(case, folder / "hold", subject.port, effort.held, rate, hold_ms=hold_ms)
    finally:
        ended.set()
        watcher.join()
    if load.successful:
        figures.bytes_per_call = (peak - before) / effort.held
