"""An Agent gives each request a handler, answers what the handler does not, and tells it of CANCEL, ACK, PRACK and losses."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from dracht import (
    Agent,
    CallCancelled,
    CommandFailed,
    ConnectionLost,
    DrachtError,
    ProxyResult,
    Request,
    RequestTimeout,
    Response,
    SipError,
)
from dracht.link.base import ProxyCompletion
from dracht.link.memory import MemoryLink

Run = Callable[[Request, Response], Awaitable[None]]


@asynccontextmanager
async def serving(
    handler: Run, *routes: str, automatic: bool = True
) -> AsyncIterator[tuple[Agent, MemoryLink]]:
    """An agent over a link whose other end is the test."""
    link = MemoryLink(automatic=automatic)
    agent = Agent(handler).route(*routes)
    async with asyncio.timeout(5):
        await agent.attach(link)
        try:
            yield agent, link
        finally:
            await agent.close()


async def settled(agent: Agent) -> None:
    async with asyncio.timeout(5):
        while not agent.idle:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def nothing(req: Request, res: Response) -> None:
    pass


# ---- what stays


async def test_a_request_that_is_over_is_freed_without_the_garbage_collector() -> None:
    async def handler(req: Request, res: Response) -> None:
        res.headers["X-Kept"] = "1"
        res.send(200)
        assert req.res == res
        assert (req.res.status, req.res.final) == (200, True)

    def alive() -> int:
        return sum(isinstance(one, Request) for one in gc.get_objects())

    async with serving(handler) as (agent, link):
        link.receive("OPTIONS")
        await settled(agent)
        gc.collect()
        gc.disable()
        try:
            before = alive()
            for _ in range(20):
                link.receive("OPTIONS")
                await settled(agent)
            link.given.clear()
            await asyncio.sleep(0)
            assert alive() <= before + 1
        finally:
            gc.enable()


async def test_what_a_crowd_of_calls_needed_is_given_back_when_it_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handler(req: Request, res: Response) -> None:
        res.send(200)

    monkeypatch.setattr("dracht.dispatch._CROWD", 64)
    monkeypatch.setattr("dracht.dispatch._LEFT", 8)
    monkeypatch.setattr("dracht.dispatch._GIVE_BACK", (0.0,))
    async with serving(handler) as (agent, link):
        for number in range(100):
            link.receive("INVITE", call_id=f"{number}@h")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        (dispatcher,) = agent._dispatchers
        dialogs = list(dispatcher.established)
        assert len(dialogs) == 100
        tables = (dispatcher.established, dispatcher.answers, dispatcher.invites)
        crowded = [sys.getsizeof(table) for table in tables]
        for dialog in dialogs:
            link.receive("BYE", dialog=dialog)
        await asyncio.sleep(0.01)
        await settled(agent)
        assert not any(tables)
        for table, size in zip(tables, crowded, strict=True):
            assert sys.getsizeof(table) < size / 4


# ---- handlers


def test_a_handler_is_required() -> None:
    with pytest.raises(TypeError, match="handler"):
        Agent(None)  # type: ignore[arg-type]


async def test_a_handler_that_does_not_answer_gets_500_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(nothing) as (agent, link):
        link.receive("OPTIONS")
        await settled(agent)
        assert [one.status for one in link.given] == [500]
    assert "handler nothing" in caplog.text
    assert "test_agent.py" in caplog.text


async def test_an_exception_is_answered_with_its_status_or_500_and_never_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(req: Request, res: Response) -> None:
        if req.method == "OPTIONS":
            raise SipError(486, "No Way", {"Retry-After": "5"})
        raise RuntimeError("secret detail")

    async with serving(handler) as (agent, link):
        link.receive("OPTIONS")
        link.receive("MESSAGE")
        await settled(agent)
        busy, broken = link.given
        assert busy.status == 486
        assert list(busy.headers) == [("Retry-After", "5")]
        assert broken.status == 500
        assert "secret" not in repr(broken)
    assert "secret detail" in caplog.text


async def test_a_sip_error_that_cannot_be_sent_is_still_answered() -> None:
    async def handler(req: Request, res: Response) -> None:
        raise SipError(486, headers={"X": "a\r\nb"})

    async with serving(handler) as (agent, link):
        link.receive("OPTIONS")
        await settled(agent)
        assert [one.status for one in link.given] == [500]


async def test_the_handler_may_be_replaced() -> None:
    async def other(req: Request, res: Response) -> None:
        await res.send(200)

    async with serving(nothing) as (agent, link):
        agent.handler = other
        link.receive("OPTIONS")
        await settled(agent)
        assert link.given[0].status == 200


# ---- answering


async def test_send_gives_the_response_as_put_on_the_wire() -> None:
    statuses: list[tuple[int, str]] = []

    async def handler(req: Request, res: Response) -> None:
        res.headers["Server"] = "dracht"

        @res.before_send
        def note(status: int, headers: object) -> None:
            statuses.append((status, repr(headers)))

        ringing = res.send(180)
        with pytest.raises(DrachtError, match="await"):
            ringing.msg  # noqa: B018
        sent = await res.send(200, "Fine", headers={"server": "other", "X": "1"}, body="v=0\r\n")
        assert (sent.status, sent.msg.reason, sent.to.tag, sent.body) == (200, "Fine", "local", b"v=0\r\n")
        assert sent.headers.getall("Server") == ["other"]
        assert ringing.msg.header("Server") == "dracht"
        assert (res.status, res.final, req.handled) == (200, True, True)
        with pytest.raises(CommandFailed, match="already-answered"):
            res.send(200)

    async with serving(handler) as (agent, link):
        link.receive("INVITE")
        await asyncio.sleep(0.01)
        assert [one.status for one in link.given] == [180, 200]
        assert [status for status, _ in statuses] == [180, 200]
        link.receive("ACK", transaction=link.given[0].transaction, dialog="call-1@192.0.2.1;from-tag=alice")
        await settled(agent)


@pytest.mark.parametrize("status", [0, 100, 700, -1])
async def test_a_status_is_in_range(status: int) -> None:
    async def handler(req: Request, res: Response) -> None:
        with pytest.raises(ValueError, match="101 to 699"):
            res.send(status)
        await res.send(200)

    async with serving(handler) as (agent, link):
        link.receive("OPTIONS")
        await settled(agent)
        assert link.given[0].status == 200


async def test_a_final_response_that_the_engine_refused_can_be_replaced() -> None:
    async def handler(req: Request, res: Response) -> None:
        with pytest.raises(CommandFailed, match="missing-content-type"):
            await res.send(200, body="x")
        await res.send(200)

    async with serving(handler) as (agent, link):
        link.fail_next("missing-content-type")
        link.receive("OPTIONS")
        await settled(agent)
        assert [one.status for one in link.given] == [200, 200]


async def test_a_failure_that_nobody_awaited_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(req: Request, res: Response) -> None:
        res.send(200)

    async with serving(handler) as (agent, link):
        link.fail_next("unknown-transaction")
        link.receive("OPTIONS")
        await settled(agent)
        await asyncio.sleep(0)
    assert "which nobody awaited, failed: unknown-transaction" in caplog.text


async def test_the_ack_of_a_200_is_awaited_even_when_it_came_before() -> None:
    acks: list[Request] = []

    async def handler(req: Request, res: Response) -> None:
        sent = await res.send(200, body="v=0\r\n")
        await asyncio.sleep(0.01)
        acks.append(await sent.acked())

    async with serving(handler) as (agent, link):
        transaction = link.receive("INVITE")
        await link.wait_for("respond")
        await asyncio.sleep(0)
        dialog = "call-1@192.0.2.1;from-tag=alice"
        link.receive("ACK", transaction=transaction, dialog=dialog, body="v=1\r\n")
        await settled(agent)
        assert acks[0].body == b"v=1\r\n"
        assert str(acks[0].dialog_id) == dialog


async def test_an_ack_that_never_comes_is_a_timeout() -> None:
    outcome: list[type[Exception]] = []

    async def handler(req: Request, res: Response) -> None:
        try:
            await (await res.send(200)).acked(timeout=0.01)
        except RequestTimeout as error:
            outcome.append(type(error))

    async with serving(handler) as (_, link):
        link.receive("INVITE")
        await asyncio.sleep(0.05)
        assert outcome == [RequestTimeout]


async def test_a_prack_completes_a_reliable_response_and_gets_200_unless_it_is_routed() -> None:
    seen: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.method)
        if req.method == "PRACK":
            await res.send(202)
            return
        sent = await res.send(183, reliable=True)
        prack = await sent.acked()
        seen.append(f"acked by {prack.method}")
        await res.send(486)

    for routes, answer in ((), 200), (("prack",), 202):
        seen.clear()
        async with serving(handler, *routes) as (agent, link):
            link.receive("INVITE")
            given = await link.wait_for("respond")
            assert ("Require", "100rel") in given.headers
            await asyncio.sleep(0)
            number = str(next(iter(agent._dispatchers[0].reliable))[1])
            link.receive(
                "PRACK", dialog="call-1@192.0.2.1;from-tag=alice", headers={"RAck": f"{number} 1 INVITE"}
            )
            await settled(agent)
            assert sorted(one.status for one in link.given) == sorted([183, answer, 486])
        assert "acked by PRACK" in seen


# ---- CANCEL


async def test_cancel_raises_call_cancelled_in_whatever_is_awaited() -> None:
    seen: list[object] = []

    async def handler(req: Request, res: Response) -> None:
        try:
            async with asyncio.timeout(5):
                await asyncio.gather(child(), asyncio.Event().wait())
        except Exception:
            seen.append("swallowed")
        except CallCancelled as cancelled:
            await asyncio.sleep(0)
            task = asyncio.current_task()
            assert task is not None
            seen.extend([cancelled.reason, task.cancelling(), req.cancelled])
            raise

    async def child() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("child ended")
            raise

    async with serving(handler) as (agent, link):
        transaction = link.receive("INVITE")
        await asyncio.sleep(0.01)
        link.receive("CANCEL", transaction=transaction, headers={"Reason": "SIP;cause=200"})
        await settled(agent)
        assert link.given == []
    assert seen == ["child ended", "SIP;cause=200", 0, True]


async def test_cancel_ends_the_children_of_a_task_group_and_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[object] = []

    async def handler(req: Request, res: Response) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.sleep(10)

    async def waiting_at_the_end(req: Request, res: Response) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    async def child() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("child ended")

    for one in (handler, waiting_at_the_end):
        async with serving(one) as (agent, link):
            transaction = link.receive("INVITE")
            await asyncio.sleep(0.01)
            link.receive("CANCEL", transaction=transaction)
            await settled(agent)
            assert link.given == []
    assert seen == ["child ended", "child ended"]
    assert caplog.text == ""


async def test_a_handler_that_does_not_await_ends_as_it_would() -> None:
    ended: list[bool] = []

    async def handler(req: Request, res: Response) -> None:
        ended.append(req.cancelled)
        sent = res.send(200)
        assert sent.done or not req.cancelled

    async with serving(handler) as (_, link):
        transaction = link.receive("INVITE")
        link.receive("CANCEL", transaction=transaction)
        await asyncio.sleep(0.01)
        assert len(ended) == 1


async def test_cancel_after_the_final_response_changes_nothing() -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(486)
        await asyncio.sleep(0.01)
        assert not req.cancelled

    async with serving(handler) as (agent, link):
        transaction = link.receive("INVITE")
        await link.wait_for("respond")
        link.receive("CANCEL", transaction=transaction)
        await settled(agent)
        assert [one.status for one in link.given] == [486]


async def test_answering_a_cancelled_call_does_nothing() -> None:
    async def handler(req: Request, res: Response) -> None:
        try:
            await asyncio.sleep(10)
        except CallCancelled:
            await res.send(487)

    async with serving(handler) as (agent, link):
        transaction = link.receive("INVITE")
        await asyncio.sleep(0.01)
        link.receive("CANCEL", transaction=transaction)
        await settled(agent)
        assert link.given == []


async def test_a_real_cancellation_stays_one() -> None:
    seen: list[type[BaseException]] = []

    async def handler(req: Request, res: Response) -> None:
        try:
            await asyncio.sleep(10)
        except BaseException as error:
            seen.append(type(error))
            raise

    async with serving(handler) as (agent, link):
        link.receive("INVITE")
        await asyncio.sleep(0.01)
        await agent.close()
    assert seen == [asyncio.CancelledError]
    assert [one.status for one in link.given] == [503]


# ---- proxy, drop


async def test_an_option_of_proxy_that_is_none_is_named_and_the_request_still_to_be_answered() -> None:
    async def handler(req: Request, res: Response) -> None:
        with pytest.raises(ValueError, match="forking is 'serial', 'simultaneous' or 'by_q', not 'parallel'"):
            await req.proxy("sip:a@192.0.2.1", forking="parallel")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="type is 'stateful' or 'stateless', not 'none'"):
            await req.proxy("sip:a@192.0.2.1", type="none")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="not a time"):
            await req.proxy("sip:a@192.0.2.1", final_timeout="soon")
        sent = res.send(480)
        await sent
        assert repr(sent) == "<SentResponse the 480: on the wire>"

    async with serving(handler) as (agent, link):
        link.receive("INVITE")
        await settled(agent)
        assert [one.status for one in link.given] == [480]


async def test_a_proxied_request_gives_its_branches() -> None:
    results: list[ProxyResult] = []

    async def handler(req: Request, res: Response) -> None:
        results.append(
            await req.proxy(
                ["1234@mydomain.com", "sips:b@h", req.uri],
                headers={"X": "1"},
                record_route=True,
                forking="simultaneous",
                provisional_timeout="100ms",
                final_timeout="2s",
            )
        )
        with pytest.raises(CommandFailed, match="already-proxied"):
            res.send(200)

    async with serving(handler) as (agent, link):
        link.receive("INVITE")
        given = await link.wait_for("proxy")
        assert given.targets == ["sip:1234@mydomain.com", "sips:b@h", "sip:bob@192.0.2.9"]
        assert given.options is not None
        assert (given.options.provisional_timeout, given.options.final_timeout) == (0.1, 2.0)
        assert given.options.record_route
        assert given.options.forking == "simultaneous"
        completion = given.completion
        asked = link._requests[given.transaction]
        text = bytes(asked).replace(b"INVITE sip:bob@192.0.2.9 SIP/2.0", b"SIP/2.0 %b", 1)
        message = type(asked).parse
        for branch, status in ((1, b"180 Ringing"), (0, b"486 Busy Here"), (1, b"200 OK")):
            as_proxy(completion).response(branch, message(text % status), link.origin)
        as_proxy(completion).done(200, 1)
        await settled(agent)
    result = results[0]
    assert result.connected
    assert result.final_status == 200
    assert [[one.status for one in branch.messages] for branch in result.responses] == [[486], [180, 200]]
    assert result.winner is result.responses[1]
    plain = result.to_dict()
    assert plain["connected"] is True
    assert plain["finalStatus"] == 200
    assert plain["finalResponse"]["msg"]["reason"] == "OK"
    assert plain["responses"][0]["address"] == "192.0.2.1"
    assert [one["status"] for one in plain["responses"][1]["msgs"]] == [180, 200]
    assert '"finalStatus": 200' in result.to_json()


def as_proxy(completion: object) -> ProxyCompletion:
    return completion  # type: ignore[return-value]


async def test_a_request_that_was_not_proxied_can_be_answered() -> None:
    async def handler(req: Request, res: Response) -> None:
        with pytest.raises(CommandFailed, match="no-transport"):
            await req.proxy("sip:b@h")
        await res.send(480)

    async with serving(handler) as (agent, link):
        link.fail_next("no-transport")
        link.receive("INVITE")
        await settled(agent)
        assert link.given[-1].status == 480


@pytest.mark.parametrize("value", ["soon", "-1s", 0, "0ms", float("nan")])
async def test_a_timeout_is_a_positive_time(value: float | str) -> None:
    async def handler(req: Request, res: Response) -> None:
        with pytest.raises(ValueError, match="time"):
            await req.proxy("sip:b@h", provisional_timeout=value)
        await res.send(480)

    async with serving(handler) as (agent, link):
        link.receive("OPTIONS")
        await settled(agent)
        assert link.given[-1].status == 480


async def test_a_dropped_request_is_not_answered() -> None:
    async def handler(req: Request, res: Response) -> None:
        req.drop()

    async with serving(handler) as (agent, link):
        link.receive("OPTIONS")
        await settled(agent)
        assert [one.kind for one in link.given] == ["drop"]


# ---- requests of ours


async def test_responses_are_kept_for_who_asks_late() -> None:
    async with serving(nothing) as (agent, link):
        tx = await agent.request("sip:b@h", "INVITE", headers={"From": "<sip:me@h>;tag=m"}, body="v=0\r\n")
        given = link.sent("request")[0]
        for status in (180, 183, 200):
            link.respond_to(given, status, dialog="d1")
        assert [res.status async for res in tx] == [180, 183, 200]
        assert [res.status async for res in tx] == [180, 183, 200]
        final = await tx.final()
        assert (final.status, final.to.tag, final.final, final.ok) == (200, "remote", True, True)
        ack = await final.ack(body="v=1\r\n")
        assert (ack.msg.method, ack.msg.body) == ("ACK", b"v=1\r\n")
        assert str(tx.dialog_id) == "d1"
        assert agent.idle


async def test_a_second_answer_of_another_fork_is_hung_up_and_a_repeated_one_is_not() -> None:
    async with serving(nothing) as (agent, link):
        tx = await agent.request("sip:b@h", "INVITE")
        given = link.sent("request")[0]
        link.respond_to(given, 200, dialog="d1")
        link.respond_to(given, 200, dialog="d1")
        assert len(link.sent("request")) == 1
        link.respond_to(given, 200, dialog="d2")
        assert [(one.method, one.dialog) for one in link.sent("request")[1:]] == [
            ("ACK", "d2"),
            ("BYE", "d2"),
        ]
        assert len(tx.responses) == 1


async def test_ack_and_prack_belong_to_what_they_acknowledge() -> None:
    async with serving(nothing) as (agent, link):
        tx = await agent.request("sip:b@h", "INVITE")
        given = link.sent("request")[0]
        link.respond_to(given, 180, dialog="d1")
        with pytest.raises(DrachtError, match="RSeq"):
            await tx.responses[0].prack()
        link.respond_to(given, 183, dialog="d1", headers={"RSeq": "77", "Require": "100rel"})
        prack = await tx.responses[1].prack(headers={"X": "1"})
        asked = link.sent("request")[1]
        assert (asked.method, asked.dialog) == ("PRACK", "d1")
        assert ("RAck", "77 1 INVITE") in asked.headers
        link.respond_to(asked, 200)
        assert (await prack.final()).ok
        link.respond_to(given, 404)
        with pytest.raises(DrachtError, match="no ACK"):
            await (await tx.final()).ack()


async def test_leaving_a_transactions_block_cancels_it() -> None:
    async with serving(nothing) as (agent, link):
        async with await agent.request("sip:b@h", "INVITE"):
            pass
        assert [one.kind for one in link.given] == ["request", "cancel"]
        link.respond_to(link.given[0], 487)
        await settled(agent)


async def test_a_timeout_of_another_request_sends_no_cancel() -> None:
    async with serving(nothing) as (agent, link):
        tx = await agent.request("sip:b@h", "MESSAGE", timeout=0.01)
        with pytest.raises(RequestTimeout):
            await tx.final()
        with pytest.raises(TimeoutError):
            async for _ in await agent.request("sip:b@h", "MESSAGE", timeout=0.01):
                pass
        assert [one.kind for one in link.given] == ["request", "request"]
        assert agent.idle


async def test_an_asyncio_timeout_cancels_the_call() -> None:
    async with serving(nothing) as (agent, link):
        tx = await agent.request("sip:b@h", "INVITE")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await tx.final()
        assert [one.kind for one in link.given] == ["request", "cancel"]


async def test_two_challengers_of_one_request_are_both_answered() -> None:
    async with serving(nothing) as (agent, link):
        tx = await agent.request("sip:b@h", "INVITE", headers={"X": "1"}, auth=("u", "p"))
        link.respond_to(
            link.sent("request")[0],
            407,
            headers={"Proxy-Authenticate": 'Digest realm="p", nonce="1", qop="auth"'},
        )
        await link.wait_for("request", 2)
        await asyncio.sleep(0)
        link.respond_to(
            link.sent("request")[1],
            401,
            headers={"WWW-Authenticate": 'Digest realm="s", nonce="2", qop="auth"'},
        )
        last = await link.wait_for("request", 3)
        names = [name for name, _ in last.headers]
        assert names.count("Proxy-Authorization") == names.count("Authorization") == names.count("X") == 1
        assert ("CSeq", "3 INVITE") in last.headers
        await asyncio.sleep(0)
        link.respond_to(last, 401, headers={"WWW-Authenticate": 'Digest realm="s", nonce="2", qop="auth"'})
        assert (await tx.final()).status == 401
        assert len(link.sent("request")) == 3


async def test_a_cancel_that_races_a_challenge_ends_the_call() -> None:
    async with serving(nothing, automatic=False) as (agent, link):
        asking = asyncio.create_task(agent.request("sip:b@h", "INVITE", auth=("u", "p")))
        first = await link.wait_for("request")
        link.complete()
        tx = await asking
        link.respond_to(first, 407, headers={"Proxy-Authenticate": 'Digest realm="p", nonce="1"'})
        assert await tx.cancel() is None
        again = await link.wait_for("request", 2)
        link.complete()
        cancel = await link.wait_for("cancel")
        assert cancel.transaction == again.transaction
        link.complete()
        link.respond_to(again, 487)
        assert (await tx.final()).status == 487


@pytest.mark.parametrize(
    ("uri", "method", "dialog"), [(None, "BYE", None), ("sip:b@h", "CANCEL", None), ("sip:b@h", "ACK", None)]
)
async def test_requests_that_make_no_sense_are_refused(uri: str | None, method: str, dialog: None) -> None:
    async with serving(nothing) as (agent, _):
        with pytest.raises(ValueError, match=r"URI|belongs"):
            await agent.request(uri, method, dialog=dialog)


async def test_what_waits_is_told_that_the_link_is_lost() -> None:
    raised: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        sent = await res.send(200)
        try:
            await sent.acked()
        except ConnectionLost:
            raised.append("acked")

    async with serving(handler) as (agent, link):
        link.receive("INVITE")
        tx = await agent.request("sip:b@h", "INVITE")
        await asyncio.sleep(0.01)
        waiting: list[asyncio.Future[object]] = [
            asyncio.ensure_future(tx.final()),
            asyncio.ensure_future(anext(aiter(tx))),
        ]
        await asyncio.sleep(0)
        link.lose()
        for one in waiting:
            with pytest.raises(ConnectionLost):
                await one
        await asyncio.sleep(0.01)
        assert raised == ["acked"]
        assert agent.idle
        link.restore()
        assert agent.connected


async def test_draining_refuses_new_requests_and_lets_dialogs_end() -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(200)

    async with serving(handler) as (agent, link):
        assert await agent.drain(1.0)
        link.receive("OPTIONS")
        link.receive("BYE", dialog="d1", transaction=77)
        await settled(agent)
        assert sorted(one.status for one in link.given) == [200, 503]


async def test_log_of_a_connection_that_ends_a_handler_is_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(req: Request, res: Response) -> None:
        await asyncio.sleep(0.01)
        await res.send(200)

    async with serving(handler) as (agent, link):
        with caplog.at_level(logging.INFO, "dracht"):
            link.receive("OPTIONS")
            await asyncio.sleep(0)
            link.lose()
            await settled(agent)
    assert "Traceback" not in caplog.text
