"""Futures of dialogs on their way between engines (`Link.export_dialog`, `import_dialog`): how they fail."""

from __future__ import annotations

import asyncio
from typing import Any

from dracht.link.wire import failure

__all__ = ["fail", "failed", "refusal"]


def failed(error: Exception) -> asyncio.Future[Any]:
    """A future that has failed."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


def fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Fails a future, unless whoever awaited it has gone."""
    if not future.done():
        future.set_exception(error)


def refusal(text: str) -> Exception:
    """The error for a server's refusal: ValueError where the value itself is at fault, as an embedded engine has it."""
    return ValueError(text) if "exported" in text else failure(text)
