"""Every request is answered, whatever its handler does, and what is awaited twice, early or late is told the truth."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest
from dracht import CommandFailed, Request, RequestTimeout, Response, SipError
from dracht.linelimit import LineLimit

from tests.conformance.phone import Phone
from tests.conformance.station import Stations, eventually


async def test_a_sip_error_is_the_answer(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        raise SipError(403, "Not You", headers={"X-Why": "because"})

    station = await stations.start(handler, "options")
    await phone.leg(station.address).send("OPTIONS")
    answer = await phone.expect(403)
    assert (answer.reason, answer["X-Why"]) == ("Not You", "because")
    assert phone.ladder == ["> OPTIONS", "< 403"]


async def test_any_other_error_is_a_500(
    stations: Stations, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(req: Request, res: Response) -> None:
        await asyncio.sleep(0)
        raise KeyError("of the application")

    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    refusal = await phone.expect(500)
    await leg.refused(invite, refusal)
    assert b"KeyError" not in refusal.data, "the traceback is logged, never sent"
    assert any(record.exc_info and record.exc_info[0] is KeyError for record in caplog.records)
    assert phone.ladder == ["> INVITE", "< 500", "> ACK"]


async def test_returning_without_an_answer_is_a_500(
    stations: Stations, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    async def forgetful(req: Request, res: Response) -> None:
        res.send(180)

    station = await stations.start(forgetful, "invite")
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    await phone.expect(180)
    await leg.refused(invite, await phone.expect(500))
    assert any("forgetful" in record.getMessage() for record in caplog.records), "the log names the handler"
    assert phone.ladder == ["> INVITE", "< 180", "< 500", "> ACK"]


async def test_an_error_after_the_answer_is_only_logged(
    stations: Stations, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(200)
        raise ValueError("too late")

    station = await stations.start(handler, "options")
    await phone.leg(station.address).send("OPTIONS")
    await phone.expect(200)
    await eventually(lambda: [one for one in caplog.records if one.levelno >= logging.ERROR])
    assert phone.ladder == ["> OPTIONS", "< 200"]


async def test_a_second_answer_raises(stations: Stations, phone: Phone) -> None:
    raised: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        await res.send(200)
        try:
            await res.send(486)
        except CommandFailed as error:
            raised.append(error.code)

    station = await stations.start(handler, "options")
    await phone.leg(station.address).send("OPTIONS")
    await phone.expect(200)
    await eventually(lambda: raised)
    assert raised == ["already-answered"]
    assert phone.ladder == ["> OPTIONS", "< 200"]


async def test_a_header_that_cannot_be_sent_raises_and_another_answer_goes_out(
    stations: Stations, phone: Phone
) -> None:
    async def handler(req: Request, res: Response) -> None:
        with pytest.raises(ValueError, match="line"):
            await res.send(200, headers={"X-Bad": "one\r\nX-Injected: two"})
        await res.send(200, headers={"X-Good": "one"})

    station = await stations.start(handler, "options")
    await phone.leg(station.address).send("OPTIONS")
    answer = await phone.expect(200)
    assert (answer["X-Good"], answer.get("X-Injected")) == ("one", None)


async def test_a_refused_answer_of_the_engine_leaves_room_for_another(
    stations: Stations, phone: Phone
) -> None:
    codes: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        try:
            await res.send(183, reliable=True)
        except CommandFailed as error:
            codes.append(error.code)
        await res.send(421)

    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE")
    await leg.refused(invite, await phone.expect(421))
    assert codes == ["no-100rel"]
    assert phone.ladder == ["> INVITE", "< 421", "> ACK"]


async def test_an_invite_without_a_contact_gets_400_when_it_is_answered(
    stations: Stations, phone: Phone
) -> None:
    codes: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        for status in (180, 200):
            try:
                await res.send(status)
            except CommandFailed as error:
                codes.append(error.code)

    station = await stations.start(handler, "invite")
    leg = phone.leg(station.address)
    invite = await leg.send("INVITE", contact=False)
    refusal = await phone.expect(400)
    assert refusal.reason == "Missing Contact"
    await leg.refused(invite, refusal)
    await eventually(lambda: len(codes) == 2)
    assert codes[0] == "no-contact"
    assert phone.ladder == ["> INVITE", "< 400", "> ACK"]


async def test_callers_without_a_contact_write_few_lines_and_no_fault_of_the_application(
    stations: Stations, phone: Phone, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dracht.linelimit.time", SimpleNamespace(monotonic=lambda: 5.0))
    monkeypatch.setattr("dracht.handler._PEERS", LineLimit())
    asked: list[Request] = []

    async def handler(req: Request, res: Response) -> None:
        asked.append(req)
        await res.send(180)

    station = await stations.start(handler, "invite")
    for _ in range(20):
        leg = phone.leg(station.address)
        await leg.refused(await leg.send("INVITE", contact=False), await phone.expect(400))
    await eventually(lambda: len(asked) == 20 and all(req._task is None for req in asked))
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 10, [record.getMessage() for record in lines]
    for record in lines:
        assert record.exc_info is None
        assert (
            "has no Contact that says where its sender is reached: it can make no dialog, and got 400"
            in record.getMessage()
        )


async def test_a_dropped_request_gets_no_answer(stations: Stations, phone: Phone) -> None:
    async def handler(req: Request, res: Response) -> None:
        if "scanner" in req.headers.get("User-Agent", ""):
            req.drop()
        else:
            await res.send(200)

    station = await stations.start(handler, "options", application_timeout=0.3)
    await phone.leg(station.address).send("OPTIONS", ("User-Agent", "friendly-scanner"))
    await phone.leg(station.address).send("OPTIONS")
    await phone.expect(200)
    # It is forgotten when its repetitions have ceased, not when the application's time is up.
    await eventually(lambda: station.counts()["server_transactions"] == 0)
    assert phone.ladder == ["> OPTIONS", "> OPTIONS", "< 200"], "and no 408 (RFC 4320 §4.2)"
    assert station.counts()["unanswered"] == 0, "over either link it is the application's word"


async def test_an_answer_without_ack_is_repeated_and_then_the_call_is_ended(
    stations: Stations, phone: Phone
) -> None:
    told: list[object] = []

    async def handler(req: Request, res: Response) -> None:
        if req.method == "BYE":
            told.append((req.generated, req.headers["Reason"]))
            return
        sent = await res.send(200)
        with pytest.raises(RequestTimeout):
            await sent.acked()
        told.append("no ack")

    station = await stations.start(handler, "invite", t1=0.01, t2=0.04)
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    answer = await phone.expect(200)
    bye = await phone.expect("BYE")
    phone.reply(bye, 200)
    await eventually(lambda: len(told) == 2, told)
    assert bye.tag("From") == answer.tag("To")
    assert phone.count("200") > 3
    assert "no ack" in told
    assert any(one != "no ack" and one[0] and "ACK" in one[1] for one in told), told  # type: ignore[index]
