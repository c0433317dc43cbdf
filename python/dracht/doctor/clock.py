"""The clock: a certificate is valid between two dates, and a nonce or a log line is only as good as the time it was made."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator

from dracht.doctor.finding import Finding
from dracht.doctor.situation import Situation

__all__ = ["clock", "is_synchronised"]

_TIMEX = 256  # more bytes than struct timex has anywhere
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_BUILT = 1_764_000_000  # November 2025: nothing that runs this is older


def is_synchronised() -> bool | None:
    """Whether the kernel's clock is held by a time service, as adjtimex(2) says; None where that cannot be asked."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        state = library.adjtimex(ctypes.create_string_buffer(_TIMEX))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED


def clock(situation: Situation) -> Iterator[Finding]:
    """A clock that is certainly wrong, or that nobody holds."""
    if situation.now < _BUILT:
        yield Finding(
            "problem",
            "clock-wrong",
            f"The clock says {time.strftime('%Y-%m-%d %H:%M', time.gmtime(situation.now))} UTC, which has passed: certificates "
            "will be "
            "refused as not yet valid.",
            "Set the clock, and let a time service hold it (systemd-timesyncd, chrony).",
        )
    elif is_synchronised() is False:
        yield Finding(
            "note",
            "clock-free",
            "No time service holds the clock of this machine, as far as the kernel knows (in a container or virtual machine "
            "the host may).",
            "Run systemd-timesyncd or chrony, unless the host does it: certificates, expiring nonces and logs of several "
            "machines need "
            "the right time.",
        )
