"""Frames come out of a stream the same however it is cut; what is not a frame ends it, with the frames before it kept."""

from __future__ import annotations

import random

import pytest
from dracht.errors import ControlProtocolError
from dracht.link.frame import FrameReader, write_frame

PAYLOADS = [b"a|ping", "grüße|sip|☎\r\nSIP/2.0 200 OK\r\n\r\n".encode(), b"#" * 3000, b"12#", b"x"]


def read(
    data: bytes, cuts: list[int], limit: int = 100_000
) -> tuple[list[bytes], ControlProtocolError | None]:
    reader = FrameReader(limit)
    payloads: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        payloads += reader.feed(data[start:end])
    return payloads, reader.error


def test_every_single_cut_gives_the_same_frames() -> None:
    data = b"".join(write_frame(payload) for payload in PAYLOADS)
    for at in range(len(data) + 1):
        assert read(data, [at]) == (PAYLOADS, None)


def test_random_cuts_give_the_same_frames() -> None:
    data = b"".join(write_frame(payload) for payload in PAYLOADS)
    chance = random.Random(7)
    for _ in range(500):
        cuts = sorted(chance.sample(range(len(data)), chance.randrange(1, 40)))
        assert read(data, cuts) == (PAYLOADS, None)


def test_byte_by_byte() -> None:
    data = b"".join(write_frame(payload) for payload in PAYLOADS)
    assert read(data, list(range(1, len(data)))) == (PAYLOADS, None)


def test_the_length_counts_bytes() -> None:
    assert write_frame("ü☎".encode()) == b"5#" + "ü☎".encode()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n",
        b"\r\n",
        b" 5#hello",
        b"+5#hello",
        b"1_0#helloworld",
        b"-1#x",
        b"0#",
        b"#",
        b"123456789#",
        b"123456789",
        b"\xff\xfe",
        b"9\x00#",
        "\u0665#hello".encode(),
    ],
)
def test_what_is_not_a_frame_is_refused_wherever_it_is_cut(garbage: bytes) -> None:
    for cut in range(len(garbage) + 1):
        payloads, error = read(b"4#ping" + garbage, [6, 6 + cut])
        assert payloads == [b"ping"]
        assert isinstance(error, ControlProtocolError), (garbage, cut)


def test_a_frame_over_the_limit_is_refused_before_it_is_kept() -> None:
    reader = FrameReader(1000)
    assert reader.feed(b"1001#" + b"x" * 500) == []
    assert reader.error is not None
    assert reader.held == 0
    assert reader.feed(b"4#ping") == []


def test_a_large_frame_in_small_chunks_costs_its_length_once() -> None:
    reader = FrameReader(2_000_000)
    chunk = b"x" * 100
    assert reader.feed(b"1000000#") == []
    for _ in range(9_999):
        assert reader.feed(chunk) == []
    assert reader.feed(chunk) == [b"x" * 1_000_000]
    assert reader.held == 0
