"""A ladder shows every message once, in order of time, as an arrow between the right parties."""

from __future__ import annotations

from typing import Literal

import pytest
from dracht.cli.ladder import Arrow, draw
from dracht.cli.trace import Seen, through

PARTIES = ["caller", "proxy", "callee"]


def test_messages_stand_in_order_of_time_with_arrows_the_right_way() -> None:
    lines = draw(
        PARTIES,
        [
            Arrow(10.002, "callee", "proxy", "180 Ringing"),
            Arrow(10.000, "caller", "proxy", "INVITE (SDP)"),
            Arrow(10.001, "proxy", "callee", "INVITE (SDP)"),
        ],
    )
    body = lines[2:-1]
    assert [line.split()[0] for line in body] == ["0.0", "1.0", "2.0"]
    assert "│─ INVITE (SDP) ─" in body[0]
    assert body[0].index("▶") < body[1].index("▶")
    assert "◀─ 180 Ringing" in body[2]
    assert [name for name in PARTIES if name in lines[0]] == PARTIES


def test_an_arrow_past_a_party_reaches_the_far_one() -> None:
    line = draw(PARTIES, [Arrow(0, "caller", "callee", "ACK")])[2]
    assert line.count("│") == 2
    assert line.index("▶") > line.index("ACK")


def test_a_long_label_is_cut_and_the_columns_stay() -> None:
    first, second = draw(
        PARTIES, [Arrow(0, "caller", "proxy", "X" * 80), Arrow(0, "caller", "proxy", "ACK")]
    )[2:4]
    assert len(first) == len(second)
    assert "…" in first


def test_an_unknown_party_is_refused() -> None:
    with pytest.raises(ValueError, match="stranger"):
        draw(PARTIES, [Arrow(0, "caller", "stranger", "ACK")])


def test_what_follows_from_a_message_stands_below_it_however_late_its_sender_noted_it() -> None:
    def seen(at: float, direction: Literal["sent", "received"], label: str, method: str = "INVITE") -> Seen:
        return Seen(at, direction, "1@host", label, method)

    caller = [
        seen(4.9, "sent", "INVITE"),
        seen(5.0, "received", "200 OK"),
        seen(5.1, "sent", "ACK", "ACK"),
        seen(5.3, "sent", "BYE", "BYE"),
        seen(5.4, "received", "200 OK", "BYE"),
    ]
    callee = [
        seen(0.0, "received", "INVITE"),
        seen(0.1, "sent", "200 OK"),
        seen(0.2, "received", "ACK", "ACK"),
        seen(5.2, "received", "BYE", "BYE"),
        seen(5.2, "sent", "200 OK", "BYE"),
    ]
    drawn = through("proxy", {"caller": caller, "callee": callee})
    assert [(arrow.source, arrow.label) for arrow in drawn] == [
        ("caller", "INVITE"),
        ("proxy", "INVITE"),
        ("callee", "200 OK"),
        ("proxy", "200 OK"),
        ("caller", "ACK"),
        ("proxy", "ACK"),
        ("caller", "BYE"),
        ("proxy", "BYE"),
        ("callee", "200 OK"),
        ("proxy", "200 OK"),
    ]
    assert [arrow.at for arrow in drawn] == sorted(arrow.at for arrow in drawn)
