"""Where an application keeps what outlives a request: bindings of a registrar, sessions. One file per kind of storage."""

from dracht.store.memory import Item, MemoryStore, StoreFull

__all__ = ["Item", "MemoryStore", "StoreFull"]
