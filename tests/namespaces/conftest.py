"""The places, once for all tests, and the phones at them. Without root the tests say so and skip; with CI=true they fail."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import dracht
import pytest

from tests.namespaces.phones import DistantPhone
from tests.namespaces.places import Places, unavailable
from tests.namespaces.serving import EXAMPLES

SERVER = {
    "home": ("203.0.113.10", 5060),
    "public": ("203.0.113.10", 5060),
    "tcp": ("203.0.113.10", 5060),
    "six": ("2001:db8:1::10", 5060),
    "office": ("10.10.0.5", 5060),
}
"""Where each phone reaches the server, which is also the only address of it that a phone there may ever be told."""
_HOSTS = {
    "home": "192.168.7.2",
    "public": "203.0.113.50",
    "tcp": "203.0.113.40",
    "six": "2001:db8:1::60",
    "office": "10.10.0.20",
}


KNOWS_FLOWS = hasattr(dracht, "ProxyTarget")
"""Whether a proxy finds its way back to a phone behind a NAT (RFC 5626)."""
REGISTRAR_KEEPS_FLOWS = KNOWS_FLOWS and "req.flow" in (EXAMPLES / "registrar.py").read_text()
"""Whether the registrar of the examples keeps that way."""


@pytest.fixture(scope="session")
def places() -> Iterator[Places]:
    """The namespaces."""
    if reason := unavailable():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with Places() as places:
        yield places


@pytest.fixture
async def phones(places: Places) -> AsyncIterator[dict[str, DistantPhone]]:
    """A phone at each place, by name; none is registered yet."""
    made = {}
    try:
        for name, host in _HOSTS.items():
            transport = "tcp" if name == "tcp" else "udp"
            made[name] = await DistantPhone.at(name, host, transport, places.full(name), SERVER[name])
        yield made
    finally:
        for phone in made.values():
            await phone.close()
