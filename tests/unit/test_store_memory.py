"""The memory store keeps items until their deadline and not longer, tells fields of a key apart, and is bounded."""

from __future__ import annotations

import asyncio

import pytest
from dracht.store import MemoryStore, StoreFull


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_item_is_there_until_its_deadline_and_then_gone() -> None:
    async def scenario() -> None:
        clock = Clock()
        store: MemoryStore[str] = MemoryStore(clock=clock)
        await store.put("alice", "sip:a@h", "value", expires=60)
        clock.now += 59
        item = await store.get("alice", "sip:a@h")
        assert item is not None
        assert (item.value, item.expires) == ("value", 1.0)
        clock.now += 1
        assert await store.get("alice", "sip:a@h") is None
        assert await store.all("alice") == {}
        assert len(store) == 0

    asyncio.run(scenario())


def test_a_refreshed_item_outlives_its_first_deadline() -> None:
    async def scenario() -> None:
        clock = Clock()
        store: MemoryStore[str] = MemoryStore(clock=clock)
        await store.put("alice", "c", "old", expires=10)
        clock.now += 9
        await store.put("alice", "c", "new", expires=10)
        clock.now += 9
        item = await store.get("alice", "c")
        assert item is not None
        assert item.value == "new"
        assert len(store) == 1

    asyncio.run(scenario())


def test_remove_takes_one_field_or_the_whole_key_and_counts() -> None:
    async def scenario() -> None:
        store: MemoryStore[int] = MemoryStore(clock=Clock())
        for number in range(3):
            await store.put("alice", f"c{number}", number, expires=60)
        await store.put("bob", "c", 9, expires=60)
        assert await store.remove("alice", "c1") == 1
        assert await store.remove("alice", "c1") == 0
        assert list(await store.all("alice")) == ["c0", "c2"]
        assert await store.remove("alice") == 2
        assert await store.remove("nobody") == 0
        assert len(store) == 1

    asyncio.run(scenario())


def test_the_limit_refuses_a_new_item_but_not_a_refresh() -> None:
    async def scenario() -> None:
        clock = Clock()
        store: MemoryStore[int] = MemoryStore(limit=1, clock=clock)
        await store.put("alice", "c", 1, expires=10)
        with pytest.raises(StoreFull):
            await store.put("bob", "c", 1, expires=10)
        await store.put("alice", "c", 2, expires=10)
        clock.now += 10
        await store.put("bob", "c", 1, expires=10)
        assert await store.get("alice", "c") is None

    asyncio.run(scenario())


def test_refreshing_for_ever_does_not_grow_the_store() -> None:
    async def scenario() -> None:
        store: MemoryStore[int] = MemoryStore(clock=Clock())
        for number in range(10_000):
            await store.put("alice", "c", number, expires=3600)
        assert len(store._deadlines) < 200

    asyncio.run(scenario())
