"""Header fields are read as types when asked for, absent ones are None, broken ones raise; each can be built and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dracht import (
    Address,
    Diversion,
    DraftHeaders,
    EventPackage,
    GeolocationError,
    HeaderError,
    HistoryInfo,
    Join,
    Message,
    Privacy,
    RAck,
    Reason,
    RemotePartyId,
    Replaces,
    RetryAfter,
    SessionExpires,
    SubscriptionState,
    TargetDialog,
    UserToUser,
)
from dracht.message import RequestView, header_list

if TYPE_CHECKING:
    from dracht.headerview import HeaderField

HEAD = (
    "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
    "Call-ID: c\r\nCSeq: 1 INVITE\r\n"
)


def message(fields: str = "", body: str = "") -> Message:
    return Message.parse(f"{HEAD}{fields}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode())


def test_what_is_not_there_is_none_or_empty() -> None:
    msg = message()
    for name in [
        "session_expires",
        "min_se",
        "event",
        "subscription_state",
        "replaces",
        "join",
        "target_dialog",
        "refer_to",
        "referred_by",
        "refer_sub",
        "rack",
        "rseq",
        "retry_after",
        "expires",
        "min_expires",
        "max_breadth",
        "sip_etag",
        "sip_if_match",
        "privacy",
        "geolocation_routing",
        "geolocation_error",
        "sdp",
    ]:
        assert getattr(msg, name) is None, name
    for name in [
        "reasons",
        "supported",
        "required",
        "unsupported",
        "allowed",
        "allowed_events",
        "asserted_identities",
        "preferred_identities",
        "remote_party_ids",
        "withheld_from_untrusted",
        "history_info",
        "diversions",
        "user_to_user",
        "geolocations",
    ]:
        assert getattr(msg, name) == [], name
    assert msg.allows("BYE") is None
    assert not msg.supports("timer")
    assert msg.body_part("application/sdp") is None


def test_timers_events_and_acknowledgements() -> None:
    msg = message(
        "x: 1800;refresher=uac\r\nMin-SE: 90\r\nEvent: refer;id=7\r\nRAck: 5 1 INVITE\r\nRSeq: 6\r\n"
        "Subscription-State: terminated;reason=GiveUp;retry-after=30\r\nRetry-After: 5 (in a meeting);duration=60\r\n"
        "Expires: 60\r\nMin-Expires: 61\r\nMax-Breadth: 62\r\nSIP-ETag: e1\r\nSIP-If-Match: e2\r\n"
    )
    assert msg.session_expires is not None
    assert (msg.session_expires.seconds, msg.session_expires.refresher, msg.min_se) == (1800, "uac", 90)
    assert msg.event is not None
    assert (msg.event.package, msg.event.id, msg.event.params) == ("refer", "7", {"id": "7"})
    assert msg.event.same_as(EventPackage("refer", "7"))
    assert not msg.event.same_as(EventPackage("refer"))
    state = msg.subscription_state
    assert state is not None
    assert (state.state, state.reason, state.expires, state.retry_after) == ("terminated", "giveup", None, 30)
    assert (state.is_terminated, state.resubscribe) == (True, "after")
    assert msg.rack is not None
    assert (msg.rack.response, msg.rack.sequence, msg.rack.method, msg.rseq) == (5, 1, "INVITE", 6)
    assert msg.retry_after is not None
    assert (msg.retry_after.seconds, msg.retry_after.comment, msg.retry_after.duration) == (
        5,
        "in a meeting",
        60,
    )
    assert (msg.expires, msg.min_expires, msg.max_breadth, msg.sip_etag, msg.sip_if_match) == (
        60,
        61,
        62,
        "e1",
        "e2",
    )


def test_transfers() -> None:
    msg = message(
        "Refer-To: <sip:c@h?Replaces=1%40h%3Bto-tag%3Dx%3Bfrom-tag%3Dy%3Bearly-only>\r\nReferred-By: sip:a@h\r\n"
        "Refer-Sub: false\r\nReplaces: 1@h;from-tag=y;to-tag=x\r\nJoin: 2@h;from-tag=y;to-tag=x\r\n"
        "Target-Dialog: 3@h;local-tag=l;remote-tag=r\r\n"
    )
    assert msg.replaces is not None
    assert (msg.replaces.call_id, msg.replaces.to_tag, msg.replaces.from_tag) == ("1@h", "x", "y")
    assert msg.refer_to is not None
    embedded = Replaces.from_uri(msg.refer_to.uri)
    assert embedded == Replaces("1@h", "x", "y", early_only=True)
    assert embedded is not None
    assert embedded.early_only
    assert msg.referred_by is not None
    assert Replaces.from_uri(msg.referred_by.uri) is None
    assert msg.refer_sub is False
    assert str(msg.join) == "2@h;from-tag=y;to-tag=x"
    assert msg.target_dialog == TargetDialog("3@h", "l", "r")


def test_identity_history_and_data() -> None:
    msg = message(
        'P-Asserted-Identity: "Al" <sip:a@h>, tel:+15550100;ext=1\r\nP-Preferred-Identity: <sip:x@h>\r\nPrivacy: id;critical\r\n'
        "Remote-Party-ID: <sip:a@h>;party=calling;screen=yes;privacy=full\r\n"
        "History-Info: <sip:b@h>;index=1, <sip:b@1.2.3.4;cause=302?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1.1;mp=1\r\n"
        "Diversion: <sip:d@h>;reason=user-busy;counter=2;limit=3;privacy=off;screen=no\r\n"
        "User-to-User: 4869;encoding=hex;purpose=isdn-uui;content=isdn-uui\r\n"
        'Geolocation: <cid:p1@h>\r\nGeolocation-Routing: yes\r\nGeolocation-Error: 100;code="Cannot"\r\n'
    )
    assert [str(one) for one in msg.asserted_identities] == ['"Al" <sip:a@h>', "<tel:+15550100;ext=1>"]
    assert [one.uri.scheme for one in msg.asserted_identities] == ["sip", "tel"]
    assert msg.preferred_identities[0].uri_text == "sip:x@h"
    assert msg.privacy is not None
    assert "ID" in msg.privacy
    assert msg.privacy.values == ["id", "critical"]
    assert msg.withheld_from_untrusted == [
        "P-Preferred-Identity",
        "P-Asserted-Identity",
        "Remote-Party-ID",
        "History-Info",
    ]
    party = msg.remote_party_ids[0]
    assert (party.party, party.screen, party.privacy, party.is_private) == ("calling", "yes", "full", True)
    assert party.address.uri_text == "sip:a@h"
    first, second = msg.history_info
    assert (first.index, first.target, first.cause, first.reasons, first.privacy) == (
        "1",
        None,
        None,
        [],
        None,
    )
    assert (second.index, second.target, second.cause) == ("1.1", ("mp", "1"), 302)
    assert second.reasons == [Reason("SIP", 302)]
    assert second.privacy == Privacy("history")
    assert second.address.uri.user == "b"
    diverted = msg.diversions[0]
    assert (diverted.reason, diverted.counter, diverted.limit) == ("user-busy", 2, 3)
    assert (diverted.privacy, diverted.screen, diverted.address.uri.user) == ("off", "no", "d")
    data = msg.user_to_user[0]
    assert (data.data, data.encoding, data.purpose, data.content, data.decode()) == (
        "4869",
        "hex",
        "isdn-uui",
        "isdn-uui",
        b"Hi",
    )
    assert msg.geolocations[0].uri_text == "cid:p1@h"
    assert msg.geolocation_routing is True
    assert msg.geolocation_error is not None
    assert (msg.geolocation_error.code, msg.geolocation_error.text) == (100, "Cannot")


def test_words() -> None:
    msg = message(
        "k: timer, 100rel\r\nRequire: path\r\nUnsupported: x\r\nAllow: INVITE, BYE\r\nu: dialog\r\n"
    )
    assert (msg.supported, msg.required, msg.unsupported) == (["timer", "100rel"], ["path"], ["x"])
    assert (msg.allowed, msg.allowed_events) == (["INVITE", "BYE"], ["dialog"])
    assert msg.supports("100REL")
    assert msg.supports("path")
    assert msg.requires("Path")
    assert not msg.requires("timer")
    assert msg.allows("BYE") is True
    assert msg.allows("UPDATE") is False
    assert msg.allows("no method") is False


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("Session-Expires: soon", "session_expires"),
        ("Min-SE: soon", "min_se"),
        ("Event: ;id=1", "event"),
        ("Subscription-State: ;reason=x", "subscription_state"),
        ("Replaces: 1@h;to-tag=x", "replaces"),
        ("Refer-To: <sip:a@h>\r\nRefer-To: <sip:a@h>", "refer_to"),
        ("Replaces: 1;to-tag=x;from-tag=y\r\nReplaces: 1;to-tag=x;from-tag=y", "replaces"),
        ("RAck: 1 INVITE", "rack"),
        ("Reason: SIP;cause=x", "reasons"),
        ("Retry-After: soon", "retry_after"),
        ("P-Asserted-Identity: <sip:a@h", "asserted_identities"),
        ('Privacy: "id"', "privacy"),
        ("History-Info: <sip:a@h>;index=x", "history_info"),
        ("Diversion: <sip:a@h>;counter=x", "diversions"),
        ('User-to-User: "a', "user_to_user"),
        ("Geolocation-Error: none", "geolocation_error"),
    ],
)
def test_what_cannot_be_read_raises_with_the_name(field: str, name: str) -> None:
    with pytest.raises(HeaderError, match=field.split(":", maxsplit=1)[0]):
        getattr(message(f"{field}\r\n"), name)


BUILT: list[tuple[str, HeaderField, str]] = [
    ("Session-Expires", SessionExpires(1800, "uas"), "1800;refresher=uas"),
    ("Event", EventPackage("dialog", id="1"), "dialog;id=1"),
    (
        "Subscription-State",
        SubscriptionState("terminated", reason="noresource", retry_after=1),
        "terminated;reason=noresource;retry-after=1",
    ),
    ("Replaces", Replaces("1@h", "x", "y", early_only=True), "1@h;to-tag=x;from-tag=y;early-only"),
    ("Join", Join("1@h", "x", "y"), "1@h;to-tag=x;from-tag=y"),
    ("Target-Dialog", TargetDialog("1@h", "x", "y"), "1@h;local-tag=x;remote-tag=y"),
    ("RAck", RAck(7, 1, "INVITE"), "7 1 INVITE"),
    (
        "Reason",
        Reason("SIP", 200, 'Call "done", elsewhere'),
        'SIP;cause=200;text="Call \\"done\\", elsewhere"',
    ),
    ("Retry-After", RetryAfter(5, "a (b)", duration=6), "5 (a \\(b\\));duration=6"),
    ("Privacy", Privacy("id", "critical"), "id;critical"),
    (
        "Remote-Party-ID",
        RemotePartyId(Address.parse("Al <sip:a@h>"), party="calling", privacy="off"),
        '"Al" <sip:a@h>;party=calling;privacy=off',
    ),
    ("History-Info", HistoryInfo(Address.parse("sip:b@h"), "1.1", rc="1"), "<sip:b@h>;index=1.1;rc=1"),
    (
        "Diversion",
        Diversion(Address.parse("<tel:+1>;x=y"), "out of office", counter=1),
        '<tel:+1>;reason="out of office";counter=1;x=y',
    ),
    ("User-to-User", UserToUser(b"Hi", purpose="isdn-uui"), "4869;purpose=isdn-uui;encoding=hex"),
    ("User-to-User", UserToUser("a; b"), '"a; b"'),
    ("User-to-User", UserToUser("4869", encoding="hex"), "4869;encoding=hex"),
    ("Geolocation-Error", GeolocationError(100, "Cannot"), '100;code="Cannot"'),
]


@pytest.mark.parametrize(("name", "value", "text"), BUILT)
def test_what_is_built_is_sent_and_read_back(name: str, value: HeaderField, text: str) -> None:
    assert str(value) == text
    assert text in repr(value)
    assert header_list({name: value}) == [(name, text)]
    assert header_list({name: [value, "x"]}) == [(name, text), (name, "x")]
    assert header_list([(name, value)]) == [(name, text)]
    draft = DraftHeaders({name: value})
    draft.add("X-Other", value)
    draft[name] = value
    assert draft.getall("X-Other") == draft.getall(name) == [text]
    assert message(f"{name}: {text}\r\n").header(name) == text
    assert hash(value) == hash(value)
    assert value != "x"


def test_what_cannot_be_built_raises() -> None:
    with pytest.raises(HeaderError, match="not one word"):
        Reason("SIP;cause=1")
    with pytest.raises(HeaderError, match="not one word"):
        EventPackage("a b")
    with pytest.raises(HeaderError, match="not one word"):
        Replaces("1@h", "x;y", "z")
    with pytest.raises(HeaderError, match="Call-ID"):
        Replaces("a b", "x", "y")
    with pytest.raises(HeaderError, match="Privacy"):
        Privacy()
    with pytest.raises(HeaderError, match="index"):
        HistoryInfo(Address.parse("sip:b@h"), "one")
    with pytest.raises(ValueError, match="rc, mp and np"):
        HistoryInfo(Address.parse("sip:b@h"), "1", rc="1", mp="1")
    with pytest.raises(ValueError, match="refresher"):
        SessionExpires(90, "me")  # type: ignore[arg-type]
    with pytest.raises(HeaderError, match="hexadecimal"):
        UserToUser("xyz", encoding="hex").decode()
    with pytest.raises(TypeError, match="bytes"):
        UserToUser(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not text"):
        header_list({"X": object()})  # type: ignore[arg-type]


def test_requests_and_responses_have_the_same_properties() -> None:
    class View(RequestView):
        msg: Message

    view = View()
    view.msg = message("Replaces: 1@h;to-tag=x;from-tag=y\r\nSupported: timer\r\nReason: Q.850;cause=16\r\n")
    names = [
        name
        for name in dir(Message)
        if not name.startswith("_") and isinstance(getattr(Message, name), type(Message.body))
    ]
    missing = [name for name in names if not hasattr(RequestView, name)]
    # Those that a view has in another shape.
    assert sorted(missing) == ["is_request", "reason", "record_routes", "routes", "status", "vias"]
    for name in names:
        if name not in missing and name not in ("uri", "via", "contacts"):
            assert getattr(view, name) == getattr(view.msg, name), name
    assert view.supports("timer")
    assert not view.requires("timer")
    assert view.allows("BYE") is None
    assert view.body_part("text/plain") is None
    assert view.body_part_by_id("x") is None
