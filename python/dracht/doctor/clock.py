"""The clock: a certificate is valid between two dates, and a nonce or a log line is only as good as the time it was made.

Nobody outside is asked. What shows a wrong clock is what the kernel knows of its time service, and files and certificates that
were made in what would be the future. How far a server's clock is from ours, `live` tells.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dracht.doctor.certificates import read
from dracht.doctor.finding import Finding
from dracht.doctor.situation import Situation

__all__ = ["clock", "is_synchronised", "possible_error"]

_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_BUILT = 1_764_000_000  # November 2025: nothing that runs this is older
_LOOSE = 2.0  # seconds that a clock which is held may be off, without a word
_BEHIND = 60.0  # seconds: file systems and authorities have clocks of their own


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2), up to what is read here, with room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),  # 0: nothing is set
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # microseconds
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def _asked() -> tuple[int, _Timex] | None:
    """What adjtimex(2) says of the clock; None where that cannot be asked."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else (state, timex)


def is_synchronised() -> bool | None:
    """Whether the kernel's clock is held by a time service; None where that cannot be asked."""
    asked = _asked()
    return None if asked is None else asked[0] != _UNSYNCHRONISED


def possible_error() -> float | None:
    """By how much the kernel thinks that its clock may be off at most, in seconds; None where nobody holds it, or can tell."""
    asked = _asked()
    if asked is None or asked[0] == _UNSYNCHRONISED:
        return None
    return float(asked[1].maxerror) / 1e6


def latest(situation: Situation) -> tuple[float, str]:
    """The latest moment that has certainly been, in seconds since the epoch, and what shows it: a file that was written, a
    certificate that was issued."""
    found = [(float(_BUILT), "this program was made")]
    pairs = getattr(situation.options.get("tls"), "certificates", None) or ()
    files = [situation.file, *situation.secret_files, *(Path(file) for pair in pairs for file in pair)]
    for file in files:
        try:
            if file is not None:
                found.append((os.stat(file).st_mtime, f"{file} was written"))
        except OSError:
            continue
    for chain, key in pairs:
        try:
            found.append((read(Path(chain), Path(key)).begins, f"the certificate {chain} became valid"))
        except (OSError, ValueError):
            continue  # `certificates` says so
    return max(found)


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
        return
    moment, shown = latest(situation)
    if moment - situation.now > _BEHIND:
        yield Finding(
            "warning",
            "clock-behind",
            f"The clock is behind by at least {_span(moment - situation.now)}: it says {_written(situation.now)}, and {shown} at "
            f"{_written(moment)}.",
            "Set the clock, and let a time service hold it (systemd-timesyncd, chrony). If the clock is right, that file was "
            "made on a machine whose clock is not.",
        )
    error = possible_error()
    if error is not None and error > _LOOSE:
        yield Finding(
            "warning",
            "clock-loose",
            f"A time service holds the clock of this machine, and has not corrected it for long: by what the kernel knows it "
            f"may be off by {error:.1f} s.",
            "See whether the time service still reaches its servers (timedatectl timesync-status, chronyc tracking).",
        )
    if is_synchronised() is False:
        yield Finding(
            "note",
            "clock-free",
            "No time service holds the clock of this machine, as far as the kernel knows (in a container or virtual machine "
            "the host may).",
            "Run systemd-timesyncd or chrony, unless the host does it: certificates, expiring nonces and logs of several "
            "machines need "
            "the right time.",
        )


def _written(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))


def _span(seconds: float) -> str:
    """A span of time as people say it."""
    for size, word in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} seconds"
