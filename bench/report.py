"""One table and one JSON file of a run; ratios are beside the group's Kamailio case of the same run."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import kamailio, sipp
from bench.measure import Effort, Figures

RESULTS = Path(__file__).resolve().parent / "results"


def reference(figures: list[Figures], group: str) -> Figures | None:
    """The group's Kamailio case, if it was measured in this run."""
    return next((row for row in figures if row.group == group and row.name.endswith("kamailio")), None)


def _ratio(value: float, beside: float | None) -> str:
    return f" ({value / beside:.2f}x)" if beside else ""


def table(figures: list[Figures]) -> Table:
    """The figures as a table for a terminal."""
    result = Table(title="dracht beside Kamailio, same machine, same run", title_justify="left")
    result.add_column("case")
    for name in (
        "CPU µs/call",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "calls/s",
        "bytes/held call",
        "failed",
        "retrans.",
    ):
        result.add_column(name, justify="right")
    result.add_column("limit")
    for row in figures:
        beside = reference(figures, row.group)
        if beside is row:
            beside = None
        result.add_row(
            row.name,
            f"{row.cpu_us:.0f}{_ratio(row.cpu_us, beside.cpu_us if beside else None)}",
            f"{row.p50_ms:.2f}",
            f"{row.p95_ms:.2f}",
            f"{row.p99_ms:.2f}",
            f"{row.calls_per_second:.0f}{_ratio(row.calls_per_second, beside.calls_per_second if beside else None)}",
            "-" if row.bytes_per_call is None else f"{row.bytes_per_call:.0f}",
            str(row.failed),
            str(row.retransmissions),
            row.limit,
        )
    return result


def save(figures: list[Figures], effort: Effort, path: Path | None) -> Path:
    """Writes the run as JSON and returns the file; into bench/results/ unless `path` says otherwise."""
    if path is None:
        path = RESULTS / "local" / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "date": time.strftime("%Y-%m-%d"),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release().split("-")[0],
        "kamailio": kamailio.version(),
        "sipp": sipp.version(),
        "calls": effort.calls,
        "rate": effort.rate,
        "rounds": effort.rounds,
        "cases": [row.as_dict() for row in figures],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return path


def show(figures: list[Figures]) -> None:
    """Prints the table, as wide as it needs to be where no person looks."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table(figures))
