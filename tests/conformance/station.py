"""What is tested: an application and the engine it drives, in one process or over a control connection.

`Station` gives a test both ends of the link in the same way whichever link it is. `Stations` makes them, and says at the end of a
test whether anything was left behind; engines then run on until their transactions have ended, which a test need not wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dracht import Agent, App
from dracht._core import Engine
from dracht.handler import Handler
from dracht.link.base import Link
from dracht.link.control import ControlLink
from dracht.link.native import NativeLink
from dracht.link.options import EngineOptions

from tests.conformance.cable import Cable
from tests.conformance.phone import LIMIT, Phone

__all__ = ["SECRET", "Keeper", "Station", "Stations", "eventually", "nobody", "server_engine"]

SECRET = "cymru"
LISTEN = ("sip:127.0.0.1:0;transport=udp,tcp",)
# Short enough that tables empty within seconds, long enough that a busy machine answers before a retransmission matters.
TIMERS: EngineOptions = {"t1": 0.05, "t2": 0.2, "t4": 0.05}
# Timer D is 32 s whatever T1 is (RFC 3261 §17.1.1.2): a client transaction of an INVITE refused over UDP stays that long.
TABLES = ("server_transactions", "client_transactions", "dialogs", "proxies", "resolves", "timers")


def server_engine(listen: Sequence[str], **options: Any) -> Engine:
    """An engine without an application of its own, that listens for others."""
    chosen: dict[str, Any] = {**TIMERS, **options}
    return Engine.start(list(listen), embedded=False, control="127.0.0.1:0", secret=SECRET, **chosen)


async def nobody(req: object, res: object) -> None:
    """A handler for agents that only send."""
    raise AssertionError(f"an agent that only sends got {req!r}")


async def eventually(condition: Callable[[], object], what: object = "") -> None:
    """Waits until a condition holds: for what nothing tells of."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about: {what() if callable(what) else what}"
        await asyncio.sleep(0.005)


class Station:
    """An engine, and the first application of it."""

    def __init__(self, way: str, engine: Engine, agent: Agent, cable: Cable | None) -> None:
        self.way = way
        self.engine = engine
        self.agent = agent
        self.cable = cable
        """The control connection's cable; None embedded."""
        self.agents = [agent]
        _, bound = engine.hostports()
        host, _, port = bound[0].removeprefix("udp/").removeprefix("tcp/").rpartition(":")
        self.address = host.strip("[]"), int(port)
        """Where the engine listens."""

    @property
    def uri(self) -> str:
        host, port = self.address
        return f"sip:service@[{host}]:{port}" if ":" in host else f"sip:service@{host}:{port}"

    @property
    def control(self) -> tuple[str, int]:
        """Where it accepts applications."""
        address = self.engine.control_address
        assert address is not None
        return address

    @property
    def embedded(self) -> bool:
        return self.way == "embedded"

    def counts(self) -> dict[str, int]:
        """What the engine holds, all shards together."""
        total: dict[str, int] = {}
        for shard in self.engine.counts():
            for name, value in shard.items():
                total[name] = total.get(name, 0) + value
        return total

    async def application(self, handler: Handler, *routes: str, cable: Cable | None = None) -> Agent:
        """Another application of the same engine, over a control connection."""
        agent = Agent(handler).route(*routes)
        host, port = cable.address if cable is not None else self.control
        await agent.connect(f"tcp://{host}:{port}", secret=SECRET)
        self.agents.append(agent)
        return agent

    async def at_rest(self) -> None:
        """Waits until nothing of calls is left."""
        await eventually(lambda: not self.left(), self.left)

    def left(self) -> dict[str, object]:
        """What of calls is left; empty when nothing is."""
        counts = self.counts()
        held: dict[str, object] = {name: counts[name] for name in ("dialogs", "proxies") if counts[name]}
        for at, agent in enumerate(self.agents):
            if not agent.idle:
                held[f"agent {at}"] = (
                    "not idle",
                    [(r, r._task) for r in agent._running],
                    [d.link.pending for d in agent._dispatchers],
                )
            for dispatcher in agent._dispatchers:
                for name in ("clients", "invites", "answers", "reliable", "established", "watchers"):
                    if getattr(dispatcher, name):
                        held[f"agent {at} {name}"] = getattr(dispatcher, name)
        return held


class Kept(NamedTuple):
    """An engine that runs until its transactions have ended."""

    test: str
    engine: Engine
    deadline: float
    lingering: int


class Keeper:
    """Lets engines run until every table is empty, and says where one is not."""

    def __init__(self, patience: float = 10.0) -> None:
        self._patience = patience  # seconds
        self._kept: list[Kept] = []
        self.failures: list[str] = []

    def keep(self, test: str, engine: Engine, lingering: int) -> None:
        """Takes an engine over. `lingering`: how many client transactions may stay for timer D."""
        self._kept.append(Kept(test, engine, time.monotonic() + self._patience, lingering))
        self.look()

    def look(self) -> None:
        """Stops the engines whose tables are empty."""
        waiting = []
        for kept in self._kept:
            held = {name: sum(shard[name] for shard in kept.engine.counts()) for name in TABLES}
            for name in ("client_transactions", "timers"):
                held[name] = max(0, held[name] - kept.lingering)
            # A target that failed is left out for half a minute, by a timer each: no call's, and longer than a test waits.
            held["timers"] -= sum(shard["targets_unavailable"] for shard in kept.engine.counts())
            if any(held.values()) and time.monotonic() < kept.deadline:
                waiting.append(kept)
                continue
            if any(held.values()):
                self.failures.append(f"{kept.test}: {held}")
            kept.engine.stop()
        self._kept = waiting

    def finish(self) -> None:
        """Waits for the last."""
        while self._kept:
            time.sleep(0.05)
            self.look()
        assert not self.failures, "tables were not empty after:\n" + "\n".join(self.failures)


class Stations:
    """Makes the stations and phones of one test, by one of the two links."""

    def __init__(self, way: str, test: str, keeper: Keeper) -> None:
        self.way = way
        self._test = test
        self._keeper = keeper
        self._stations: list[Station] = []
        self._phones: list[Phone] = []
        self._cables: list[Cable] = []
        self._exits = contextlib.AsyncExitStack()

    async def start(
        self,
        handler: Handler | App,
        *routes: str,
        listen: Sequence[str] = LISTEN,
        **options: Any,
    ) -> Station:
        """An application with its engine. An `App` routes for itself."""
        if self.way == "embedded":
            chosen: dict[str, Any] = {**TIMERS, **options}
            native = NativeLink(list(listen), control="127.0.0.1:0", secret=SECRET, **chosen)
            station = Station(self.way, *await self._serve(handler, routes, native, native), None)
        else:
            engine = server_engine(listen, **options)
            assert engine.control_address is not None
            cable = await self.cable(engine.control_address)
            control = ControlLink(f"tcp://127.0.0.1:{cable.address[1]}", secret=SECRET)
            station = Station(self.way, engine, (await self._serve(handler, routes, control, None))[1], cable)
        self._stations.append(station)
        return station

    async def _serve(
        self, handler: Handler | App, routes: Sequence[str], link: Link, native: NativeLink | None
    ) -> tuple[Any, Agent]:
        if isinstance(handler, App):
            await self._exits.enter_async_context(handler.serving(link=link))
            agent = handler.agent
        else:
            agent = Agent(handler).route(*routes)
            await agent.attach(link)
        return (native.engine if native is not None else None), agent

    async def cable(self, to: tuple[str, int]) -> Cable:
        """A cable to a control port."""
        cable = await Cable.open(to)
        self._cables.append(cable)
        return cable

    async def phone(self, host: str = "127.0.0.1", transport: str = "udp") -> Phone:
        """A phone."""
        phone = await Phone.open(host, transport)
        self._phones.append(phone)
        return phone

    async def end(self) -> None:
        """Says what was left behind, and closes everything."""
        try:
            for station in self._stations:
                await station.at_rest()
            for phone in self._phones:
                unexpected = phone.unexpected()
                seen = [(entry.message.start, entry.peer) for entry in phone.record]
                assert not unexpected, f"{phone.address} got {unexpected}, which nobody expected: {seen}"
        finally:
            await self._close()

    async def _close(self) -> None:
        for station in self._stations:
            for agent in station.agents:
                for dispatcher in agent._dispatchers:
                    link = dispatcher.link
                    if isinstance(link, NativeLink) and link._engine is not None:
                        # The engine stays: the keeper looks at it until its transactions have ended.
                        asyncio.get_running_loop().remove_reader(link._engine.fileno())
                        link._engine = None
                await agent.close()
        await self._exits.aclose()
        for cable in self._cables:
            await cable.close()
        for phone in self._phones:
            await phone.close()
        for station in self._stations:
            self._keeper.keep(self._test, station.engine, self._refused(station))

    def _refused(self, station: Station) -> int:
        return len(
            {
                entry.message.branch
                for phone in self._phones
                for entry in phone.record
                if entry.sent
                and entry.message.status >= 300
                and entry.message.method == "INVITE"
                and entry.peer[1] == station.address[1]
            }
        )
