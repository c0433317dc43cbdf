"""A store in the memory of this process: items under a key and a field, each with a deadline.

A key is what is looked up (an address-of-record, a session's name); a field tells the items of one key apart (a contact).
Nothing is kept past its deadline and nothing is kept without one. It is not shared between processes and does not
survive them: that is what the other stores are for, which have the same methods.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


class StoreFull(Exception):
    """The store holds as many items as it may; nothing was stored. Answer 503, or raise the store's `limit`."""


@dataclass(frozen=True, slots=True)
class Item(Generic[Value]):
    """A value and the seconds it has left."""

    value: Value
    expires: float


class MemoryStore(Generic[Value]):
    """Items in memory.

    Arguments: `limit`, the number of items it holds at most (`StoreFull` past it); `clock`, a function that gives seconds
    and never goes back.
    """

    def __init__(self, *, limit: int = 1_000_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._size = 0
        self._keys: dict[str, dict[str, tuple[float, Value]]] = {}
        # Deadlines, soonest first. An item that was replaced or removed leaves its old deadline here until it comes up.
        self._deadlines: list[tuple[float, str, str]] = []

    def __len__(self) -> int:
        """The number of items that have not expired."""
        self._expire()
        return self._size

    async def put(self, key: str, field: str, value: Value, expires: float) -> None:
        """Keeps `value` under key and field for `expires` seconds, in place of what was there; `StoreFull` at the limit."""
        self._expire()
        fields = self._keys.get(key, {})
        if field not in fields:
            if self._size >= self._limit:
                raise StoreFull(f"the store holds {self._limit} items, its limit; {key} was not stored")
            self._size += 1
        deadline = self._clock() + expires
        fields[field] = (deadline, value)
        self._keys[key] = fields
        heapq.heappush(self._deadlines, (deadline, key, field))
        if len(self._deadlines) > 2 * self._size + 64:  # refreshed items left their old deadlines behind
            self._deadlines = [
                (at, key, field) for key, held in self._keys.items() for field, (at, _) in held.items()
            ]
            heapq.heapify(self._deadlines)

    async def get(self, key: str, field: str = "") -> Item[Value] | None:
        """The item under key and field, or None."""
        self._expire()
        found = self._keys.get(key, {}).get(field)
        return None if found is None else Item(found[1], found[0] - self._clock())

    async def all(self, key: str) -> dict[str, Item[Value]]:
        """Every item of a key by its field, the oldest first; empty where there is none."""
        self._expire()
        now = self._clock()
        return {field: Item(value, at - now) for field, (at, value) in self._keys.get(key, {}).items()}

    async def remove(self, key: str, field: str | None = None) -> int:
        """Forgets one item, or every item of the key; returns how many there were."""
        self._expire()
        if field is None:
            removed = len(self._keys.pop(key, {}))
            self._size -= removed
            return removed
        return int(self._forget(key, field))

    def _forget(self, key: str, field: str) -> bool:
        fields = self._keys.get(key)
        if fields is None or fields.pop(field, None) is None:
            return False
        self._size -= 1
        if not fields:
            del self._keys[key]
        return True

    def _expire(self) -> None:
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            at, key, field = heapq.heappop(self._deadlines)
            held = self._keys.get(key, {}).get(field)
            if held is not None and held[0] == at:
                self._forget(key, field)
