"""A server with a private address behind a NAT; phones behind another, on IPv6, on TCP, public, and beside the server.

Each calls each other, messages within the call reach both ends, and every segment carries the right addresses.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.phone import Leg, Received
from tests.conformance.sip import Sip, param, uri_of
from tests.namespaces.conftest import KNOWS_FLOWS, REGISTRAR_KEEPS_FLOWS, SERVER
from tests.namespaces.phones import DistantPhone
from tests.namespaces.places import Places
from tests.namespaces.serving import LISTEN, dracht, serving
from tests.namespaces.wire import Frame, Wire

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
TYPE = ("Content-Type", "application/sdp")


def host_port(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def place_of(uri: str) -> str:
    """Host and port of a URI, with the port it has when it names none."""
    found = re.search(r"sips?:(?:[^@]*@)?(\[[^]]*\]|[^:;>?]+)(?::(\d+))?", uri)
    assert found, uri
    return f"{found[1]}:{found[2] or 5060}"


def sent_by(message: Sip) -> str:
    """Host and port of the top Via."""
    found = re.match(r"SIP/2\.0/\w+ (\[[^]]*\]|[^:;]+)(?::(\d+))?", message["Via"])
    assert found, message
    return f"{found[1]}:{found[2] or 5060}"


async def answered(caller: Leg, callee: DistantPhone, *, within: bool = False) -> tuple[Received, Sip]:
    """An INVITE, new or within the call, answered and acknowledged; as the callee got it, and the answer as the caller did."""
    await caller.send("INVITE", TYPE, body=SDP)
    invite = await callee.expect("INVITE")
    callee.reply(invite, 180)
    await caller.phone.expect(180)
    callee.reply(invite, 200, TYPE, body=SDP)
    answer = await caller.phone.expect(200, of="INVITE")
    if within:
        await caller.send("ACK", cseq=answer.cseq)  # the route set stays that of the call (RFC 3261 §12.2)
    else:
        await caller.ack(answer)
    await callee.expect("ACK")
    return invite, answer


async def ended(by: Leg, other: DistantPhone) -> None:
    await by.send("BYE")
    other.reply(await other.expect("BYE"), 200)
    await by.phone.expect(200, of="BYE")


async def a_call(caller: DistantPhone, callee: DistantPhone, caller_ends: bool) -> None:
    """A call with a re-INVITE from each side, and what the two see of the server."""
    leg = caller.to(callee.user)
    invite, answer = await answered(leg, callee)
    assert sent_by(invite) == host_port(callee.server), f"{callee.user} is to answer there\n{invite}"
    assert place_of(invite.values("Record-Route")[0]) == host_port(callee.server), f"{callee.user}\n{invite}"
    assert place_of(answer.values("Record-Route")[-1]) == host_port(caller.server), f"{caller.user}\n{answer}"
    ok = next(one.message for one in reversed(callee.record) if one.sent and one.message.status == 200)
    other = Leg.answering(callee, invite, ok)
    await answered(other, caller, within=True)
    await answered(leg, callee, within=True)
    await (ended(leg, callee) if caller_ends else ended(other, caller))
    assert caller.unexpected() == callee.unexpected() == []


@contextmanager
def told_by(wire: Wire, folder: Path, what: str) -> Iterator[None]:
    """A failure says what crossed the Internet meanwhile, and what the server logged."""
    before = len(wire.messages())
    try:
        yield
    except AssertionError as error:
        crossed = [f"{one.source} > {one.target}\n{one.message}" for one in wire.messages()[before:]]
        logs = [log.read_text(errors="replace") for log in folder.glob("*.log")]
        raise AssertionError("\n\n".join([f"{what}: {error}", *crossed, *logs])) from error


@pytest.fixture(params=["embedded", "served"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.skipif(
    not REGISTRAR_KEEPS_FLOWS, reason="the registrar keeps no way back to a phone behind a NAT yet"
)
async def test_everybody_calls_everybody(
    way: str, places: Places, phones: dict[str, DistantPhone], tmp_path: Path
) -> None:
    internet, behind = Wire(places.full("internet")), Wire(places.full("nat2"), "inside")
    try:
        with serving(places, way, tmp_path, "registrar"):
            for phone in phones.values():
                await phone.register()
            for one, other in itertools.permutations(phones.values(), 2):
                for caller_ends in (True, False):
                    with told_by(internet, tmp_path, f"{one.user} calls {other.user}"):
                        await a_call(one, other, caller_ends)
        nothing_private_on_the_internet(internet.messages())
        each_over_its_own_transport(internet.messages())
        answers_find_the_way_through_the_nat(internet.messages(), behind.messages())
    finally:
        internet.close()
        behind.close()


def nothing_private_on_the_internet(frames: list[Frame]) -> None:
    """What the server says of itself there is its public address; packets bear no private address at all."""
    own = {host_port(SERVER["public"]), host_port(SERVER["six"])}
    from_server = [one for one in frames if one.source in own]
    assert len(from_server) > 100
    assert not [one for one in frames if re.match(r"10\.|192\.168\.", one.source + " " + one.target)]
    for frame in from_server:
        if frame.message.is_request:
            assert sent_by(frame.message) == frame.source, frame.message
            routes = frame.message.values("Record-Route")
            assert not routes or place_of(routes[0]) == frame.source, frame.message


def each_over_its_own_transport(frames: list[Frame]) -> None:
    """The phone on TCP got and sent everything by TCP, the one on IPv6 everything by IPv6."""
    carried: dict[str, set[str]] = {}
    for frame in frames:
        for end in (frame.source, frame.target):
            carried.setdefault(end.rpartition(":")[0], set()).add(frame.transport)
    assert carried["203.0.113.40"] == {"tcp"}
    assert carried["203.0.113.50"] == {"udp"}
    assert carried["[2001:db8:1::60]"] == {"udp"}


def answers_find_the_way_through_the_nat(internet: list[Frame], behind: list[Frame]) -> None:
    """The NAT gave the phone behind it another address and port; `received` and `rport` say which (RFC 3581 §4)."""
    outside = {one.source for one in internet if one.source.startswith("203.0.113.20:")}
    assert outside
    assert "203.0.113.20:5060" not in outside, "this NAT changes ports"
    answers = [one for one in behind if one.target == "192.168.7.2:5060" and not one.message.is_request]
    assert len(answers) > 10
    for frame in answers:
        assert sent_by(frame.message) == "192.168.7.2:5060"
        seen = f"{param(frame.message['Via'], 'received')}:{param(frame.message['Via'], 'rport')}"
        assert seen in outside, frame.message
    assert {one.source for one in behind if one.target == "192.168.7.2:5060"} == {"203.0.113.10:5060"}


@pytest.mark.skipif(not KNOWS_FLOWS, reason="local networks are not told apart yet")
async def test_an_application_that_answers_is_reached_where_it_says(
    places: Places, phones: dict[str, DistantPhone], tmp_path: Path
) -> None:
    with serving(places, "embedded", tmp_path, "uas"):
        for phone in phones.values():
            leg = phone.to("anybody")
            await leg.send("INVITE", TYPE, body=SDP)
            answer = await phone.expect(200, of="INVITE")
            target = uri_of(answer["Contact"])
            assert place_of(target) == host_port(phone.server), f"{phone.user}\n{answer}"
            await leg.ack(answer)  # to the request-URI that Contact gave
            await leg.send("BYE")
            await phone.expect(200, of="BYE")


async def test_a_port_that_the_nat_forwards_as_another_is_advertised(
    places: Places, phones: dict[str, DistantPhone], tmp_path: Path
) -> None:
    outside = ("203.0.113.10", 35080)
    listen = "sip:10.10.0.5:5080;transport=udp;advertise=203.0.113.10:35080"
    with serving(places, "embedded", tmp_path, "uas", listen):
        for name in ("public", "home"):
            leg = phones[name].leg(outside, "sip:anybody@203.0.113.10:35080")
            await leg.send("INVITE", TYPE, body=SDP)
            answer = await phones[name].expect(200, of="INVITE")
            assert answer.source == outside
            assert place_of(uri_of(answer["Contact"])) == host_port(outside), answer
            await leg.ack(answer)
            await leg.send("BYE")
            await phones[name].expect(200, of="BYE")


@pytest.mark.skipif(not KNOWS_FLOWS, reason="local networks are not told apart yet")
async def test_the_doctor_says_what_the_phones_are_told(
    places: Places, phones: dict[str, DistantPhone], tmp_path: Path
) -> None:
    listen = [part for one in LISTEN for part in ("--listen", one)]
    done = dracht(
        places,
        "doctor",
        *listen,
        "--json",
        "--peer",
        "203.0.113.50",
        "--peer",
        "2001:db8:1::60",
        "--peer",
        "10.10.0.20",
    )
    document = json.loads(done.stdout)
    told = {(one["listener"].partition(" ")[0], one["address"]): one for one in document["seen"]}
    with serving(places, "embedded", tmp_path, "uas"):
        for name in ("public", "six", "office"):
            phone = phones[name]
            leg = phone.to("anybody")
            await leg.send("INVITE", TYPE, body=SDP)
            answer = await phone.expect(200, of="INVITE")
            assert answer["Contact"] == told["udp", phone.host]["contact"]
            await leg.ack(answer)
            await leg.send("BYE")
            await phone.expect(200, of="BYE")
    assert "private-address" not in [one["check"] for one in document["findings"]]
    without = json.loads(
        dracht(places, "doctor", "--listen", "sip:*:5060", "--peer", "203.0.113.50", "--json").stdout
    )
    assert "private-address" in [one["check"] for one in without["findings"]]
