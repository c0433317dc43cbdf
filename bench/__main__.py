"""`python -m bench`: measures the cases that are named (all without a name), prints one table, writes one JSON file."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bench import kamailio, report, sipp
from bench.cases import DRACHT, all_cases
from bench.measure import Effort, Figures, measure


def main() -> int:
    """The exit status: 0 when every case was measured without a failed call at the steady rate."""
    parser = argparse.ArgumentParser(prog="make bench BENCH=…", description=__doc__)
    parser.add_argument("words", nargs="*", help="measure only cases whose name has one of these words")
    parser.add_argument("--calls", type=int, default=Effort.calls, help="calls a round at the steady rate")
    parser.add_argument("--rate", type=float, default=Effort.rate, help="the steady rate in calls per second")
    parser.add_argument(
        "--rounds", type=int, default=Effort.rounds, help="rounds at the steady rate; the median counts"
    )
    parser.add_argument(
        "--quick", action="store_true", help="CPU and latency only: no ladder of rates, little memory"
    )
    parser.add_argument(
        "--output", type=Path, help="the JSON file (default: a dated one in bench/results/local)"
    )
    options = parser.parse_args()
    if not sipp.available() or kamailio.program() is None or not DRACHT.exists():
        print(
            "The benchmark needs SIPp, Kamailio and a built dracht: run 'make setup peers' first.",
            file=sys.stderr,
        )
        return 2
    effort = Effort(options.calls, options.rate, options.rounds)
    if options.quick:
        effort = Effort(options.calls, options.rate, options.rounds, rates=(), held=500)
    chosen = [
        case for case in all_cases() if not options.words or any(word in case.name for word in options.words)
    ]
    figures: list[Figures] = []
    for number, case in enumerate(chosen, 1):
        begun = time.monotonic()
        print(f"[{number}/{len(chosen)}] {case.name} …", end=" ", flush=True)
        figures.append(measure(case, effort))
        print(f"{figures[-1].cpu_us:.0f} µs/call ({time.monotonic() - begun:.0f} s)", flush=True)
    report.show(figures)
    print(f"written to {report.save(figures, effort, options.output)}")
    return 1 if any(row.failed for row in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
