"""`dracht doctor --live`, asked from each place: the server tells where it sees whoever asks, through two NATs and over IPv6."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.namespaces.conftest import SERVER
from tests.namespaces.places import Places
from tests.namespaces.serving import dracht, serving

SEEN = {
    "home": "203.0.113.20",  # its router
    "public": "203.0.113.50",
    "office": "10.10.0.20",
    "six": "[2001:db8:1::60]",
}


@pytest.fixture(scope="module")
def served(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with serving(places, "connected", tmp_path_factory.mktemp("live"), "uas"):
        yield places


def asked(places: Places, at: str, server: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The answers, and the findings by their check."""
    done = dracht(places, "doctor", "--live", server, "--json", at=at)
    document = json.loads(done.stdout)
    return document["live"], {one["check"]: one["severity"] for one in document["findings"]}


@pytest.mark.parametrize("place", SEEN)
def test_each_place_is_told_where_the_server_sees_it(served: Places, place: str) -> None:
    host, port = SERVER[place]
    reached, findings = asked(served, place, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    assert [one["target"].partition(" ")[0] for one in reached] == ["udp", "tcp"]
    for one in reached:
        assert one["answer"].split()[0].isdigit(), one
        assert one["sees_us_as"].rpartition(":")[0] == SEEN[place], one
    assert ("live-nat" in findings) is (place == "home")
    assert not {"live-silent", "live-no-rport", "live-private", "live-unavailable"} & set(findings)


def test_what_the_nat_in_front_of_a_phone_lets_in_is_seen_from_outside(served: Places) -> None:
    reached, findings = asked(served, "public", "203.0.113.20")
    assert all(one["answer"] and not one["answer"][0].isdigit() for one in reached)
    assert findings["live-nothing"] == "problem"


def test_a_place_without_ipv6_says_nothing_about_a_server_s(served: Places) -> None:
    reached, findings = asked(served, "public", "[2001:db8:1::10]:5060")
    assert {one["answer"] for one in reached} == {"Network is unreachable"}
    assert findings["live-silent"] == "note"
