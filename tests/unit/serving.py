"""An agent that serves on a link without an engine, and waiting for what it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from dracht import (
    Agent,
    Request,
    Response,
)
from dracht.link.memory import MemoryLink

Run = Callable[[Request, Response], Awaitable[None]]

__all__ = ["nothing", "serving", "settled", "turns"]


@asynccontextmanager
async def serving(
    handler: Run, *routes: str, automatic: bool = True
) -> AsyncIterator[tuple[Agent, MemoryLink]]:
    """An agent over a link whose other end is the test."""
    link = MemoryLink(automatic=automatic)
    agent = Agent(handler).route(*routes)
    async with asyncio.timeout(5):
        await agent.attach(link)
        try:
            yield agent, link
        finally:
            await agent.close()


async def nothing(req: Request, res: Response) -> None:
    """A handler that gives no answer."""


async def settled(agent: Agent) -> None:
    """Waits until every handler has ended."""
    async with asyncio.timeout(5):
        while not agent.idle:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def turns() -> None:
    """Lets the loop turn until what was begun waits for something outside."""
    for _ in range(20):
        await asyncio.sleep(0)
