"""A request that a response asks to change is sent again by itself, when and as often as its RFC says, and stays one request."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dracht import (
    Agent,
    ClientTransaction,
    CommandFailed,
    ConnectionLost,
    Digest,
    Request,
    RequestTimeout,
    Response,
)
from dracht.link.memory import Given, MemoryLink, MemoryOrigin
from dracht.retrying import pinned_hop

from tests.unit.test_digest import URI

CHALLENGE = {"WWW-Authenticate": 'Digest realm="r", nonce="1", qop="auth"'}


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: where nothing is ready, the loop's clock jumps to its next timer."""

    loop: ClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("nothing will ever happen")
        if not ready and timeout:
            self.loop.now += timeout
        return ready


class ClockLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _Jumping()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def clocked(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs a test in a `ClockLoop`."""
    import functools
    import inspect

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        loop = ClockLoop()
        try:
            loop.run_until_complete(test(**arguments))
        finally:
            loop.close()

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run


def now() -> float:
    return asyncio.get_running_loop().time()


async def nobody(req: Request, res: Response) -> None:
    raise AssertionError(f"an agent that only sends got {req!r}")


@asynccontextmanager
async def agent() -> AsyncIterator[tuple[Agent, MemoryLink]]:
    link, made = MemoryLink(), Agent(nobody)
    await made.attach(link)
    yield made, link
    assert made.idle, "something was left behind"
    await made.close()


class Sent:
    """The requests that a test answers, one after the other."""

    def __init__(self, link: MemoryLink) -> None:
        self.link = link
        self.count = 0

    async def next(self) -> Given:
        self.count += 1
        while len(found := self.link.sent("request")) < self.count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return found[self.count - 1]

    async def answer(self, status: int, **how: Any) -> Given:
        given = await self.next()
        await asyncio.sleep(0)
        self.link.respond_to(given, status, **how)
        return given


def header(given: Given, name: str) -> str | None:
    return next((value for key, value in given.headers if key.lower() == name.lower()), None)


async def dialog_of(made: Agent, sent: Sent, dialog: str = "d1") -> Any:
    """The dialog of a call of ours."""
    tx = await made.request("sip:bob@h", "INVITE")
    await sent.answer(200, dialog=dialog, headers={"Contact": "<sip:bob@192.0.2.1>"})
    return (await tx.final()).dialog_id


# ---- 491


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("ours", [True, False])
@clocked
async def test_glare_is_tried_again_after_the_time_of_the_rfc(method: str, ours: bool) -> None:
    async with agent() as (made, link):
        sent, waits = Sent(link), []
        dialog = await dialog_of(made, sent)
        if not ours:
            made._dispatchers[0].initiated.clear()
        for _ in range(40):
            tx = await made.request(method=method, dialog=dialog, body="v=0\r\n")
            await sent.answer(491)
            assert not made.idle, "a drain waits for it"
            before = now()
            await sent.next()
            waits.append(now() - before)
            sent.count -= 1
            second = await sent.answer(200, dialog="d1")
            assert (second.dialog, second.body) == ("d1", b"v=0\r\n")
            assert (await tx.final()).status == 200
            assert [(one.cause, one.status) for one in tx.attempts] == [("first", 0), ("glare", 491)]
            assert [one.status for one in tx.responses] == [200]
        low, high = (2.1, 4.0) if ours else (0.0, 2.0)
        assert low - 0.02 <= min(waits) < max(waits) <= high + 0.02
        assert max(waits) - min(waits) > 0.5, "at random"


@clocked
async def test_glare_outside_a_dialog_or_of_another_method_or_unwanted_is_the_answer() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        dialog = await dialog_of(made, sent)
        how: list[dict[str, Any]] = [
            {"uri": "sip:bob@h", "method": "INVITE"},
            {"method": "INFO", "dialog": dialog},
            {"method": "INVITE", "dialog": dialog, "retry_glare": False},
        ]
        for one in how:
            tx = await made.request(**one)
            await sent.answer(491)
            assert (await tx.final()).status == 491


@clocked
async def test_glare_ends_some_time() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request(method="INVITE", dialog=await dialog_of(made, sent))
        for _ in range(9):
            await sent.answer(491)
        assert (await tx.final()).status == 491
        assert len(tx.attempts) == 9


def refuse_next(link: MemoryLink) -> None:
    link.fail_next("request-pending", "the peer's INVITE in this dialog is unanswered: answer it first")


@clocked
async def test_glare_that_finds_another_request_under_way_waits_once_more() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request(method="INVITE", dialog=await dialog_of(made, sent))
        await sent.answer(491)
        refuse_next(link)
        await sent.next()
        before = now()
        await asyncio.sleep(0)
        assert not made.idle, "a drain waits for it"
        given = await sent.answer(200, dialog="d1")
        assert now() - before > 2.0, "the back-off is kept"
        assert (await tx.final()).status == 200
        assert given.method == "INVITE"
        assert [one.cause for one in tx.attempts] == ["first", "glare"], "what was not sent is no attempt"


@clocked
async def test_glare_that_always_finds_another_request_under_way_ends_with_the_491() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request(method="INVITE", dialog=await dialog_of(made, sent))
        await sent.answer(491)
        for _ in range(8):
            refuse_next(link)
            await sent.next()
        assert (await tx.final()).status == 491
        assert len(link.sent("request")) == 1 + 1 + 8


@clocked
async def test_glare_that_waits_once_more_ends_when_it_is_cancelled() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request(method="INVITE", dialog=await dialog_of(made, sent))
        await sent.answer(491)
        refuse_next(link)
        await sent.next()
        await asyncio.sleep(0)
        assert await tx.cancel() is None
        assert (await tx.final()).status == 491


@clocked
async def test_a_wait_that_would_outlast_the_timeout_is_not_begun() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request(method="INVITE", dialog=await dialog_of(made, sent), timeout=2)
        began = now()
        await sent.answer(491)
        assert (await tx.final()).status == 491
        assert now() - began < 0.1


@clocked
async def test_a_cancel_between_two_attempts_ends_it() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request(method="INVITE", dialog=await dialog_of(made, sent))
        await sent.answer(491)
        assert tx.final_response is None
        assert await tx.cancel() is None
        assert (await tx.final()).status == 491
        await asyncio.sleep(10)
        assert len(link.sent("request")) == 2
        assert link.sent("cancel") == []


@pytest.mark.parametrize("how", ["task", "block", "timeout"])
@clocked
async def test_who_gives_up_between_two_attempts_is_left_alone(how: str) -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request(method="UPDATE", dialog=await dialog_of(made, sent), timeout=100)
        await sent.answer(491)
        if how == "task":
            waiting = asyncio.ensure_future(tx.final())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        elif how == "block":
            async with tx:
                pass
        else:
            with pytest.raises(RequestTimeout):
                await tx.final(timeout=0.0)
        await asyncio.sleep(10)
        assert len(link.sent("request")) == 2


@clocked
async def test_a_link_lost_between_two_attempts_is_told() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request(method="INVITE", dialog=await dialog_of(made, sent))
        await sent.answer(491)
        link.lose()
        link.restore()
        with pytest.raises(ConnectionLost):
            await tx.final()
        await asyncio.sleep(10)
        assert len(link.sent("request")) == 2


@clocked
async def test_a_dialog_that_ended_between_two_attempts_is_told() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request(method="INVITE", dialog=await dialog_of(made, sent))
        await sent.answer(491)
        link.fail_next("unknown-dialog")
        with pytest.raises(CommandFailed, match="unknown-dialog"):
            await tx.final()


# ---- 422 and 423


@clocked
async def test_a_session_interval_is_raised_to_what_is_asked_for() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        given = {"Session-Expires": "90;refresher=uac", "Supported": "timer", "From": "<sip:me@h>;tag=x"}
        tx = await made.request("sip:bob@h", "INVITE", headers=given)
        first = await sent.answer(422, headers={"Min-SE": "120"})
        second = await sent.answer(422, headers={"Min-SE": "1800 ;x=y"})
        third = await sent.answer(200, dialog="d")
        assert (await tx.final()).status == 200
        for one, seconds in ((second, "120"), (third, "1800")):
            assert header(one, "Session-Expires") == f"{seconds};refresher=uac"
            assert header(one, "Min-SE") == seconds
            assert header(one, "Supported") == "timer"
        messages = [one.msg for one in tx.attempts]
        assert [one.cseq.number for one in messages] == [1, 2, 3]
        assert len({one.call_id for one in messages}) == len({one.header("From") for one in messages}) == 1
        assert [one.cause for one in tx.attempts] == ["first", "session-interval", "session-interval"]
        assert first.headers == list(given.items())


@pytest.mark.parametrize("least", ["", "x", "90", "60", "-5", "99999999", "\u0661\u0661\u0661"])
@clocked
async def test_a_session_interval_that_makes_no_sense_is_the_answer(least: str) -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request("sip:bob@h", "INVITE", headers={"Session-Expires": "90", "Min-SE": "90"})
        await sent.answer(422, headers={"Min-SE": least} if least else None)
        assert (await tx.final()).status == 422


@clocked
async def test_a_server_that_always_wants_more_is_believed_three_times() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request("sip:bob@h", "INVITE")
        for number in range(4):
            await sent.answer(422, headers={"Min-SE": str(100 + number)})
        assert (await tx.final()).status == 422


CONTACTS = '"a;expires=5" <sip:a@h;expires=5>;q=0.5;Expires=60, <sip:b@h>;expires=0, <sip:c@h>;expires=7200'


@clocked
async def test_a_registration_lasts_as_long_as_the_registrar_wants() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request("sip:h", "REGISTER", headers={"Contact": CONTACTS, "Expires": "30"})
        await sent.answer(423, headers={"Min-Expires": "300"})
        second = await sent.answer(200)
        assert (await tx.final()).status == 200
        assert header(second, "Contact") == CONTACTS.replace("Expires=60", "Expires=300")
        assert header(second, "Expires") == "300"
        assert [one.cause for one in tx.attempts] == ["first", "interval"]


@pytest.mark.parametrize(
    ("method", "headers", "least", "expires"),
    [
        ("SUBSCRIBE", {"Expires": "60"}, "300", "300"),
        ("PUBLISH", {}, "300", "300"),
        ("REGISTER", {}, "300", "300"),
        ("REGISTER", {"Expires": "0"}, "300", None),
        ("REGISTER", {"Expires": "600"}, "300", None),
        ("REGISTER", {"Contact": "<sip:a@h>;expires=0"}, "300", "300"),
        ("REGISTER", {"Contact": "<sip:a@h>;expires=9"}, "300", ""),
        ("SUBSCRIBE", {"Expires": "60"}, "9999999999", None),
        ("SUBSCRIBE", {"Expires": "60"}, "0", None),
        ("SUBSCRIBE", {"Expires": "60"}, "x", None),
        ("OPTIONS", {"Expires": "60"}, "300", None),
    ],
)
@clocked
async def test_an_interval_is_raised_where_that_makes_sense(
    method: str, headers: dict[str, str], least: str, expires: str | None
) -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request("sip:h", method, headers=headers)
        await sent.answer(423, headers={"Min-Expires": least})
        if expires is not None:
            assert (header(await sent.answer(200), "Expires") or "") == expires
        assert (await tx.final()).status == (423 if expires is None else 200)
        assert tx.responses == [tx.final_response]


@clocked
async def test_intervals_are_the_applications_where_it_says_so() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        for status, field in ((423, "Min-Expires"), (422, "Min-SE")):
            tx = await made.request("sip:h", "REGISTER", headers={"Expires": "60"}, retry_interval=False)
            await sent.answer(status, headers={field: "300"})
            assert (await tx.final()).status == status


@pytest.mark.parametrize(
    ("status", "field"), [(420, "Unsupported"), (503, "Retry-After"), (302, "Contact"), (500, "Retry-After")]
)
@clocked
async def test_nothing_else_is_sent_again(status: int, field: str) -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request("sip:h", "OPTIONS", auth=("u", "p"))
        await sent.answer(status, headers={field: "1"})
        assert (await tx.final()).status == status
        assert len(tx.attempts) == 1


# ---- challenges


async def registered(made: Agent, sent: Sent, auth: Digest, *, challenged: bool) -> ClientTransaction:
    headers = {"To": "<sip:alice@h>", "From": "<sip:alice@h>;tag=1", "Contact": "<sip:alice@192.0.2.9>"}
    tx = await made.request("sip:h", "REGISTER", headers=headers, auth=auth)
    if challenged:
        await sent.answer(401, headers=CHALLENGE)
    await sent.answer(200)
    await tx.final()
    return tx


@clocked
async def test_a_registration_is_renewed_without_being_challenged() -> None:
    async with agent() as (made, link):
        sent, auth = Sent(link), Digest("u", "p")
        await registered(made, sent, auth, challenged=True)
        for count in (2, 3):
            tx = await registered(made, sent, auth, challenged=False)
            (attempt,) = tx.attempts
            assert f"nc={count:08x}" in (attempt.msg.header("Authorization") or "")
        other = await made.request("sip:other", "REGISTER", headers={"To": "<sip:alice@h>"}, auth=auth)
        assert header(await sent.answer(200), "Authorization") is None, (
            "credentials are for where they were asked for"
        )
        await other.final()


@clocked
async def test_rules_follow_one_another() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request("sip:h", "REGISTER", headers={"Expires": "60"}, auth=("u", "p"))
        await sent.answer(401, headers=CHALLENGE)
        await sent.answer(423, headers={"Min-Expires": "300"})
        third = await sent.answer(200)
        assert (await tx.final()).status == 200
        assert [one.cause for one in tx.attempts] == ["first", "challenge", "interval"]
        assert "nc=00000002" in (header(third, "Authorization") or "")
        assert header(third, "Expires") == "300"
        assert [one.msg.cseq.number for one in tx.attempts] == [1, 2, 3]


@clocked
async def test_a_dialog_is_authenticated_as_its_invite_was() -> None:
    async with agent() as (made, link):
        sent, auth = Sent(link), Digest("u", "p")
        tx = await made.request("sip:bob@h", "INVITE", auth=auth)
        await sent.answer(407, headers={"Proxy-Authenticate": 'Digest realm="p", nonce="1", qop="auth"'})
        await sent.answer(200, dialog="d", headers={"Contact": "<sip:remote@192.0.2.1>"})
        final = await tx.final()
        ack = await final.ack()
        assert ack.headers["Proxy-Authorization"] == tx.request.headers["Proxy-Authorization"]
        sent.count += 1
        bye = await made.request(method="BYE", dialog=final.dialog_id, auth=auth)
        given = header(await sent.answer(200, dialog="d"), "Proxy-Authorization") or ""
        await bye.final()
        assert 'uri="sip:remote@192.0.2.1"' in given
        assert "nc=00000002" in given


@clocked
async def test_credentials_for_another_request_uri_are_taken_back() -> None:
    async with agent() as (made, link):
        sent, auth = Sent(link), Digest("u", "p")
        tx = await made.request("sip:bob@h", "INVITE", auth=auth)
        await sent.answer(401, headers=CHALLENGE)
        await sent.answer(200, dialog="d", headers={"Contact": "<sip:elsewhere@192.0.2.1>"})
        dialog = (await tx.final()).dialog_id
        info = await made.request(method="INFO", dialog=dialog, auth=auth)
        assert header(await sent.answer(400), "Authorization"), "for sip:elsewhere, but it went to sip:remote"
        assert header(await sent.answer(401, headers=CHALLENGE), "Authorization") is None
        assert 'uri="sip:remote@192.0.2.1"' in (header(await sent.answer(200), "Authorization") or "")
        assert (await info.final()).status == 200
        assert [one.cause for one in info.attempts] == ["first", "unasked", "challenge"]


@clocked
async def test_authorization_of_the_application_goes_first() -> None:
    async with agent() as (made, link):
        sent, auth = Sent(link), Digest("u", "p")
        await registered(made, sent, auth, challenged=True)
        headers = {"To": "<sip:alice@h>", "Authorization": "Digest own"}
        tx = await made.request("sip:h", "REGISTER", headers=headers, auth=auth)
        first = await sent.answer(401, headers=CHALLENGE)
        assert [value for name, value in first.headers if name == "Authorization"] == ["Digest own"]
        second = await sent.answer(200)
        assert len([value for name, value in second.headers if name == "Authorization"]) == 1
        assert (await tx.final()).status == 200


@clocked
async def test_the_server_is_authenticated_too_where_it_says_who_it_is() -> None:
    async with agent() as (made, link):
        sent = Sent(link)
        tx = await made.request("sip:h", "OPTIONS", auth=("u", "p"))
        await sent.answer(401, headers=CHALLENGE)
        await sent.answer(200, headers={"Authentication-Info": 'rspauth="00000000000000000000000000000000"'})
        assert (await tx.final()).server_authenticated is False


@pytest.mark.parametrize(
    ("uri", "origin", "hop"),
    [
        ("sip:example.org", MemoryOrigin(), "sip:192.0.2.1:5060;transport=udp"),
        (
            "sip:example.org",
            MemoryOrigin("tcp", ("2001:db8::1", 5070)),
            "sip:[2001:db8::1]:5070;transport=tcp",
        ),
        ("sip:example.org", MemoryOrigin("tls"), None),
        ("sip:example.org", None, None),
        ("sip:192.0.2.7", MemoryOrigin(), None),
        ("sip:[2001:db8::7]", MemoryOrigin(), None),
        ("sips:example.org", MemoryOrigin(), None),
    ],
)
def test_the_second_request_goes_to_who_challenged(
    uri: str, origin: MemoryOrigin | None, hop: str | None
) -> None:
    from dracht._core import Message

    data = f"REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <{URI}>\r\n"
    asked = Message.parse(f"{data}Call-ID: c\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n".encode())
    assert pinned_hop(asked, origin) == hop
