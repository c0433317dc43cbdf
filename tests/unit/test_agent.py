"""An Agent gives each request a handler, answers what the handler does not, and tells it of CANCEL, ACK, PRACK and losses."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest
from dracht import (
    Agent,
    CallCancelled,
    CommandFailed,
    DrachtError,
    Request,
    RequestTimeout,
    Response,
    SipError,
)

from tests.unit.serving import nothing, serving, settled, turns

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
        await turns()
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
    assert "serving.py" in caplog.text


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
        await turns()
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
        await turns()
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
        async with asyncio.timeout(5):
            while not outcome:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
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
        await turns()
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
            await turns()
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
        await turns()
        assert len(ended) == 1


async def test_cancel_after_the_final_response_changes_nothing() -> None:
    async def handler(req: Request, res: Response) -> None:
        await res.send(486)
        await turns()
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
        await turns()
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
        await turns()
        await agent.close()
    assert seen == [asyncio.CancelledError]
    assert [one.status for one in link.given] == [503]
