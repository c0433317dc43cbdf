"""What became of many calls: counts by outcome and the times to set them up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call: its final status (None without one), seconds from INVITE to final response, and what went wrong."""

    status: int | None
    setup: float | None = None
    error: str | None = None

    @property
    def answered(self) -> bool:
        """Whether it was answered and ended as it should."""
        return self.error is None and self.status is not None and 200 <= self.status < 300


@dataclass(slots=True)
class Results:
    """The outcomes of a run and how long it took, in seconds."""

    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def answered(self) -> int:
        """How many calls were answered and ended as they should."""
        return sum(outcome.answered for outcome in self.outcomes)

    @property
    def failed(self) -> int:
        """How many were not."""
        return len(self.outcomes) - self.answered

    def failures(self) -> Counter[str]:
        """The failed calls by what failed: a status, or an error's text."""
        return Counter(
            outcome.error or str(outcome.status) for outcome in self.outcomes if not outcome.answered
        )

    def setup(self) -> dict[str, float]:
        """Setup times of the answered calls, in milliseconds: p50, p95, p99 and the longest; empty without any."""
        times = sorted(
            outcome.setup for outcome in self.outcomes if outcome.answered and outcome.setup is not None
        )
        if not times:
            return {}
        named = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
        return {name: round(percentile(times, share) * 1000, 3) for name, share in named.items()}

    def summary(self) -> dict[str, Any]:
        """All of it as plain data, for `--json`."""
        return {
            "calls": len(self.outcomes),
            "answered": self.answered,
            "failed": self.failed,
            "failures": dict(self.failures()),
            "seconds": round(self.seconds, 3),
            "setup_ms": self.setup(),
        }


def lines(summary: Mapping[str, Any]) -> list[str]:
    """A summary, as `Results.summary` gives it, as lines of text."""
    seconds = summary["seconds"]
    rate = summary["calls"] / seconds if seconds else 0.0
    text = [
        f"{summary['calls']} call{'' if summary['calls'] == 1 else 's'} in {seconds:.2f} s ({rate:.1f} per second): "
        f"{summary['answered']} answered, {summary['failed']} failed"
    ]
    worst = sorted(summary["failures"].items(), key=lambda item: -item[1])
    text += [f"  {count} × {what}" for what, count in worst[:10]]
    if times := summary["setup_ms"]:
        text.append("setup time: " + ", ".join(f"{name} {value:.1f} ms" for name, value in times.items()))
    return text


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that at least `share` per cent of them do not exceed (nearest rank)."""
    rank = max(1, math.ceil(share / 100 * len(ordered)))
    return ordered[rank - 1]
