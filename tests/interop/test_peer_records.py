"""What a phone's trace says is read as it was sent, whatever else its threads wrote into the middle of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.peers.baresip import Baresip


def test_a_line_of_another_thread_within_a_message_is_no_message(tmp_path: Path) -> None:
    phone = object.__new__(Baresip)
    phone.port, phone.registrar, phone.log = 5070, "", tmp_path / "log"
    phone.log.write_bytes(
        b"\x1b[36;1m#\nUDP 127.0.0.1:5070 -> 127.0.0.1:5060\n"
        b"aubridge: device_connect: (loop)\n"
        b"ACK sip:bob@127.0.0.1 SIP/2.0\r\n"
        b"stream: update 'audio'\n"
        b"CSeq: 1 ACK\r\nContent-Length: 3\r\n\r\nabc\x1b[;m"
    )
    (entry,) = phone.record()
    assert entry.sent
    assert entry.message.start == "ACK sip:bob@127.0.0.1 SIP/2.0"
    assert entry.message.body == b"abc"


LINE = b"aubridge: thread start: 8000 Hz, 1 channels, format=S16LE\n"
TRACE = (
    b"\x1b[36;1m#\nUDP 127.0.0.1:5070 -> 127.0.0.1:5060\nACK sip:bob@127.0.0.1 SIP/2.0\r\n"
    b"CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n\x1b[;m"
)


@pytest.mark.parametrize("at", range(len(TRACE) + 1))
def test_what_the_sound_card_says_may_stand_anywhere(tmp_path: Path, at: int) -> None:
    phone = object.__new__(Baresip)
    phone.port, phone.registrar, phone.log = 5070, "", tmp_path / "log"
    phone.log.write_bytes(TRACE[:at] + LINE + TRACE[at:])
    (entry,) = phone.record()
    assert (entry.sent, entry.message.start) == (True, "ACK sip:bob@127.0.0.1 SIP/2.0")
    assert entry.message["CSeq"] == "1 ACK"
