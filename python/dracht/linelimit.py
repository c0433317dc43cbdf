"""How many lines in the log strangers may cause: what anybody can repeat must not fill a disk, nor hide other lines."""

from __future__ import annotations

import time

__all__ = ["LineLimit"]

# Lines a second of one kind.
_LINES = 10


class LineLimit:
    """Lets ten lines a second be written; one for each kind of line."""

    __slots__ = ("_count", "_second", "_suppressed")

    def __init__(self) -> None:
        self._second = self._count = self._suppressed = 0

    def allow(self) -> int | None:
        """None: not now. Otherwise how many were left out since the last one."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > _LINES:
            self._suppressed += 1
            return None
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
