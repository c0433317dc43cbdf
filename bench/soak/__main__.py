"""`python -m bench.soak --calls 200000`: mixed calls over UDP, TCP, TLS and WSS; says whether the server kept its size.

Exit status 0 when no call failed, resident memory at the end was within 5 % of the middle, and every table was empty at rest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from bench.soak.running import Outcome, soak


def _show(outcome: Outcome) -> None:
    print(f"{outcome.calls} calls in {outcome.seconds:.0f} s ({outcome.rate:.0f}/s), {outcome.failed} failed")
    for name, count in sorted(outcome.done.items()):
        print(f"  {name:20} {count:8}")
    for name, count in outcome.failures.items():
        print(f"  FAILED {name}: {count}")
    print(f"  {outcome.connections} lines were opened")
    megabytes = {name: value / 1e6 for name, value in outcome.resident.items()}
    print("resident: " + ", ".join(f"{name} {value:.1f} MB" for name, value in megabytes.items()))
    print(f"end against middle: {outcome.growth:+.2%}; tables at rest: {outcome.tables or 'empty'}")


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--rate", type=float, default=400.0, help="calls per second at most")
    parser.add_argument("--way", choices=["embedded", "connected"], default="embedded")
    parser.add_argument("--transports", default="udp,tcp,tls,wss")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two lines of progress")
    parser.add_argument("--output", type=Path, help="a JSON file for the outcome and every sample")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        outcome = asyncio.run(
            soak(
                Path(name),
                options.calls,
                options.rate,
                way=options.way,
                transports=options.transports.split(","),
                progress=options.every,
            )
        )
    _show(outcome)
    if options.output:
        options.output.write_text(json.dumps(outcome.as_dict(), indent=1))
    return 0 if not outcome.failed and abs(outcome.growth) <= 0.05 and not outcome.tables else 1


if __name__ == "__main__":
    sys.exit(main())
