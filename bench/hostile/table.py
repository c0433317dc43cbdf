"""`python -m bench.hostile.table FILE.json`: the table of bench/README.md, from what `--output` wrote."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def _times(figures: Mapping[str, float]) -> str:
    return " / ".join(f"{figures[key]:.1f}" for key in ("p50", "p99", "longest"))


def _sent(generator: Mapping[str, float]) -> str:
    closed = sum(value for name, value in generator.items() if name.endswith("_closed_by_server"))
    connections = f"{generator.get('opened', 0):,.0f} connections, {closed:,.0f} closed by the server"
    if "rate" in generator:
        sent = f"{generator['rate']:,.0f}/s, {generator['processor'] * 100:.0f} % of a processor"
        return f"{sent}, {connections}" if "opened" in generator else sent
    if "scans" in generator:
        return f"{generator['scans']:.0f} scans, {generator['scans_that_found']:.0f} found something"
    return connections


def row(attack: Mapping[str, Any]) -> str:
    """The line of an attack."""
    times = attack["times"]
    cells = [
        attack["attack"],
        _times(times["re-INVITE"]),
        f"{times['BYE']['p99']:.1f}",
        f"{times['new call']['p99']:.1f}",
        "; ".join(_sent(one) for one in attack["generators"]),
        f"{attack['resident']['most']:.0f}",
        f"{attack['failed']}, {attack['repeated']}",
    ]
    return f"| {' | '.join(cells)} |"


def table(document: Mapping[str, Any]) -> str:
    """The table, and what was held at rest."""
    lines = [
        "| attack | re-INVITE p50 / p99 / longest ms | BYE p99 | new call p99 | what was sent | MB at most | failed, repeated |",
        "|---|---|---|---|---|---|---|",
        *(row(attack) for attack in document["attacks"]),
    ]
    sizes = document["megabytes"]
    rest = f"{sizes['warmed']:.1f} MB after a few calls, {sizes['after']:.1f} at rest after all of it"
    left = document["left"] or "all empty"
    if rounds := document.get("rounds"):
        rest += f"; after each round {', '.join(f'{size:.1f}' for size in rounds)}"
    return "\n".join([*lines, "", f"{document['way']}: {rest}; tables {left}."])


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(table(json.loads(Path(name).read_text())))
