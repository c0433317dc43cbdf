"""Asks a running server for its tables with `dracht status`, as a person would."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.cases import DRACHT, SECRET

TABLES = ("server_transactions", "client_transactions", "dialogs", "proxies", "resolves")


def counts(control: int) -> list[dict[str, Any]]:
    """The counts of every shard of the server whose control port is `control`."""
    command: list[str | Path] = [
        DRACHT,
        "status",
        "--control",
        f"127.0.0.1:{control}",
        "--secret",
        SECRET,
        "--json",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    shards = json.loads(answer.stdout)
    return list(shards["shards"] if isinstance(shards, dict) else shards)


def held(control: int) -> dict[str, int]:
    """What each table holds, summed over the shards; tables with nothing are left out."""
    totals: dict[str, int] = {}
    for shard in counts(control):
        for table in TABLES:
            if shard[table]:
                totals[table] = totals.get(table, 0) + int(shard[table])
    return totals


def wait_until_empty(control: int, timeout: float = 60.0) -> None:
    """Returns when every table is empty. The last transaction lingers for 64*T1, 32 seconds (RFC 3261 §17)."""
    deadline = time.monotonic() + timeout
    while (left := held(control)) and time.monotonic() < deadline:
        time.sleep(1.0)
    assert not left, f"tables not empty after {timeout:.0f} s: {left}"
