"""`dracht._core.Message` and its typed views give what was on the wire, lose nothing, and refuse what cannot be read."""

import threading

import pytest
from dracht._core import Address, CSeq, Message, Uri, Via, parse_uri, reason_phrase
from dracht.errors import HeaderError, ParseError, UriError

INVITE = (
    b"INVITE sip:bob@biloxi.example;user=phone SIP/2.0\r\n"
    b"v: SIP/2.0/UDP pc33.atlanta.example:5070;branch=z9hG4bK776;rport=5071;received=192.0.2.1, SIP/2.0/TCP [2001:db8::1]\r\n"
    b"Via: SIP/2.0/UDP third.example;branch=z9hG4bK3;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b't: "Bob, B." <sip:bob@biloxi.example>\r\n'
    b"From: Alice <sip:alice@atlanta.example;transport=tcp>;tag=1928\r\n"
    b"i: a84b4c76@pc33\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"m: <sip:alice@pc33.atlanta.example>;q=0.5, sip:alice@second.example;expires=60\r\n"
    b"Route: <sip:p1.example;lr>,\r\n <sip:p2.example;lr>\r\n"
    b"Record-Route: <sip:p0.example;lr>\r\n"
    b'X-Weird: a, "b, c", <d, e>\r\n'
    b"x-weird: f\r\n"
    b"Subject: caf\xe9 \xc3\xa9\r\n"
    b"c: application/sdp\r\n"
    b"Content-Length: 6\r\n"
    b"\r\n"
    b"\x00\xffbody"
)
RESPONSE = (
    b"SIP/2.0 486 Busy Here\r\n"
    b"Via: SIP/2.0/UDP pc33.atlanta.example;branch=z9hG4bK776\r\n"
    b"To: <sip:bob@biloxi.example>;tag=a6c85cf\r\n"
    b"From: Alice <sip:alice@atlanta.example>;tag=1928\r\n"
    b"Call-ID: a84b4c76@pc33\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Content-Length: 0\r\n\r\n"
)


@pytest.fixture
def invite() -> Message:
    return Message.parse(INVITE)


def test_a_request_gives_its_parts(invite: Message) -> None:
    assert invite.is_request
    assert invite.method == "INVITE"
    assert invite.uri == "sip:bob@biloxi.example;user=phone"
    assert (invite.status, invite.reason) == (0, "")
    assert invite.call_id == "a84b4c76@pc33"
    assert invite.body == b"\x00\xffbody"
    assert invite.content_type == "application/sdp"
    assert repr(invite) == "<Message INVITE sip:bob@biloxi.example;user=phone>"


def test_a_response_gives_its_parts() -> None:
    message = Message.parse(RESPONSE)
    assert not message.is_request
    assert (message.status, message.reason, message.method, message.uri) == (486, "Busy Here", "INVITE", "")
    assert message.to.tag == "a6c85cf"
    assert message.content_type is None
    assert repr(message) == "<Message 486 INVITE>"


def test_bytes_are_what_was_on_the_wire(invite: Message) -> None:
    assert bytes(invite) == INVITE
    assert len(invite) == len(INVITE)
    assert str(invite).encode("utf-8", "surrogateescape") == INVITE


def test_bytes_past_content_length_are_dropped() -> None:
    assert bytes(Message.parse(RESPONSE + b"rubbish")) == RESPONSE


def test_equality_is_that_of_the_bytes(invite: Message) -> None:
    assert invite == Message.parse(INVITE)
    assert hash(invite) == hash(Message.parse(INVITE))
    assert invite != Message.parse(RESPONSE)
    assert invite != "INVITE"


def test_header_names_are_case_insensitive_and_compact_forms_equal_long_ones(invite: Message) -> None:
    for name in ("Call-ID", "call-id", "CALL-ID", "i", "I"):
        assert invite.header(name) == "a84b4c76@pc33"
    assert invite.header("X-WEIRD") == 'a, "b, c", <d, e>'
    assert invite.header("Absent") is None
    assert invite.header("Expires") is None


def test_every_field_of_a_name_is_given_in_order(invite: Message) -> None:
    assert invite.headers_all("X-Weird") == ['a, "b, c", <d, e>', "f"]
    assert len(invite.headers_all("Via")) == 2
    assert invite.headers_all("Absent") == []


def test_lists_are_split_outside_quotes_and_angle_brackets(invite: Message) -> None:
    assert invite.values("X-Weird") == ["a", '"b, c"', "<d, e>", "f"]
    assert invite.values("Route") == ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]
    assert len(invite.values("v")) == 3


def test_all_fields_come_in_order_with_their_long_names(invite: Message) -> None:
    names = [name for name, _ in invite.fields()]
    assert names[:4] == ["Via", "Via", "Max-Forwards", "To"]
    assert names[-5:] == ["X-Weird", "x-weird", "Subject", "Content-Type", "Content-Length"]


def test_bytes_that_are_not_utf8_are_kept(invite: Message) -> None:
    subject = invite.header("Subject")
    assert subject == "caf\udce9 é"
    assert subject.encode("utf-8", "surrogateescape") == b"caf\xe9 \xc3\xa9"


def test_typed_addresses(invite: Message) -> None:
    assert invite.from_.display == "Alice"
    assert invite.from_.tag == "1928"
    assert invite.from_.uri.param("transport") == "tcp"
    assert invite.from_.param("transport") is None
    assert invite.to.display == "Bob, B."
    assert invite.to.tag is None
    first, second = invite.contacts
    assert (first.param("q"), second.param("expires")) == ("0.5", "60")
    assert second.uri == parse_uri("sip:alice@second.example")
    assert [str(route.uri) for route in invite.routes] == ["sip:p1.example;lr", "sip:p2.example;lr"]
    assert [route.uri.is_loose_router for route in invite.record_routes] == [True]


def test_typed_vias_and_cseq(invite: Message) -> None:
    top, second, third = invite.vias
    assert top == invite.via
    assert (top.transport, top.host, top.port, top.branch) == (
        "UDP",
        "pc33.atlanta.example",
        5070,
        "z9hG4bK776",
    )
    assert (top.rport, top.received) == (5071, "192.0.2.1")
    assert (second.transport, second.host, second.port, second.branch) == ("TCP", "2001:db8::1", None, None)
    assert third.params == {"branch": "z9hG4bK3", "rport": None}
    assert (third.rport, third.param("rport"), third.param("ttl")) == (None, "", None)
    assert (invite.cseq.number, invite.cseq.method) == (314159, "INVITE")
    assert str(invite.cseq) == "314159 INVITE"
    assert invite.cseq == Message.parse(RESPONSE).cseq
    assert isinstance(invite.cseq, CSeq)
    assert isinstance(invite.via, Via)


def test_a_wildcard_contact_is_said_to_be_one() -> None:
    (contact,) = Message.parse(RESPONSE.replace(b"Content-Length", b"Contact: *\r\nContent-Length")).contacts
    assert contact.is_wildcard


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"INVITE sip:bob@biloxi.example\r\n\r\n",
        INVITE[:-1],
        INVITE.replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1),
        b"\x00" * 64,
    ],
)
def test_what_is_no_message_is_refused_with_a_value_error(data: bytes) -> None:
    with pytest.raises(ParseError) as raised:
        Message.parse(data)
    assert isinstance(raised.value, ValueError)
    assert str(raised.value)


def test_an_unreadable_header_field_is_refused_when_read_and_not_before() -> None:
    message = Message.parse(INVITE.replace(b";transport=tcp>;tag=1928", b";transport=tcp;tag=1928"))
    assert message.header("From")
    with pytest.raises(HeaderError, match="From"):
        _ = message.from_


def test_a_missing_header_field_is_named() -> None:
    message = Message.parse(RESPONSE.replace(b"To: <sip:bob@biloxi.example>;tag=a6c85cf\r\n", b""))
    with pytest.raises(HeaderError, match="To"):
        _ = message.to


def test_a_uri_gives_its_parts() -> None:
    uri = Uri.parse(
        "SIP:al%69ce:secret@[2001:db8::9:1]:5062;transport=TCP;lr;x=a%20b?subject=project%20x&priority=urgent"
    )
    assert (uri.scheme, uri.user, uri.user_raw, uri.password) == ("sip", "alice", "al%69ce", "secret")
    assert (uri.host, uri.port, uri.transport) == ("2001:db8::9:1", 5062, "TCP")
    assert uri.params["lr"] is None
    assert list(uri.params) == ["transport", "lr", "x"]
    assert uri.headers == [("subject", "project%20x"), ("priority", "urgent")]
    assert (uri.param("lr"), uri.param("maddr")) == ("", None)
    assert str(uri).startswith("SIP:al%69ce")


def test_a_tel_uri_gives_its_number() -> None:
    uri = parse_uri("tel:+1-201-555-0123;phone-context=example.com")
    assert (uri.scheme, uri.user, uri.host, uri.port) == ("tel", "+1-201-555-0123", "", None)
    assert uri.param("phone-context") == "example.com"


def test_uris_are_compared_as_text_or_as_the_rfc_does() -> None:
    first, second = parse_uri("sip:%61lice@Atlanta.example"), parse_uri("sip:alice@atlanta.example")
    assert first != second
    assert first.equivalent(second)
    assert not first.equivalent(parse_uri("sip:alice@atlanta.example:5060"))
    assert {parse_uri("sip:a@b"), parse_uri("sip:a@b")} == {parse_uri("sip:a@b")}


@pytest.mark.parametrize("text", ["", "sip:", "bob", "sip:bob@", "sip:bob@host:99999", "sip:bob@[::1"])
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(UriError):
        parse_uri(text)


def test_an_address_is_read_by_itself() -> None:
    address = Address.parse('"A \\"B\\"" <sip:a@b;x=1>;tag=2;lr')
    assert address.display == 'A "B"'
    assert address.uri_text == "sip:a@b;x=1"
    assert address.params == {"tag": "2", "lr": None}
    with pytest.raises(HeaderError):
        Address.parse("<sip:a@b")


def test_known_methods_are_one_object(invite: Message) -> None:
    assert invite.method is Message.parse(INVITE).method


def test_reason_phrases() -> None:
    assert reason_phrase(486) == "Busy Here"
    assert reason_phrase(299) == reason_phrase(200), "that of its class"


def test_classes_cannot_be_changed_made_or_subclassed(invite: Message) -> None:
    with pytest.raises(AttributeError):
        invite.method = "BYE"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Message()
    with pytest.raises(TypeError):
        type("Mine", (Message,), {})


def test_one_message_can_be_read_by_many_threads(invite: Message) -> None:
    seen: list[tuple[str | None, str, int]] = []

    def read() -> None:
        seen.extend((invite.header("Call-ID"), invite.from_.uri.host, invite.cseq.number) for _ in range(500))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 2000
    assert set(seen) == {("a84b4c76@pc33", "atlanta.example", 314159)}
