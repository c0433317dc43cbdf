"""What a check says: how bad it is, what was seen, and what to do about it. For people who have never seen SIP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["SEVERITIES", "Finding", "Severity", "exit_status"]

Severity = Literal["problem", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")
"""Worst first: calls will fail; some calls may fail, or the server is in danger; good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check found.

    `check` names the check, as a program may look for it; `seen` says what was found, where and why it matters; `advice` what
    to do.
    """

    severity: Severity
    check: str
    seen: str
    advice: str


def exit_status(findings: Iterable[Finding]) -> int:
    """0 when nothing is wrong, 1 with a warning, 2 with a problem."""
    found = {finding.severity for finding in findings}
    return 2 if "problem" in found else 1 if "warning" in found else 0
