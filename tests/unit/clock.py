"""A loop whose time passes only when nothing is left to do: hours of expiry in an instant, and never a real sleep."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["clocked"]

_T = TypeVar("_T")


class _Selector(selectors.DefaultSelector):
    """Does not wait: what it would have waited has passed."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("nothing will ever happen: the test waits for something that does not come")
        if not ready and timeout is not None and timeout > 0:
            self.passed += timeout
        return ready


class _ClockLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._ticks = _Selector()
        super().__init__(self._ticks)

    def time(self) -> float:
        return 1000.0 + self._ticks.passed


def clocked(test: Coroutine[Any, Any, _T]) -> _T:
    """Runs a coroutine on such a loop."""
    with asyncio.Runner(loop_factory=_ClockLoop) as runner:
        return runner.run(asyncio.wait_for(test, 1_000_000))
