"""A short soak of every kind of call over every transport: none fails, and every table is empty at rest.

The figure that counts is of `python -m bench.soak --calls 200000`; so few calls as here say nothing of memory.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.soak.running import soak

CALLS = int(os.environ.get("DRACHT_SOAK", "1500"))
TRANSPORTS = ("udp", "tcp")


@pytest.mark.parametrize("way", ["embedded", "connected"])
async def test_mixed_calls_leave_nothing_behind(tmp_path: Path, way: str) -> None:
    outcome = await soak(tmp_path, CALLS, 250.0, way=way, transports=TRANSPORTS)
    assert not outcome.failures
    assert sum(outcome.done.values()) == CALLS
    kinds = {name.split()[0] for name in outcome.done}
    assert kinds == {
        "answered",
        "through",
        "reinvited",
        "cancelled",
        "refused",
        "register",
        "options",
        "reset",
    }
    assert {name.split()[1] for name in outcome.done} == set(TRANSPORTS)
    assert outcome.tables == {}
