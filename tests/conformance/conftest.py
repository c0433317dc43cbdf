"""The fixtures of the conformance suite: every test that takes `stations` runs over both links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

pytest.importorskip("dracht._core", reason="the Rust core is not built: make setup")

from tests.conformance.phone import Phone
from tests.conformance.station import Keeper, Stations


@pytest.fixture(scope="session")
def keeper() -> Iterator[Keeper]:
    """Lets engines run until their transactions have ended; at the end of the session no table may hold anything."""
    keeper = Keeper()
    yield keeper
    keeper.finish()


@pytest.fixture(params=["embedded", "connected"])
async def stations(request: pytest.FixtureRequest, keeper: Keeper) -> AsyncIterator[Stations]:
    """Makes applications with their engines, over one link and then over the other."""
    stations = Stations(request.param, request.node.name, keeper)
    yield stations
    await stations.end()


@pytest.fixture
async def phone(stations: Stations) -> Phone:
    """A phone, by UDP."""
    return await stations.phone()
