"""`Streams` says what is wrong with it when it is made."""

from __future__ import annotations

import pytest
from dracht import Streams


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keep_alive": "always"}, "'registered' or 'opened'"),
        ({"keep_alive_interval": -1.0}, "keep_alive_interval is a number of seconds from 0"),
        ({"ping_interval": float("inf")}, "ping_interval is a number of seconds from 0"),
        ({"unanswered": -1}, "unanswered is a number from 0"),
        ({"pong_timeout": 0.0}, "pong_timeout"),
        ({"max_connections": 0}, "max_connections"),
        ({"origins": "https://a.example"}, "list"),
    ],
)
def test_a_mistake_is_named_with_what_may_stand_there(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Streams(**options)  # type: ignore[arg-type]


def test_nothing_may_be_asked_and_nobody_given_up() -> None:
    streams = Streams(keep_alive="opened", keep_alive_interval=0, ping_interval=0, unanswered=0)
    assert streams.keep_alive_interval == streams.unanswered == 0
