"""Kamailio behind our proxy, and before our registrar: both stay in the path, the route set of both ends has both."""

from __future__ import annotations

import pytest
from dracht import App, Request, Response

from tests.conformance.sip import Sip, unmarked, uri_of
from tests.interop.conftest import RealStations
from tests.interop.party import Party
from tests.interop.peers import kamailio
from tests.interop.peers.kamailio import relayed
from tests.interop.peers.process import Peers, steps
from tests.interop.sdp import sdp

pytestmark = pytest.mark.peer("kamailio")


async def test_a_call_through_our_proxy_and_kamailio_behind_it(stations: RealStations, peers: Peers) -> None:
    caller, callee = Party(), Party()
    for party in (caller, callee):
        party.station = await stations.start(party.handler, "invite")
    behind = await kamailio.start(peers, "proxy", target=callee.uri)
    app = App()

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await req.proxy(f"sip:service@{behind.address}", record_route=True)

    ours = "{}:{}".format(*(await stations.start(app)).address)
    answer = await caller.call(f"sip:service@{ours}")
    assert answer.status == 200
    await callee.saw("INVITE ACK")
    routes = [uri_of(value) for value in answer.msg.values("Record-Route")]
    assert routes[0].split(";")[0] == f"sip:{behind.address}"
    assert unmarked(routes[1]) == f"sip:{ours};lr"
    assert [uri_of(value) for value in callee.last("INVITE").msg.values("Record-Route")] == routes

    assert (await caller.within(answer.dialog_id, "INVITE", sdp(version=2))).status == 200
    await callee.saw("INVITE ACK INVITE ACK")
    dtmf = {"Content-Type": "application/dtmf-relay"}
    assert (await callee.within(callee.dialog, "INFO", "Signal=1\r\n", headers=dtmf)).status == 200
    await callee.hang_up(callee.dialog)

    await caller.saw("INFO BYE")
    await behind.expect(relayed("INVITE 180 200 ACK INVITE 200 ACK INFO 200 BYE 200"))
    # From the caller: our proxy took its own Route off, Kamailio's is left. From the callee: Kamailio's own first, then ours.
    came = behind.messages("INVITE", sent=False)[1]
    assert routes_of(came) == [routes[0]]
    came, went = (behind.message("BYE", sent=sent) for sent in (False, True))
    assert routes_of(came) == routes
    assert routes_of(went) == [routes[1]]
    assert len(caller.last("BYE").msg.values("Via")) == 3


def routes_of(message: Sip) -> list[str]:
    """The URIs of its Route header fields, in order."""
    return [uri_of(part) for value in message.all("Route") for part in value.split(",")]


async def test_kamailio_in_the_path_of_our_registrar(stations: RealStations, peers: Peers) -> None:
    registered: dict[str, tuple[str, list[str]]] = {}
    app = App()

    @app.register
    async def register(req: Request, res: Response) -> None:
        contact = req.contacts[0]
        registered[req.to.uri.user or ""] = (str(contact.uri), req.msg.values("Path"))
        # RFC 3327 §5.3: the Path goes back to who supports it.
        await res.send(
            200,
            headers={"Contact": f"{contact};expires=60", "Path": req.msg.values("Path"), "Supported": "path"},
        )

    registrar = "{}:{}".format(*(await stations.start(app)).address)
    edge = await kamailio.start(peers, "edge", target=f"sip:{registrar}")
    phone, caller = Party(), Party()
    for party in (phone, caller):
        party.station = await stations.start(party.handler, "invite")
    bob = f"sip:bob@{registrar}"
    headers = {"From": f"<{bob}>;tag=1", "To": f"<{bob}>", "Contact": f"<{phone.uri}>", "Supported": "path"}
    sent = await phone.agent.request(bob, "REGISTER", headers=headers, next_hop=f"sip:{edge.address}")
    accepted = await sent.final()
    assert accepted.status == 200
    await edge.expect(relayed("REGISTER 200"))
    path = edge.message("REGISTER", sent=True)["Path"]
    assert uri_of(path).startswith(f"sip:edge@{edge.address};")
    assert accepted.msg.values("Path") == [path]
    assert registered == {"bob": (phone.uri, [path])}

    # RFC 3327 §5.3: what is sent to the binding has the Path as its Route.
    uri, stored = registered["bob"]
    answer = await caller.call(uri, headers={"Route": ", ".join(stored)})
    assert answer.status == 200
    await caller.hang_up(answer.dialog_id)
    await phone.saw("INVITE ACK BYE")
    await edge.expect(relayed("INVITE 180 200 ACK BYE 200"), "INVITE", "ACK", "BYE")
    came, went = (edge.message("INVITE", sent=sent) for sent in (False, True))
    assert routes_of(came) == [uri_of(path)]
    assert went.get("Route") is None
    assert came.uri == went.uri == phone.uri


async def test_our_proxy_in_the_path_of_kamailios_registrar(stations: RealStations, peers: Peers) -> None:
    registrar = await kamailio.start(peers, "registrar")
    app = App()

    @app.register
    async def register(req: Request, res: Response) -> None:
        await req.proxy(f"sip:{registrar.address}", record_route=True)

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await req.proxy(record_route=True)  # by the Route that Kamailio made of our Path, to the request-URI

    edge = "{}:{}".format(*(await stations.start(app)).address)
    phone, caller = Party(), Party()
    for party in (phone, caller):
        party.station = await stations.start(party.handler, "invite")
    bob = f"sip:bob@{registrar.address}"
    headers = {"From": f"<{bob}>;tag=1", "To": f"<{bob}>", "Contact": f"<{phone.uri}>", "Supported": "path"}
    sent = await phone.agent.request(
        f"sip:{registrar.address}",
        "REGISTER",
        headers=headers,
        next_hop=f"sip:{edge}",
        auth=("bob", "secret"),
    )
    accepted = await sent.final()
    assert accepted.status == 200
    assert [uri_of(value) for value in accepted.msg.values("Path")] == [f"sip:{edge};lr"]
    await registrar.expect(steps("<REGISTER >401 <REGISTER >200"))
    assert uri_of(registrar.message("REGISTER", sent=False)["Path"]) == f"sip:{edge};lr"

    answer = await caller.call(bob, auth=("alice", "secret"))
    assert answer.status == 200
    await phone.saw("INVITE ACK")
    await caller.hang_up(answer.dialog_id)
    await phone.saw("INVITE ACK BYE")
    await registrar.expect(
        steps("<INVITE >407 <ACK <INVITE >INVITE <180 >180 <200 >200 <ACK >ACK <BYE >BYE <200 >200"),
        *("INVITE", "ACK", "BYE"),
    )
    invite_out = registrar.message("INVITE", sent=True)
    assert routes_of(invite_out) == [f"sip:{edge};lr"]
    assert invite_out.uri == phone.uri
    first, second = (uri_of(value) for value in phone.last("INVITE").msg.values("Record-Route"))
    assert unmarked(first) == f"sip:{edge};lr"
    assert second.split(";")[0] == f"sip:{registrar.address}"
    assert "Route" not in phone.last("INVITE").headers
