"""Kamailio as the proxy between two of ours, in the path of every request by its Record-Route."""

from __future__ import annotations

import asyncio

import pytest
from dracht import Request, Response
from dracht.transaction import IncomingResponse

from tests.conformance.sip import uri_of
from tests.conformance.station import Station
from tests.interop.conftest import RealStations
from tests.interop.peers import kamailio
from tests.interop.peers.kamailio import Kamailio
from tests.interop.peers.process import Peers, eventually
from tests.interop.sdp import direction, sdp

pytestmark = pytest.mark.peer("kamailio")


class Side:
    """One of ours: answers what comes, and keeps it."""

    station: Station

    def __init__(self) -> None:
        self.seen: list[Request] = []

    async def handler(self, req: Request, res: Response) -> None:
        self.seen.append(req)
        if req.method == "INVITE" and req.is_new_invite:
            await res.send(183, body=sdp(), reliable=True).acked()
            await res.send(200, body=sdp()).acked()
        elif req.method in ("INVITE", "UPDATE"):
            answer = {"sendonly": "recvonly", "inactive": "inactive"}.get(direction(req.body), "sendrecv")
            await res.send(200, body=sdp(answer))
        elif req.method == "REFER":
            await res.send(202)
        else:
            await res.send(200)

    @property
    def methods(self) -> list[str]:
        return [req.method for req in self.seen]

    def last(self, method: str) -> Request:
        return next(req for req in reversed(self.seen) if req.method == method)

    @property
    def contact(self) -> str:
        host, port = self.station.address
        return f"{host}:{port}"


async def call(caller: Side, callee: Side, proxy: Kamailio) -> IncomingResponse:
    """Calls with 100rel through the proxy; the 200, acknowledged."""
    invite = await caller.station.agent.request(
        f"sip:callee@{callee.contact}",
        "INVITE",
        headers={"Supported": "100rel"},
        body=sdp(),
        next_hop=f"sip:{proxy.address}",
    )
    async for response in invite:
        if response.status == 183:
            assert (await (await response.prack()).final()).status == 200
    answer = await invite.final()
    assert answer.status == 200
    await answer.ack()
    return answer


async def within(
    side: Side, dialog: object, method: str, body: bytes | str = b"", **headers: str
) -> IncomingResponse:
    """A request of `side` in the dialog; its final response, acknowledged."""
    sent = await side.station.agent.request(
        method=method,
        dialog=dialog,  # type: ignore[arg-type]
        body=body,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    final = await sent.final()
    if method == "INVITE" and final.ok:
        await final.ack()
    return final


@pytest.fixture
async def sides(stations: RealStations) -> tuple[Side, Side]:
    """Caller and callee."""
    caller, callee = Side(), Side()
    caller.station = await stations.start(caller.handler, "invite")
    callee.station = await stations.start(callee.handler, "invite")
    return caller, callee


def assert_in_the_path(proxy: Kamailio, method: str, *, to: Side) -> None:
    """The last request of that method had the proxy as its Route, and reached the target without."""
    came, went = proxy.message(method, sent=False), proxy.message(method, sent=True)
    assert uri_of(came["Route"]).startswith(f"sip:{proxy.address};"), str(came)
    assert went.get("Route") is None, str(went)
    assert to.contact in came.uri, "the request-URI is the peer's Contact from the beginning (RFC 3261 §12.2.1.1)"
    assert came.uri == went.uri
    assert len(went.all("Via")) == 2, str(went)
    assert int(went["Max-Forwards"]) == int(came["Max-Forwards"]) - 1


async def test_a_call_with_everything_in_it_through_its_record_route(
    sides: tuple[Side, Side], peers: Peers
) -> None:
    caller, callee = sides
    proxy = await kamailio.start(peers, "proxy")
    answer = await call(caller, callee, proxy)
    incoming = callee.last("INVITE").dialog_id
    assert uri_of(answer.headers["Record-Route"]).startswith(f"sip:{proxy.address};")

    hold = await within(caller, answer.dialog_id, "INVITE", sdp("sendonly", version=2))
    assert (hold.status, direction(hold.body)) == (200, "recvonly")
    resume = await within(callee, incoming, "INVITE", sdp(version=2))
    assert (resume.status, direction(resume.body)) == (200, "sendrecv")
    update = await within(caller, answer.dialog_id, "UPDATE", sdp("sendonly", version=3))
    assert (update.status, direction(update.body)) == (200, "recvonly")
    info = await within(callee, incoming, "INFO", "Signal=5\r\n", Content_Type="application/dtmf-relay")
    assert info.status == 200
    message = await within(caller, answer.dialog_id, "MESSAGE", "hello", Content_Type="text/plain")
    assert message.status == 200
    bye = await within(callee, incoming, "BYE")
    assert bye.status == 200

    assert callee.methods == ["INVITE", "INVITE", "UPDATE", "MESSAGE"]
    assert caller.methods == ["INVITE", "INFO", "BYE"]
    assert callee.last("MESSAGE").body == b"hello"
    await proxy.expect(
        relayed("INVITE 183 PRACK 200 200 ACK INVITE 200 ACK INVITE 200 ACK UPDATE 200 INFO 200 MESSAGE 200 BYE 200")
    )
    for method in ("PRACK", "UPDATE", "MESSAGE"):
        assert_in_the_path(proxy, method, to=callee)
    for method in ("ACK", "INVITE", "INFO", "BYE"):
        assert_in_the_path(proxy, method, to=caller)


def relayed(labels: str) -> list[str]:
    """The ladder of a proxy that relays these, one after the other."""
    return [f"{way} {label}" for label in labels.split() for way in "<>"]


async def test_a_cancel_through_the_proxy(stations: RealStations, peers: Peers) -> None:
    ringing: list[Request] = []

    async def handler(req: Request, res: Response) -> None:
        ringing.append(req)
        await res.send(180)
        await asyncio.Event().wait()

    caller, callee = Side(), Side()
    caller.station = await stations.start(caller.handler, "invite")
    callee.station = await stations.start(handler, "invite")
    proxy = await kamailio.start(peers, "proxy")
    invite = await caller.station.agent.request(
        f"sip:callee@{callee.contact}", "INVITE", body=sdp(), next_hop=f"sip:{proxy.address}"
    )
    async for response in invite:
        if response.status == 180:
            await invite.cancel()
    assert (await invite.final()).status == 487
    assert ringing[0].cancelled
    # The CANCEL is answered at once, hop by hop; so is the 487 acknowledged (RFC 3261 §16.10, §17.1.1.3).
    await proxy.expect(["< INVITE", "> INVITE", "< 180", "> 180", "< 487", "> ACK", "> 487", "< ACK"], "INVITE", "ACK")
    assert sorted(proxy.ladder("CANCEL")) == ["< 200", "< CANCEL", "> 200", "> CANCEL"]
    assert proxy.message("CANCEL", sent=True).branch == proxy.message("INVITE", sent=True).branch




async def test_a_refer_and_its_notify_through_the_proxy(sides: tuple[Side, Side], peers: Peers) -> None:
    caller, callee = sides
    proxy = await kamailio.start(peers, "proxy")
    answer = await call(caller, callee, proxy)
    incoming = callee.last("INVITE").dialog_id
    refer = await within(caller, answer.dialog_id, "REFER", Refer_To="<sip:third@127.0.0.1:9>")
    assert refer.status == 202
    notify = await within(
        callee,
        incoming,
        "NOTIFY",
        "SIP/2.0 200 OK\r\n",
        Event="refer",
        Subscription_State="terminated;reason=noresource",
        Content_Type="message/sipfrag;version=2.0",
    )
    assert notify.status == 200
    assert (await within(caller, answer.dialog_id, "BYE")).status == 200
    await eventually(lambda: callee.methods == ["INVITE", "REFER", "BYE"], lambda: callee.methods)
    assert caller.methods == ["NOTIFY"]
    assert caller.last("NOTIFY").body == b"SIP/2.0 200 OK\r\n"
    await proxy.expect(relayed("REFER 202 NOTIFY 200 BYE 200"), "REFER", "NOTIFY", "BYE")
    assert_in_the_path(proxy, "REFER", to=callee)
    assert_in_the_path(proxy, "NOTIFY", to=caller)
