"""Subscriptions, REFER, publications and the requests that need no answer of an application, over both links and on the wire."""

from __future__ import annotations

import asyncio

import pytest
from dracht import App, Request, RequestRefused, Response
from dracht.compositor import Publications
from dracht.referral import accept_refer
from dracht.subscription import Subscription

from tests.conformance.phone import Leg, Phone, Received
from tests.conformance.sip import Sip, uri_of
from tests.conformance.station import Station, Stations, eventually, nobody

REFER_TO = ("Refer-To", "<sip:carol@192.0.2.3>")


def notifier(phone: Phone, asked: Received, answer: Sip) -> Leg:
    """The notifier's end of a subscription that was accepted."""
    leg = Leg.answering(phone, asked, answer)
    leg.target = uri_of(asked["Contact"])
    return leg


async def notify(leg: Leg, event: str, state: str, body: bytes = b"", status: int = 200) -> Received:
    """A NOTIFY, and its answer."""
    fields = [("Event", event), ("Subscription-State", state), ("Contact", f"<{leg.phone.uri}>")]
    sent = await leg.send("NOTIFY", *fields, body=body)
    answer = await leg.phone.expect(status, of="NOTIFY")
    assert answer.branch == sent.branch
    return answer


async def subscribed(station: Station, phone: Phone, expires: int = 600) -> tuple[Subscription, Leg]:
    """A subscription at the phone, accepted and active."""
    subscription = station.agent.subscribe(phone.uri, event="presence", expires=expires)
    starting = asyncio.create_task(subscription.start())
    asked = await phone.expect("SUBSCRIBE")
    assert (asked["Event"], asked["Expires"]) == ("presence", str(expires))
    leg = notifier(phone, asked, phone.reply(asked, 200, ("Expires", str(expires))))
    await starting
    await notify(leg, "presence", f"active;expires={expires}", b"one")
    assert (await anext(subscription)).body == b"one"
    return subscription, leg


@pytest.fixture
async def asker(stations: Stations) -> Station:
    """A station that only sends."""
    return await stations.start(nobody)


async def test_a_subscription_is_notified_and_unsubscribed(asker: Station, phone: Phone) -> None:
    subscription, leg = await subscribed(asker, phone)
    await notify(leg, "presence", "active;expires=500", b"two")
    assert (await anext(subscription)).body == b"two"
    assert 490 < subscription.expires_in <= 500
    leaving = asyncio.create_task(subscription.unsubscribe())
    last = await phone.expect("SUBSCRIBE")
    assert (last["Expires"], last["Call-ID"]) == ("0", leg.call_id)
    phone.reply(last, 200, ("Expires", "0"))
    await notify(leg, "presence", "terminated;reason=timeout")
    await leaving
    assert [one.state async for one in subscription] == ["terminated"]
    assert phone.ladder[-4:] == ["< SUBSCRIBE", "> 200", "> NOTIFY", "< 200"]


async def test_a_notifier_ends_a_subscription(asker: Station, phone: Phone) -> None:
    subscription, leg = await subscribed(asker, phone)
    await notify(leg, "presence", "terminated;reason=noresource")
    assert [one.reason async for one in subscription] == ["noresource"]
    assert subscription.over is not None
    assert not subscription.over.may_retry
    await notify(leg, "presence", "active", status=481)


async def test_a_notify_that_overtakes_the_answer_is_the_subscription_s(asker: Station, phone: Phone) -> None:
    starting = asyncio.create_task(asker.agent.subscribe(phone.uri, event="presence").start())
    asked = await phone.expect("SUBSCRIBE")
    early = Leg(phone, asker.address, uri_of(asked["Contact"]))
    early.call_id, early.local, early.remote = asked["Call-ID"], f"{asked['To']};tag=early", asked["From"]
    await notify(early, "presence", "active;expires=600", b"early")
    phone.reply(asked, 200, ("Expires", "600"), tag="early")
    subscription = await starting
    assert (await anext(subscription)).body == b"early"
    await notify(early, "presence", "terminated;reason=noresource")


async def test_another_fork_s_subscription_is_refused(asker: Station, phone: Phone) -> None:
    subscription, leg = await subscribed(asker, phone)
    other = Leg(phone, asker.address, leg.target)
    other.call_id, other.remote = leg.call_id, leg.remote
    other.local = f"{leg.local.partition(';tag=')[0]};tag=another"
    await notify(other, "presence", "active;expires=600", status=481)
    await notify(leg, "presence", "terminated;reason=noresource")
    assert (await anext(subscription)).state == "terminated"


async def test_a_refused_subscription_is_raised(asker: Station, phone: Phone) -> None:
    starting = asyncio.create_task(asker.agent.subscribe(phone.uri, event="nothing").start())
    phone.reply(await phone.expect("SUBSCRIBE"), 489, ("Allow-Events", "presence"))
    with pytest.raises(RequestRefused) as refused:
        await starting
    assert refused.value.status == 489


async def test_a_subscription_that_nobody_refreshes_is_ended_by_the_engine(
    stations: Stations, phone: Phone
) -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(200, headers={"Expires": "1"})
        await req.agent.request(
            method="NOTIFY",
            dialog=req.dialog_id,
            headers={"Event": "presence", "Subscription-State": "active;expires=1"},
        )

    station = await stations.start(handler, "subscribe")
    ends: list[tuple[str, bool, str]] = []
    station.agent.on_subscription_ended(lambda end: ends.append((end.event, end.is_notifier, end.reason)))
    leg = phone.leg(station.address)
    await leg.send("SUBSCRIBE", ("Event", "presence"), ("Expires", "1"))
    await phone.expect(200)
    first = await phone.expect("NOTIFY")
    phone.reply(first, 200)
    last = await phone.expect("NOTIFY")
    assert (last["Event"], last["Subscription-State"]) == ("presence", "terminated;reason=timeout")
    phone.reply(last, 200)
    if station.embedded:
        await eventually(lambda: ends == [("presence", True, "expired")], lambda: ends)


async def test_a_referral_in_a_call_is_followed(asker: Station, phone: Phone) -> None:
    calling = asyncio.create_task(asker.agent.request(phone.uri, "INVITE", body="v=0\r\n"))
    invite = await phone.expect("INVITE")
    leg = Leg.answering(
        phone, invite, phone.reply(invite, 200, ("Content-Type", "application/sdp"), body=b"v=0\r\n")
    )
    answer = await (await calling).final()
    await answer.ack()
    await phone.expect("ACK")

    async def leave() -> None:
        async with asker.agent.refer(dialog=answer.dialog_id, refer_to="sip:carol@192.0.2.3"):
            pass

    leaving = asyncio.create_task(leave())
    phone.reply(await phone.expect("REFER"), 202)
    await leaving
    # Left before an outcome: the recipient is told so.
    await notify(leg, "refer", "active;expires=60", b"SIP/2.0 100 Trying\r\n", status=481)

    asking = asyncio.create_task(
        asker.agent.refer(dialog=answer.dialog_id, refer_to="sip:carol@192.0.2.3").start()
    )
    refer = await phone.expect("REFER")
    assert refer["Refer-To"] == "<sip:carol@192.0.2.3>"
    phone.reply(refer, 202)
    referral = await asking
    event = f"refer;id={refer.cseq}"
    for state, line in (
        ("active;expires=60", b"SIP/2.0 100 Trying\r\n"),
        ("active;expires=60", b"SIP/2.0 180 Ringing\r\n"),
        ("terminated;reason=noresource", b"SIP/2.0 200 OK\r\n"),
    ):
        await notify(leg, event, state, line)
    outcome = await referral.outcome(timeout=5)
    assert (outcome.status, outcome.ok) == (200, True)
    assert [one.status async for one in referral] == [100, 180, 200]
    ending = asyncio.create_task(asker.agent.request(method="BYE", dialog=answer.dialog_id))
    phone.reply(await phone.expect("BYE"), 200)
    assert (await (await ending).final()).status == 200


async def test_a_refer_is_accepted_and_told_of(stations: Stations, phone: Phone) -> None:
    targets: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        if req.method != "REFER":
            await res.send(200)
            return
        referred = await accept_refer(req, res)
        targets.append(referred.target)
        await referred.notify(180)
        await referred.notify(486)

    station = await stations.start(handler, "refer")
    leg = phone.leg(station.address)
    refer = await leg.send("REFER", REFER_TO)
    accepted = await phone.expect(202)
    leg.learn(accepted)
    told = [await phone.expect("NOTIFY") for _ in range(3)]
    for one in told:
        assert one["Event"] == f"refer;id={refer.cseq}"
        assert one["Content-Type"] == "message/sipfrag;version=2.0"
        phone.reply(one, 200)
    assert [one.body for one in sorted(told, key=lambda one: one.cseq)] == [
        b"SIP/2.0 100 Trying\r\n",
        b"SIP/2.0 180 Ringing\r\n",
        b"SIP/2.0 486 Busy Here\r\n",
    ]
    assert max(told, key=lambda one: one.cseq)["Subscription-State"] == "terminated;reason=noresource"
    assert targets == ["sip:carol@192.0.2.3"]


async def test_a_refer_without_a_subscription_leaves_nothing(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        referred = await accept_refer(req, res, status=200)
        assert not referred.followed
        assert await referred.notify(200) is None

    station = await stations.start(handler, "refer")
    await phone.leg(station.address).send(
        "REFER", REFER_TO, ("Refer-Sub", "false"), ("Supported", "norefersub")
    )
    assert (await phone.expect(200))["Refer-Sub"] == "false"
    await phone.leg(station.address).send("REFER")
    await phone.expect(400)


async def test_a_call_is_replaced(stations: Stations, phone: Phone) -> None:
    app = App()

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        old = req.replaced
        sent = await res.send(200, headers={"Content-Type": "application/sdp"}, body="v=0\r\n")
        await sent.acked()
        if old is not None:
            assert not old.early
            await old.end()

    station = await stations.start(app)
    first = phone.leg(station.address)
    await first.send("INVITE")
    answer = await phone.expect(200)
    await first.ack(answer)
    await eventually(lambda: len(app.calls) == 1)
    tags = f"to-tag={answer.tag('To')};from-tag={answer.tag('From')}"
    for value, status in (
        (f"{first.call_id};{tags};early-only", 486),
        (f"unknown;{tags}", 481),
        (f"{first.call_id};to-tag=x;from-tag=y", 481),
        ("nonsense", 400),
    ):
        refused = phone.leg(station.address)
        await refused.refused(await refused.send("INVITE", ("Replaces", value)), await phone.expect(status))
    second = phone.leg(station.address)
    await second.send("INVITE", ("Replaces", f"{first.call_id};{tags}"))
    await second.ack(await phone.expect(200))
    bye = await phone.expect("BYE")
    assert bye["Call-ID"] == first.call_id
    phone.reply(bye, 200)
    await eventually(lambda: len(app.calls) == 1)
    late = phone.leg(station.address)
    await late.refused(
        await late.send("INVITE", ("Replaces", f"{first.call_id};{tags}")), await phone.expect(603)
    )
    await second.send("BYE")
    await phone.expect(200, of="BYE")


async def test_a_call_that_rings_is_replaced(stations: Stations, phone: Phone) -> None:
    app = App()
    statuses: list[int] = []

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        old = req.replaced
        assert old is not None
        assert old.early
        sent = await res.send(200, headers={"Content-Type": "application/sdp"}, body="v=0\r\n")
        await sent.acked()
        await old.end()

    station = await stations.start(app)
    callee = await stations.phone()
    tx = await app.request(callee.uri, "INVITE", body="v=0\r\n")
    ringing = await callee.expect("INVITE")
    there = callee.reply(ringing, 180)
    async for response in tx:
        statuses.append(response.status)
        break
    leg = phone.leg(station.address)
    tags = f"to-tag={there.tag('From')};from-tag={there.tag('To')}"
    await leg.send("INVITE", ("Replaces", f"{ringing['Call-ID']};{tags};early-only"))
    await leg.ack(await phone.expect(200))
    cancel = await callee.expect("CANCEL")
    callee.reply(cancel, 200, contact=False)
    callee.reply(ringing, 487, contact=False)
    await callee.expect("ACK")
    assert (await tx.final()).status == 487
    await leg.send("BYE")
    await phone.expect(200, of="BYE")


async def test_event_state_is_published_and_kept(stations: Stations, phone: Phone) -> None:
    changes: list[list[bytes]] = []
    publications = Publications(
        ["presence"], on_change=lambda resource, event, states: changes.append([one.body for one in states])
    )
    station = await stations.start(publications, "publish")
    publication = await station.agent.publish(
        station.uri, "open", event="presence", content_type="text/plain", expires=120
    )
    assert [one.body for one in publications.states(station.uri, "presence")] == [b"open"]
    first = publication.etag
    await publication.modify("closed")
    assert publication.etag != first
    await publication.remove()
    assert changes == [[b"open"], [b"closed"], []]
    # The same from a phone, message by message.
    leg = phone.leg(station.address)
    kind = ("Content-Type", "text/plain")
    await leg.send("PUBLISH", ("Event", "presence"), ("Expires", "90"), kind, body=b"x")
    answer = await phone.expect(200)
    assert answer["Expires"] == "90"
    assert answer.get("Contact") is None
    await leg.send("PUBLISH", ("Event", "presence"), ("SIP-If-Match", "wrong"))
    await phone.expect(412)
    await leg.send("PUBLISH", ("Event", "presence"), ("SIP-If-Match", answer["SIP-ETag"]), ("Expires", "0"))
    assert (await phone.expect(200))["Expires"] == "0"
    await leg.send("PUBLISH", ("Event", "dialog"), kind, body=b"x")
    assert (await phone.expect(489))["Allow-Events"] == "presence"
    assert len(publications) == 0


async def test_a_compositor_that_forgot_gets_it_anew(asker: Station, phone: Phone) -> None:
    publishing = asyncio.create_task(
        asker.agent.publish(phone.uri, "open", event="presence", content_type="text/plain").start()
    )
    phone.reply(await phone.expect("PUBLISH"), 423, ("Min-Expires", "7200"))
    first = await phone.expect("PUBLISH")
    assert first["Expires"] == "7200"
    phone.reply(first, 200, ("SIP-ETag", "a"), ("Expires", "7200"))
    publication = await publishing
    changing = asyncio.create_task(publication.modify("closed"))
    change = await phone.expect("PUBLISH")
    assert (change["SIP-If-Match"], change.body) == ("a", b"closed")
    phone.reply(change, 412)
    again = await phone.expect("PUBLISH")
    assert (again.get("SIP-If-Match"), again.body) == (None, b"closed")
    phone.reply(again, 200, ("SIP-ETag", "b"))
    await changing
    removing = asyncio.create_task(publication.remove())
    last = await phone.expect("PUBLISH")
    assert (last["SIP-If-Match"], last["Expires"], last.body) == ("b", "0", b"")
    phone.reply(last, 200)
    await removing


async def test_what_an_application_answers_by_itself(stations: Stations, phone: Phone) -> None:
    app = App()

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await (await res.send(200, body="v=0\r\n")).acked()

    @app.message
    async def message(req: Request, res: Response) -> None:
        await res.send(202)

    @app.options
    async def options(req: Request, res: Response) -> None:
        await res.send(200, headers={"Allow": "MESSAGE"})

    station = await stations.start(app)
    # MESSAGE outside a dialog makes none, and its answer has no Contact (RFC 3428 §4, §7).
    outside = phone.leg(station.address)
    await outside.send("MESSAGE", ("Content-Type", "text/plain"), body=b"hello")
    assert (await phone.expect(202)).get("Contact") is None
    assert station.counts()["dialogs"] == 0
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    await leg.ack(await phone.expect(200))
    await leg.send("MESSAGE", ("Content-Type", "text/plain"), body=b"hello")
    assert (await phone.expect(202)).get("Contact") is None
    await leg.send("INFO", ("Content-Type", "application/dtmf-relay"), body=b"Signal=5\r\n")
    await phone.expect(200, of="INFO")
    await leg.send("INFO", ("Info-Package", "foo"))
    refused = await phone.expect(469)
    assert refused.get("Recv-Info") == ""
    await leg.send("OPTIONS")
    assert (await phone.expect(200, of="OPTIONS"))["Allow"] == "MESSAGE"
    await leg.send("BYE")
    await phone.expect(200, of="BYE")


async def test_info_packages_pass(stations: Stations, phone: Phone) -> None:
    app = App()
    seen: list[str | None] = []

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        seen.append(req.headers.get("Recv-Info"))
        await (await res.send(200, headers={"Recv-Info": "foo, bar"}, body="v=0\r\n")).acked()

    @app.info
    async def info(req: Request, res: Response) -> None:
        seen.append(req.headers.get("Info-Package"))
        await res.send(200)

    station = await stations.start(app)
    leg = phone.leg(station.address)
    await leg.send("INVITE", ("Recv-Info", "foo"))
    answer = await phone.expect(200)
    assert answer["Recv-Info"] == "foo, bar"
    await leg.ack(answer)
    await leg.send("INFO", ("Info-Package", "foo"), ("Content-Disposition", "Info-Package"), body=b"")
    await phone.expect(200, of="INFO")
    assert seen == ["foo", "foo"]
    await leg.send("BYE")
    await phone.expect(200, of="BYE")


async def test_options_tell_what_an_application_takes(stations: Stations, phone: Phone) -> None:
    app = App()

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await (await res.send(200, body="v=0\r\n")).acked()

    station = await stations.start(app)
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    await leg.ack(await phone.expect(200))
    await leg.send("OPTIONS")
    answer = await phone.expect(200, of="OPTIONS")
    assert answer["Allow"] == "ACK, BYE, CANCEL, INVITE, OPTIONS, PRACK"
    assert (answer["Accept"], answer["Supported"]) == ("application/sdp", "100rel")
    await leg.send("BYE")
    await phone.expect(200, of="BYE")


async def test_a_message_is_sent_without_a_contact(asker: Station, phone: Phone) -> None:
    tx = await asker.agent.request(phone.uri, "MESSAGE", headers={"Content-Type": "text/plain"}, body="hello")
    message = await phone.expect("MESSAGE")
    assert (message.get("Contact"), message.body) == (None, b"hello")
    phone.reply(message, 200, contact=False)
    assert (await tx.final()).status == 200
