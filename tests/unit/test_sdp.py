"""A session description is read, and each change of it is another one in which all else is as it was."""

from __future__ import annotations

import pytest
from dracht import Message, ParseError, Sdp

PHONE = (
    "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=x-nat:0\r\na=flag\r\n"
    "m=audio 49170 RTP/AVP 0 18 101\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=sendrecv\r\na=ptime:20\r\nm=video 0 RTP/AVP 31\r\n"
)


def test_it_is_read() -> None:
    sdp = Sdp.parse(PHONE)
    assert (sdp.session_id, sdp.version, sdp.name, sdp.address) == (
        "2890844526",
        "2890844526",
        "-",
        "192.0.2.1",
    )
    assert sdp.attributes == [("x-nat", "0"), ("flag", None)]
    assert (sdp.attribute("x-nat"), sdp.attribute("flag"), sdp.attribute("none")) == ("0", "", None)
    audio, video = sdp.media
    assert (audio.index, audio.kind, audio.port, audio.ports, audio.protocol) == (
        0,
        "audio",
        49170,
        1,
        "RTP/AVP",
    )
    assert audio.formats == ["0", "18", "101"]
    assert (audio.direction, audio.address) == ("sendrecv", "192.0.2.1")
    assert audio.rtpmap("0") == ("PCMU", 8000, 1)
    assert audio.rtpmap("101") == ("telephone-event", 8000, 1)
    assert (audio.fmtp("18"), audio.fmtp("0")) == ("annexb=no", None)
    assert audio.attribute("ptime") == "20"
    assert ("ptime", "20") in audio.attributes
    assert [audio.has_ice, audio.has_crypto, audio.has_fingerprint, audio.is_rejected] == [False] * 4
    assert video.is_rejected
    assert repr(sdp) == "<Sdp audio video>"
    assert repr(audio) == "<SdpMedia audio 49170>"
    assert str(sdp) == PHONE
    assert bytes(sdp) == PHONE.encode()
    assert sdp == Sdp.parse(PHONE.encode())
    assert hash(sdp) == hash(Sdp.parse(PHONE))
    latin = Sdp.parse(b"v=0\r\ns=J\xf6rg\r\n")
    assert bytes(latin) == str(latin).encode("utf-8", "surrogateescape") == b"v=0\r\ns=J\xf6rg\r\n"
    assert (latin.session_id, latin.version, latin.name, latin.address) == ("", "", None, None)


def test_hold_and_back() -> None:
    sdp = Sdp.parse(PHONE)
    held = sdp.hold()
    assert str(held) == PHONE.replace("a=sendrecv", "a=sendonly").replace("2890844526 IN", "2890844527 IN")
    assert (sdp.is_hold, held.is_hold) == (False, True)
    assert (held.hold_state(sdp), held.hold_state(held), sdp.hold_state(held)) == ("hold", "held", "resume")
    assert (sdp.hold_state(), held.hold_state()) == ("active", "hold")
    assert str(held.resume()) == PHONE.replace("2890844526 IN", "2890844528 IN")
    old = Sdp.parse(PHONE.replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0"))
    assert old.is_hold
    assert old.media[0].direction == "sendonly"


def test_each_change_leaves_the_rest() -> None:
    sdp = Sdp.parse(PHONE)
    assert str(sdp.next_version()) == PHONE.replace("2890844526 IN", "2890844527 IN")
    assert str(sdp.with_address("2001:db8::1")) == PHONE.replace("c=IN IP4 192.0.2.1", "c=IN IP6 2001:db8::1")
    assert sdp.with_address("198.51.100.1", media=0).media[0].address == "198.51.100.1"
    assert str(sdp.with_port(4000, 0)) == PHONE.replace("49170", "4000")
    assert [one.direction for one in sdp.with_direction("inactive").media] == ["inactive", "inactive"]
    assert [one.direction for one in sdp.with_direction("recvonly", media=0).media] == [
        "recvonly",
        "sendrecv",
    ]
    assert str(sdp.without_media(1)) == PHONE.replace("m=video 0 RTP/AVP 31\r\n", "")
    without = sdp.without_format("18", 0)
    assert without.media[0].formats == ["0", "101"]
    assert "G729" not in str(without)
    assert "annexb" not in str(without)
    assert str(sdp.with_attribute("ptime", "30", media=0)) == PHONE.replace("ptime:20", "ptime:30")
    assert sdp.with_attribute("new").attributes == [*sdp.attributes, ("new", None)]
    assert str(sdp.without_attribute("flag")) == PHONE.replace("a=flag\r\n", "")
    assert str(sdp) == PHONE


def test_what_cannot_be_done_raises() -> None:
    sdp = Sdp.parse(PHONE)
    with pytest.raises(ParseError, match="line 2"):
        Sdp.parse("v=0\r\nm=audio\r\n")
    with pytest.raises(IndexError, match="no media section 2"):
        sdp.with_port(4000, 2)
    with pytest.raises(ValueError, match="no IP address"):
        sdp.with_address("example.com")
    with pytest.raises(ValueError, match="a direction is"):
        sdp.with_direction("both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no format"):
        sdp.without_format("31", 1)


def test_a_message_gives_its_description() -> None:
    head = (
        "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
        "Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Type: "
    )

    def message(content_type: str, body: str) -> Message:
        return Message.parse(f"{head}{content_type}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    assert message("application/sdp", PHONE).sdp == Sdp.parse(PHONE)
    assert message("text/plain", PHONE).sdp is None
    parts = f"--b\r\nContent-Type: application/sdp\r\n\r\n{PHONE}\r\n--b\r\nContent-ID: <l@h>\r\n\r\nhere\r\n--b--\r\n"
    mixed = message('multipart/mixed;boundary="b"', parts)
    assert mixed.sdp == Sdp.parse(PHONE)
    assert mixed.body_part("application/sdp") == PHONE.encode()
    assert mixed.body_part_by_id("l@h") == b"here"
    with pytest.raises(ParseError, match="v=0"):
        assert message("application/sdp", "nonsense").sdp
