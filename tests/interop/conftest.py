"""Real peers. Where one is missing locally the test says so and skips; with CI=true a missing peer is a failure."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from bench import kamailio, sipp

PEERS: dict[str, Callable[[], bool]] = {
    "sipp": sipp.available,
    "kamailio": lambda: kamailio.program() is not None,
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        name = str(mark.args[0])
        if PEERS[name]():
            continue
        message = f"{name} is not installed: run 'make peers' with root"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
