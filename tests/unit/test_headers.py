"""Headers are a case-insensitive multi-mapping in order; drafts replace when set; nothing that would break a line gets in."""

from __future__ import annotations

import pytest
from dracht import DraftHeaders, HeaderError, Headers
from dracht._core import Message
from dracht.message import HeaderValue, body_bytes, header_list

MESSAGE = Message.parse(
    b"OPTIONS sip:b@h SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK2\r\n"
    b"f: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\ni: c\r\nCSeq: 1 OPTIONS\r\nX-One: 1\r\n"
    b"x-one: 2, 3\r\nAllow: INVITE, ACK\r\nContent-Length: 0\r\n\r\n"
)


def test_received_headers_are_found_whatever_their_case_or_form() -> None:
    headers = Headers(MESSAGE)
    assert headers["from"] == headers["F"] == "<sip:a@h>;tag=1"
    assert headers["x-ONE"] == "1"
    assert headers.getall("X-One") == ["1", "2, 3"]
    assert headers.getlist("Allow") == ["INVITE", "ACK"]
    assert len(headers.getall("via")) == 2
    assert headers.get("absent") is None
    assert headers.get("absent", "x") == "x"
    assert "Call-ID" in headers
    assert "Absent" not in headers
    assert not Headers.__contains__(headers, 3)
    with pytest.raises(KeyError):
        headers["Absent"]


def test_received_headers_iterate_in_order_with_repetitions() -> None:
    headers = Headers(MESSAGE)
    assert [name.lower() for name in headers] == [
        "via",
        "via",
        "from",
        "to",
        "call-id",
        "cseq",
        "x-one",
        "x-one",
        "allow",
        "content-length",
    ]
    assert len(headers) == len(headers.items()) == len(headers.keys()) == len(headers.values()) == 10
    assert headers.items()[6:8] == [("X-One", "1"), ("x-one", "2, 3")]


def test_setting_replaces_and_adding_appends() -> None:
    given: dict[str, HeaderValue] = {"A": "1", "B": ["2", "3"], "C": 4}
    draft = DraftHeaders(given)
    assert draft.items() == [("A", "1"), ("B", "2"), ("B", "3"), ("C", "4")]
    draft["b"] = "x"
    assert draft.items() == [("A", "1"), ("b", "x"), ("C", "4")]
    draft.add("A", "5")
    assert draft.getall("a") == ["1", "5"]
    draft["A"] = ["6", "7"]
    assert draft.items() == [("A", "6"), ("A", "7"), ("b", "x"), ("C", "4")]
    draft["D"] = "8"
    del draft["a"]
    assert draft.items() == [("b", "x"), ("C", "4"), ("D", "8")]
    assert draft.setdefault("c", "9") == "4"
    assert "B" in draft
    assert len(draft) == 3
    with pytest.raises(KeyError):
        del draft["A"]


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ü"])
def test_a_name_is_a_token(name: str) -> None:
    with pytest.raises(HeaderError):
        header_list({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nb", "a\n", "\r", "\0"])
def test_a_value_stays_in_its_line(value: str) -> None:
    with pytest.raises(HeaderError):
        header_list([("X", value)])
    with pytest.raises(HeaderError):
        DraftHeaders()["X"] = value


def test_a_value_is_text_or_a_number() -> None:
    with pytest.raises(TypeError):
        header_list({"X": 1.5})  # type: ignore[arg-type]


def test_bodies() -> None:
    assert body_bytes(None) == b""
    assert body_bytes("ü\udcff") == "ü".encode() + b"\xff"
    assert body_bytes(b"x") == b"x"


def test_no_headers_give_a_list_of_ones_own_each_time() -> None:
    """What is added to it (the credentials of an ACK, say) must not be in the next request."""
    header_list(None).append(("Authorization", "Digest"))
    assert header_list(None) == header_list({}) == []
