"""What an application says is what its peer reads, and the other way round: any text, any bytes, any size, any transport."""

from __future__ import annotations

import pytest
from dracht import CommandFailed, Request, Response

from tests.conformance.phone import Phone
from tests.conformance.station import Stations, eventually, nobody

EVERY_BYTE = bytes(range(256)) * 4
WORDS = "Grüße, 日本語 🎉 — «ça va»"


async def test_utf8_in_header_fields_and_bodies_both_ways(stations: Stations, phone: Phone) -> None:
    seen: list[tuple[str, str, bytes, str | None]] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append((req.headers["Subject"], req.headers["X-Words"], req.body, req.from_.display))
        await res.send(
            200, "Sehr schön", headers={"Subject": WORDS, "Content-Type": "text/plain"}, body=WORDS
        )

    station = await stations.start(handler, "message")
    leg = phone.leg(station.address)
    leg.local = f'"Jürgen Groß" {leg.local}'
    await leg.send(
        "MESSAGE", ("Subject", WORDS), ("X-Words", WORDS), ("Content-Type", "text/plain"), body=WORDS.encode()
    )
    answer = await phone.expect(200)
    assert seen == [(WORDS, WORDS, WORDS.encode(), "Jürgen Groß")]
    assert (answer.reason, answer["Subject"], answer.body) == ("Sehr schön", WORDS, WORDS.encode())
    assert int(answer["Content-Length"]) == len(WORDS.encode())


async def test_utf8_in_requests_of_ours_and_their_answers(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(
        phone.uri, "MESSAGE", headers={"Subject": WORDS, "Content-Type": "text/plain"}, body=WORDS
    )
    message = await phone.expect("MESSAGE")
    assert (message["Subject"], message.body) == (WORDS, WORDS.encode())
    phone.reply(message, 200, ("Subject", WORDS), ("Content-Type", "text/plain"), body=WORDS.encode())
    final = await tx.final()
    assert (final.headers["Subject"], final.body) == (WORDS, WORDS.encode())


async def test_bodies_of_any_bytes_both_ways(stations: Stations, phone: Phone) -> None:
    seen: list[bytes] = []
    fields = {"Content-Type": "application/octet-stream"}

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.body)
        tx = await station.agent.request(phone.uri, "INFO", headers=fields, body=req.body)
        assert (await tx.final()).body == EVERY_BYTE
        await res.send(200, headers=fields, body=req.body)

    station = await stations.start(handler, "message")
    await phone.leg(station.address).send("MESSAGE", *fields.items(), body=EVERY_BYTE)
    info = await phone.expect("INFO")
    phone.reply(info, 200, *fields.items(), body=EVERY_BYTE)
    assert (await phone.expect(200)).body == info.body == EVERY_BYTE
    assert seen == [EVERY_BYTE]


async def test_a_large_body_over_tcp_both_ways(stations: Stations) -> None:
    body = EVERY_BYTE * 60
    fields = {"Content-Type": "application/octet-stream"}

    async def handler(req: Request, res: Response) -> None:
        assert req.transport == "tcp"
        await res.send(200, headers=fields, body=req.body)

    station = await stations.start(handler, "message")
    phone = await stations.phone(transport="tcp")
    await phone.leg(station.address).send("MESSAGE", *fields.items(), body=body)
    assert (await phone.expect(200)).body == body
    tx = await station.agent.request(phone.uri, "MESSAGE", headers=fields, body=body)
    message = await phone.expect("MESSAGE")
    assert message["Via"].startswith("SIP/2.0/TCP ")
    phone.reply(message, 200, *fields.items(), body=body)
    assert message.body == (await tx.final()).body == body


async def test_a_request_too_large_for_udp_goes_over_tcp(stations: Stations, phone: Phone) -> None:
    """RFC 3261 §18.1.1."""
    station = await stations.start(nobody)
    body = b"x" * 2000
    tx = await station.agent.request(phone.uri, "MESSAGE", headers={"Content-Type": "text/plain"}, body=body)
    message = await phone.expect("MESSAGE")
    assert (message["Via"][:12], message.body) == ("SIP/2.0/TCP ", body)
    phone.reply(message, 200)
    assert (await tx.final()).status == 200


async def test_a_call_over_tcp(stations: Stations) -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(200)

    station = await stations.start(handler, "invite")
    phone = await stations.phone(transport="tcp")
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    answer = await phone.expect(200)
    assert "transport=tcp" in answer["Contact"]
    await leg.ack(answer)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    assert phone.ladder == ["> INVITE", "< 200", "> ACK", "> BYE", "< 200"]
    assert phone.count("200") == 2, "nothing is repeated"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_over_ipv6(stations: Stations, transport: str) -> None:
    async def handler(req: Request, res: Response) -> None:
        assert req.source[0] == "::1"
        await res.send(200)

    station = await stations.start(handler, "invite", listen=("sip:[::1]:0;transport=udp,tcp",))
    phone = await stations.phone("::1", transport)
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    answer = await phone.expect(200)
    assert f"[::1]:{station.address[1]}" in answer["Contact"]
    await leg.ack(answer)
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    tx = await station.agent.request(phone.uri, "OPTIONS")
    options = await phone.expect("OPTIONS")
    assert "[::1]:" in options["Via"]
    phone.reply(options, 200)
    assert (await tx.final()).status == 200


async def test_several_values_stay_several(stations: Stations, phone: Phone) -> None:
    seen: list[tuple[list[str], list[str]]] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append((req.headers.getall("X-Many"), req.headers.getlist("Supported")))
        await res.send(
            200, headers=[("X-Many", "one"), ("X-Many", 'two, "three, four"'), ("Allow", "INVITE, ACK")]
        )

    station = await stations.start(handler, "options")
    await phone.leg(station.address).send(
        "OPTIONS",
        ("X-Many", "a, b"),
        ("Supported", "timer,  100rel"),
        ("X-Many", '"c, d"'),
        ("k", "path"),
    )
    answer = await phone.expect(200)
    assert seen == [(["a, b", '"c, d"'], ["timer", "100rel", "path"])]
    assert answer.all("X-Many") == ["one", 'two, "three, four"']


async def test_setting_a_header_field_replaces_it_whatever_its_case(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        res.headers["X-One"] = "first"
        res.headers["x-one"] = "second"
        res.headers.add("X-Two", "first")
        res.headers.add("X-Two", "second")
        await res.send(200, headers={"X-TWO": "only"})

    station = await stations.start(handler, "options")
    await phone.leg(station.address).send("OPTIONS")
    answer = await phone.expect(200)
    assert (answer.all("X-One"), answer.all("X-Two")) == (["second"], ["only"])


async def test_a_telephone_number_is_called_through_a_gateway(stations: Stations, phone: Phone) -> None:
    uri = "tel:+49-30-1234;phone-context=example.com"
    station = await stations.start(nobody)
    tx = await station.agent.request(uri, "INVITE", headers={"To": f"<{uri}>"}, next_hop=phone.uri)
    invite = await phone.expect("INVITE")
    assert (invite.uri, invite["To"], invite.get("Route")) == (uri, f"<{uri}>", None)
    phone.reply(invite, 404)
    assert (await tx.final()).status == 404
    await phone.expect("ACK")


async def test_a_request_for_a_telephone_number_is_handled_and_proxied(
    stations: Stations, phone: Phone
) -> None:
    numbers: list[str | None] = []

    async def handler(req: Request, res: Response) -> None:
        numbers.extend([req.uri.scheme, req.uri.user])
        await req.proxy(f"sip:{req.uri.user}@{gateway.address}")

    station = await stations.start(handler, "options")
    gateway = await stations.phone()
    await phone.leg(station.address).send("OPTIONS", uri="tel:+4930123456")
    options = await gateway.expect("OPTIONS")
    assert options.uri == f"sip:+4930123456@{gateway.address}"
    gateway.reply(options, 200)
    await phone.expect(200)
    assert numbers == ["tel", "+4930123456"]


async def test_an_unknown_method_of_ours(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "PING", headers={"X-Any": "thing"})
    ping = await phone.expect("PING")
    assert (ping.start.split()[0], ping["CSeq"].split()[1]) == ("PING", "PING")
    phone.reply(ping, 200)
    assert (await tx.final()).status == 200


async def test_an_unknown_method_is_handled_where_it_was_asked_for(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(200, headers={"X-Method": req.method})

    station = await stations.start(handler, "ping")
    await phone.leg(station.address).send("PING")
    assert (await phone.expect(200))["X-Method"] == "PING"
    await phone.leg(station.address).send("PONG")
    await phone.expect(405, 501, 503)


async def test_a_redirect_of_ours_names_every_contact(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(302, headers={"Contact": ["<sip:a@a.example>;q=0.9", "<sip:b@b.example>;q=0.1"]})

    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    answer = await phone.expect(302)
    await leg.refused(invite, answer)
    assert answer.all("Contact") == ["<sip:a@a.example>;q=0.9", "<sip:b@b.example>;q=0.1"]


async def test_a_redirect_to_us_is_given_to_the_application(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE")
    invite = await phone.expect("INVITE")
    phone.reply(invite, 302, ("Contact", "<sip:a@a.example>, <sip:b@b.example>"))
    final = await tx.final()
    await phone.expect("ACK")
    assert [str(one.uri) for one in final.contacts] == ["sip:a@a.example", "sip:b@b.example"]


async def test_provisional_responses_come_in_order_and_100_does_not_come(
    stations: Stations, phone: Phone
) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE")
    invite = await phone.expect("INVITE")
    phone.reply(invite, 100)
    for status in (180, 183, 181, 486):
        phone.reply(invite, status, tag="c")
    assert [response.status async for response in tx] == [180, 183, 181, 486]
    assert [response.status async for response in tx] == [180, 183, 181, 486], "however late one asks"
    await phone.expect("ACK")


async def test_a_uri_that_cannot_be_read_is_refused(stations: Stations) -> None:
    station = await stations.start(nobody)
    for uri in ("sip:", "sip:a b@example.com", "http://example.com"):
        with pytest.raises(CommandFailed):
            await station.agent.request(uri, "OPTIONS")


async def test_an_unreadable_request_is_refused_without_the_application(
    stations: Stations, phone: Phone
) -> None:
    station = await stations.start(nobody, "options")
    leg = phone.leg(station.address)
    await leg.send("OPTIONS", cseq=5, uri="sip:service@[::1")
    await phone.expect(400)
    await eventually(lambda: station.agent.idle)
