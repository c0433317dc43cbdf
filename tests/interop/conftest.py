"""Real peers. Where one is missing locally the test says so and skips; with CI=true a missing peer is a failure."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dracht import App
from dracht.handler import Handler

from tests.conformance.station import LISTEN, Keeper, Station, Stations
from tests.interop import tls_probe
from tests.interop.peers import baresip, chromium, kamailio, linphone, sipp, sipvicious, stunnel
from tests.interop.peers.process import Peers

PEERS: dict[str, Callable[[], object]] = {
    "sipp": sipp.available,
    "kamailio": kamailio.available,
    "baresip": baresip.available,
    "linphone": linphone.available,
    "chromium": chromium.available,
    "openssl": tls_probe.available,
    "stunnel": stunnel.available,
    "sipsak": lambda: shutil.which("sipsak") is not None,
    "sipvicious": sipvicious.available,
}
# Long enough that a peer on a busy machine answers before anything is repeated, short enough that tables empty soon.
TIMERS = {"t1": 0.2, "t2": 1.0, "t4": 0.5}
# Timer D is 32 s whatever T1 is (RFC 3261 §17.1.1.2): so long a client transaction of a refused INVITE stays.
LAST = 50.0


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        name = str(mark.args[0])
        if PEERS[name]():
            continue
        message = f"{name} is not installed: run 'make peers' with root"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A failure says what every peer of the test saw and wrote."""
    report = yield
    peers = getattr(item, "funcargs", {}).get("peers")
    if report.failed and isinstance(peers, Peers):
        report.sections.extend((peer.name, str(peer)) for peer in peers.started)
    return report


class RealStations(Stations):
    """Stations whose timers leave a peer the time it needs, and which outlive the peers."""

    def __init__(self, way: str, test: str, keeper: Keeper, peers: Peers) -> None:
        super().__init__(way, test, keeper)
        self._peers = peers

    async def start(
        self, handler: Handler | App, *routes: str, listen: Sequence[str] = LISTEN, **options: Any
    ) -> Station:
        return await super().start(handler, *routes, listen=listen, **{**TIMERS, **options})

    async def end(self) -> None:
        try:
            for station in self._stations:
                await station.at_rest()
        finally:
            await self._peers.stop()  # what a phone says when it leaves is answered
            await super().end()

    def _refused(self, station: Station) -> int:
        return 0  # the keeper waits for all of them


@pytest.fixture(scope="session")
def real_keeper() -> Iterator[Keeper]:
    """Lets engines run until every table is empty; looks once more at the end of the session."""
    keeper = Keeper(LAST)
    yield keeper
    keeper.finish()


@pytest.fixture(params=["embedded", "connected"])
async def stations(
    request: pytest.FixtureRequest, real_keeper: Keeper, peers: Peers
) -> AsyncIterator[RealStations]:
    """Makes applications with their engines, over one link and then over the other."""
    stations = RealStations(request.param, request.node.name, real_keeper, peers)
    yield stations
    await stations.end()


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[Peers]:
    """Starts peers; they end with the test."""
    peers = Peers(tmp_path)
    yield peers
    await peers.stop()
