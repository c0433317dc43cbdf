"""`Dns` is checked when it is made, and says what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from dracht import Dns, _core


def test_the_defaults_are_those_of_the_engine() -> None:
    engine = _core.Engine.start(["sip:127.0.0.1:0"], dns=Dns())
    assert engine.stop()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_servers_are_addresses(text: str, address: tuple[str, int]) -> None:
    assert Dns(servers=[text]).addresses == [address]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"servers": "192.0.2.53"}, "a list of texts"),
        ({"servers": ["ns.example"]}, "'ns.example' is no address; write 192.0.2.53"),
        ({"servers": ["192.0.2.53:0"]}, "no port from 1 to 65535"),
        ({"servers": ["192.0.2.53:x"]}, "no port from 1 to 65535"),
        ({"timeout": 0.0}, "timeout=0.0 is out of range: 0.001 to 60"),
        ({"attempts": 0}, "attempts=0 is out of range: 1 to 10"),
        ({"stale": float("nan")}, "stale=nan is out of range"),
        ({"target_timeout": 0.0}, "target_timeout=0.0 is out of range: 0.1 to 120"),
        ({"unavailable": 60.0, "unavailable_longest": 30.0}, "unavailable_longest=30.0 is out of range: 60"),
    ],
)
def test_a_mistake_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Dns(**options)


def test_it_is_frozen_and_every_field_is_documented() -> None:
    from dracht.server.settings import documents

    with pytest.raises(FrozenInstanceError):
        Dns().stale = 0  # type: ignore[misc]
    assert all(documents(Dns)[one.name] for one in fields(Dns))
