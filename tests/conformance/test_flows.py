"""Flows (RFC 5626), over both links: whoever spoke to us is reached by the way it came, whatever its Contact says; what is
relayed within a call has to prove that the call passed here; each peer sees an address of ours that it can reach."""

from __future__ import annotations

from typing import Any

import pytest
from dracht import CommandFailed, Network, ProxyTarget, Request, Response

from tests.conformance.phone import Leg, Phone
from tests.conformance.station import Station, Stations, eventually, nobody

# Nothing that is there: whoever tries to reach it by its address fails.
NOWHERE = "sip:nobody@192.0.2.77;transport=tcp"


class Registrar:
    """Keeps the flow of whoever registers."""

    def __init__(self) -> None:
        self.flow: str | None = None
        self.behind_nat: bool | None = None

    async def __call__(self, req: Request, res: Response) -> None:
        self.flow, self.behind_nat = req.flow, req.behind_nat
        await res.send(200)


async def registered(
    stations: Stations, transport: str, **options: Any
) -> tuple[Registrar, Station, Phone, Leg]:
    registrar = Registrar()
    station = await stations.start(registrar, "register", **options)
    phone = await stations.phone(transport=transport)
    leg = phone.leg(station.address)
    await leg.send("REGISTER")
    await phone.expect(200)
    return registrar, station, phone, leg


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_request_goes_down_the_flow_of_an_earlier_one(stations: Stations, transport: str) -> None:
    registrar, station, phone, _ = await registered(stations, transport)
    assert registrar.flow is not None
    transaction = await station.agent.request(NOWHERE, "OPTIONS", flow=registrar.flow)
    options = await phone.expect("OPTIONS")
    assert options.uri == NOWHERE, "the flow says where to, not what for"
    assert options.source == station.address, (
        "over the connection that the phone opened, or from the same port"
    )
    assert options.get("Route") is None
    phone.reply(options, 200)
    assert (await transaction.final()).status == 200


async def test_a_flow_that_is_gone_and_one_that_never_was_are_told_apart(stations: Stations) -> None:
    registrar, station, phone, _ = await registered(stations, "tcp")
    flow = registrar.flow
    assert flow is not None
    forged = flow[:-2] + ("AA" if flow[-2:] != "AA" else "BB")
    for wrong, code in ((forged, "flow-forged"), ("drfAAAA", "flow-forged")):
        with pytest.raises(CommandFailed) as failed:
            await station.agent.request(NOWHERE, "OPTIONS", flow=wrong)
        assert failed.value.code == code
    for useless in ("", "a b", "sip:a@b"):
        with pytest.raises(ValueError, match="no flow"):
            await station.agent.request(NOWHERE, "OPTIONS", flow=useless)
    for writer in phone._streams.values():
        writer.close()
    await eventually(lambda: station.counts()["flows"] == 0)
    with pytest.raises(CommandFailed) as failed:
        await station.agent.request(NOWHERE, "OPTIONS", flow=flow)
    assert failed.value.code == "flow-failed"


async def test_who_waits_for_an_answer_learns_at_once_that_the_connection_ended(stations: Stations) -> None:
    registrar, station, phone, _ = await registered(stations, "tcp")
    transaction = await station.agent.request(NOWHERE, "OPTIONS", flow=registrar.flow)
    await phone.expect("OPTIONS")
    for writer in phone._streams.values():
        writer.close()
    assert (await transaction.final()).status == 430


async def test_a_target_is_reached_down_its_flow_and_so_are_later_requests(stations: Stations) -> None:
    flows: list[str | None] = []

    async def handler(req: Request, res: Response) -> None:
        if req.method == "REGISTER":
            flows.append(req.flow)
            await res.send(200)
        else:
            await req.proxy(ProxyTarget(NOWHERE, flow=flows[0]), record_route=True)

    station = await stations.start(handler, "register", "invite")
    callee = await stations.phone(transport="tcp")
    await callee.leg(station.address).send("REGISTER")
    await callee.expect(200)
    caller = await stations.phone()
    leg = caller.leg(station.address)
    await leg.send("INVITE")
    invite = await callee.expect("INVITE")
    assert (invite.uri, invite.source) == (NOWHERE, station.address)
    # Its Contact leads nowhere, as behind a NAT: the route has to do.
    answer = callee.reply(invite, 200, ("Contact", f"<{NOWHERE}>"), contact=False)
    await leg.ack(await caller.expect(200))
    assert (await callee.expect("ACK")).source == station.address
    await leg.send("BYE")
    bye = await callee.expect("BYE")
    assert bye.source == station.address
    callee.reply(bye, 200)
    await caller.expect(200)
    assert answer.status == 200


async def call_through(stations: Stations, **options: Any) -> tuple[Station, Phone, Phone, Leg]:
    callee = await stations.phone()

    async def handler(req: Request, res: Response) -> None:
        await req.proxy(callee.uri, record_route=True)

    station = await stations.start(handler, "invite", **options)
    caller = await stations.phone()
    leg = caller.leg(station.address)
    await leg.send("INVITE")
    callee.reply(await callee.expect("INVITE"), 200)
    await leg.ack(await caller.expect(200))
    await callee.expect("ACK")
    return station, caller, callee, leg


async def test_only_who_has_the_mark_of_a_call_is_relayed_within_it(stations: Stations) -> None:
    _, caller, callee, leg = await call_through(stations)
    assert len(leg.routes) == 1
    marked, leg.call_id = leg.call_id, "another-call"
    await leg.send("INFO")
    await caller.expect(403)
    leg.call_id = marked
    marks, leg.routes = leg.routes, [f"<sip:127.0.0.1:{leg.server[1]};lr>"]
    await leg.send("INFO")
    await caller.expect(403)
    leg.routes = marks
    await leg.send("BYE")
    callee.reply(await callee.expect("BYE"), 200)
    await caller.expect(200)


async def test_a_server_with_the_same_secret_goes_on_with_a_call(stations: Stations) -> None:
    """As after a restart; here it is another one, with another port in the route."""
    network = Network(relay_secret="a long text that nobody guesses")
    first, caller, callee, leg = await call_through(stations, network=network)
    second = await stations.start(nobody, "invite", network=network)
    other = await stations.start(nobody, "invite", network=Network(relay_secret="another"))
    assert first.address != second.address
    route = leg.routes[0]
    for station, status in ((other, 403), (second, 200)):
        leg.server = station.address
        leg.routes = [route.replace(f":{first.address[1]};", f":{station.address[1]};")]
        await leg.send("INFO")
        if status == 200:
            callee.reply(await callee.expect("INFO"), 200)
        await caller.expect(status)
    leg.routes, leg.server = [route], first.address
    await leg.send("BYE")
    callee.reply(await callee.expect("BYE"), 200)
    await caller.expect(200)


@pytest.mark.parametrize("rules", [("contact_private",), ()])
async def test_a_phone_behind_a_nat_is_called_back_where_it_speaks_from(
    stations: Stations, rules: tuple[str, ...]
) -> None:
    seen: list[bool] = []
    dialogs: list[Any] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.behind_nat)
        await res.send(200)
        dialogs.append(req.dialog_id)

    network = Network(local_networks=(), nat=rules)  # type: ignore[arg-type]
    station = await stations.start(handler, "invite", network=network)
    phone = await stations.phone()
    leg = phone.leg(station.address)
    # What it says where it is means nothing here.
    leg.phone = _Elsewhere(phone, "sip:phone@10.99.99.99:5060")  # type: ignore[assignment]
    await leg.send("INVITE")
    await leg.ack(await phone.expect(200))
    await eventually(lambda: dialogs)
    assert seen == [bool(rules)]
    if rules:
        transaction = await station.agent.request(method="BYE", dialog=dialogs[0])
        bye = await phone.expect("BYE")
        assert bye.uri == "sip:phone@10.99.99.99:5060"
        phone.reply(bye, 200)
        assert (await transaction.final()).status == 200
    else:
        await leg.send("BYE")
        await phone.expect(200)


class _Elsewhere:
    """A phone that says it is elsewhere."""

    def __init__(self, phone: Phone, uri: str) -> None:
        self._phone = phone
        self.uri = uri

    def __getattr__(self, name: str) -> Any:
        return getattr(self._phone, name)


async def answering(req: Request, res: Response) -> None:
    await res.send(200)


async def shown(phone: Phone, server: tuple[str, int]) -> str:
    """The Contact of the answer to a call to this address."""
    leg = phone.leg(server)
    await leg.send("INVITE")
    answer = await phone.expect(200)
    assert answer.source == server
    await leg.ack(answer)
    await leg.send("BYE")
    await phone.expect(200)
    return answer["Contact"]


async def test_a_local_peer_sees_the_bound_address_and_others_the_advertised_one(stations: Stations) -> None:
    network = Network(local_networks=("127.0.0.2/32",))
    station = await stations.start(
        answering, "invite", "bye", advertise="sip.example.com:5099", network=network
    )
    bound = f"<sip:127.0.0.1:{station.address[1]}>"
    for host, contact in (("127.0.0.2", bound), ("127.0.0.1", "<sip:sip.example.com:5099>")):
        assert await shown(await stations.phone(host), station.address) == contact


async def test_a_listener_on_every_address_shows_the_one_that_was_spoken_to(stations: Stations) -> None:
    station = await stations.start(answering, "invite", "bye", listen=("sip:*:0;transport=udp",))
    for host in ("127.0.0.1", "127.0.0.7"):
        server = (host, station.address[1])
        assert await shown(await stations.phone(), server) == f"<sip:{host}:{server[1]}>"
