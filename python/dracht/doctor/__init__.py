"""`dracht doctor`: which addresses peers would see, and what is likely wrong. One check per function, a few per file.

A check is given the `Situation` and gives `Finding`s. It sends nothing, except where its opening comment says so, and changes
nothing. A server that runs is looked at by `live`, from wherever its peers may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dracht.doctor import addresses, certificates, clock, limits, listening, names, surroundings
from dracht.doctor.finding import SEVERITIES, Finding, Severity, exit_status
from dracht.doctor.machine import Machine
from dracht.doctor.situation import Listener, Peer, Seen, Situation

__all__ = [
    "CHECKS",
    "Finding",
    "Listener",
    "Machine",
    "Peer",
    "Seen",
    "Severity",
    "Situation",
    "examine",
    "exit_status",
]

CHECKS: tuple[Callable[[Situation], Iterator[Finding]], ...] = (
    listening.ports,
    listening.control_port,
    listening.secret,
    addresses.shown,
    addresses.advertised,
    surroundings.surroundings,
    certificates.certificates,
    names.servers,
    names.domains,
    limits.open_files,
    limits.buffers,
    limits.connection_tracking,
    clock.clock,
)


def examine(situation: Situation) -> list[Finding]:
    """What every check found, the worst first."""
    found = [finding for check in CHECKS for finding in check(situation)]
    return sorted(found, key=lambda one: SEVERITIES.index(one.severity))
