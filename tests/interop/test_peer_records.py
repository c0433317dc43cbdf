"""What a phone's trace says is read as it was sent, whatever else its threads wrote into the middle of it."""

from __future__ import annotations

from pathlib import Path

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
