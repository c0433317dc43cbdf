"""`Backoff`: how long to wait before the next attempt. No clock, no sleeping."""

import random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Delays that grow by a factor up to a limit, each shortened by a random part, so that many clients do not come back at once.

    Args:
        first: the first delay; seconds.
        factor: how much longer each one is than the one before.
        limit: the longest; seconds.
        jitter: the largest part that is taken off, 0 to 1.
        chance: gives numbers from 0 to 1.
    """

    __slots__ = ("_chance", "_delay", "attempt", "factor", "first", "jitter", "limit")

    def __init__(
        self,
        first: float = 0.15,
        factor: float = 1.7,
        limit: float = 10.0,
        jitter: float = 0.5,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.first = first
        self.factor = factor
        self.limit = limit
        self.jitter = jitter
        self._chance = chance
        self._delay = first
        self.attempt = 0
        """How many delays were given since the start or the last `reset`."""

    def next(self) -> float:
        """The next delay; seconds."""
        delay = self._delay
        self._delay = min(delay * self.factor, self.limit)
        self.attempt += 1
        return delay * (1.0 - self.jitter * self._chance())

    def reset(self) -> None:
        """Begins anew: it worked."""
        self._delay = self.first
        self.attempt = 0
