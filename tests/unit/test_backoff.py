"""A back-off grows to its limit, is jittered within bounds, and begins anew when told."""

from __future__ import annotations

import pytest
from dracht.link.backoff import Backoff


def test_it_grows_to_its_limit() -> None:
    backoff = Backoff(first=0.1, factor=2, limit=1.0, chance=lambda: 0.0)
    assert [backoff.next() for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert backoff.attempt == 6


def test_it_is_jittered_downwards_only() -> None:
    assert Backoff(first=1.0, jitter=0.5, chance=lambda: 1.0).next() == pytest.approx(0.5)
    delays = [Backoff(first=1.0).next() for _ in range(200)]
    assert all(0.5 <= delay <= 1.0 for delay in delays)
    assert len(set(delays)) > 100


def test_it_begins_anew() -> None:
    backoff = Backoff(first=0.1, chance=lambda: 0.0)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == pytest.approx(0.1)
    assert backoff.attempt == 1
