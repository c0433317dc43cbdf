"""What an agent sends of its own: proxied requests, requests of ours, and what becomes of them when the link is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import pytest
from dracht import (
    CommandFailed,
    ConnectionLost,
    DrachtError,
    ProxyResult,
    ProxyTarget,
    Request,
    RequestTimeout,
    Response,
)
from dracht.link.base import ProxyCompletion

from tests.unit.serving import nothing, serving, settled, turns

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


async def test_only_the_absent_argument_is_the_request_uri_and_an_empty_list_leads_nowhere() -> None:
    async def handler(req: Request, res: Response) -> None:
        if req.method == "OPTIONS":
            await req.proxy()
        nobody: list[Iterable[str]] = [[], (), iter([])]
        for empty in nobody:
            with pytest.raises(ValueError, match=r"empty list of targets.*res\.send\(480\)"):
                await req.proxy(empty)
        none: list[object] = [
            None, 5, b"sip:a@h", [None], ["sip:a@h", 5], ProxyTarget(None), (None, 0.5), {"sip:a@h": 1}, [()],  # type: ignore[arg-type]
        ]  # fmt: skip
        for target in none:
            with pytest.raises(TypeError, match=r"a target of req\.proxy is a URI"):
                await req.proxy(target)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="q of a target"):
            await req.proxy([("sip:a@h", 2)])
        await res.send(480)

    async with serving(handler) as (agent, link):
        link.receive("INVITE")
        await settled(agent)
        assert [one.status for one in link.given] == [480]
        link.receive("OPTIONS")
        given = await link.wait_for("proxy")
        assert given.targets == []
        as_proxy(given.completion).done(200, None)
        await settled(agent)


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
        await turns()
        waiting: list[asyncio.Future[object]] = [
            asyncio.ensure_future(tx.final()),
            asyncio.ensure_future(anext(aiter(tx))),
        ]
        await asyncio.sleep(0)
        link.lose()
        for one in waiting:
            with pytest.raises(ConnectionLost):
                await one
        await turns()
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
        await turns()
        await res.send(200)

    async with serving(handler) as (agent, link):
        with caplog.at_level(logging.INFO, "dracht"):
            link.receive("OPTIONS")
            await asyncio.sleep(0)
            link.lose()
            await settled(agent)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("timeout", [-1, 0, "soon"])
async def test_a_time_that_is_none_is_told_before_anything_is_sent(timeout: float) -> None:
    async with serving(nothing) as (agent, link):
        with pytest.raises(ValueError, match=r"positive number of seconds|is not a time"):
            await agent.request("sip:a@192.0.2.1", timeout=timeout)
        with pytest.raises(
            TypeError, match=r'header fields are a mapping, as \{"X-Name": "value"\}, or pairs'
        ):
            await agent.request("sip:a@192.0.2.1", headers="X: y")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a body is text or bytes, not 5"):
            await agent.request("sip:a@192.0.2.1", body=5)  # type: ignore[arg-type]
        assert link.given == []
