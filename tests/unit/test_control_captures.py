"""An Agent holds the conversations that drachtio-srf was captured holding with a drachtio-server, and comes out of them idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from dracht import Agent, Request, RequestTimeout, Response
from dracht.request import Request as ReceivedRequest

from .control_peer import ControlPeer, Entry, capture, ping

Talk = Callable[[Agent], Awaitable[None]]


async def unexpected(req: Request, res: Response) -> None:
    raise AssertionError(f"{req!r} was not expected")


@asynccontextmanager
async def conversation(
    entries: list[Entry],
    handler: Callable[[Request, Response], Awaitable[None]] = unexpected,
    *routes: str,
    tags: str = "",
) -> AsyncIterator[tuple[Agent, ControlPeer]]:
    """An agent that is connected to the server's side of a capture; at the end all of it was said, and the agent is idle."""
    async with ControlPeer() as peer:
        playing = asyncio.create_task(peer.play(entries))
        agent = Agent(handler).route(*routes)
        await agent.connect(peer.target, secret="cymru", tags=[tags] if tags else [])
        try:
            async with asyncio.timeout(5):
                yield agent, peer
                await playing
                while not agent.idle:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        finally:
            playing.cancel()
            await agent.close()


async def test_uas_answers_and_is_hung_up_on() -> None:
    seen: list[str] = []
    acked: list[ReceivedRequest] = []
    ended = asyncio.Event()

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.method)
        sent = await res.send(200, body=b"v=0\r\n" if req.method == "INVITE" else b"")
        if req.method == "INVITE":
            assert sent.msg.to.tag == "9XUyUX199HZNg"
            assert req.uri.host == "127.29.0.10"
            assert req.source == ("127.29.0.102", 5060)
            assert req.transport == "udp"
            assert req.origin.local == ("127.29.0.10", 5060)
            assert req.headers["subject"] == "Performance Test"
            acked.append(await sent.acked())
        else:
            assert str(req.dialog_id) == "1-10350@127.29.0.102-2;from-tag=10350SIPpTag001"
            ended.set()

    async with conversation(capture("uas-answer-bye"), handler, "invite", tags="tag1") as (agent, _):
        assert agent.hostports == ["udp/127.29.0.10:5060"]
        await ended.wait()
    assert seen == ["INVITE", "BYE"]
    assert acked[0].method == "ACK"
    assert acked[0].cseq.number == 1


async def test_uas_rejects() -> None:
    async def handler(req: Request, res: Response) -> None:
        sent = await res.send(503)
        assert sent.msg.status == 503

    async with conversation(capture("uas-reject-503"), handler, "invite", tags="tag1") as (_, peer):
        pass
    assert peer.received[-1].start == ["SIP/2.0", "503"]


async def test_uac_calls_and_hangs_up() -> None:
    async with conversation(capture("uac-answer-bye")) as (agent, peer):
        tx = await agent.request("sip:127.29.0.13", "INVITE", headers={"Subject": "sending Contact"})
        assert tx.request.headers["Subject"].startswith("sending Contact")
        statuses = [res.status async for res in tx]
        assert statuses == [180, 200]
        final = await tx.final()
        acking = asyncio.ensure_future(final.ack(body="v=0\r\n"))
        bye = asyncio.ensure_future(agent.request(method="BYE", dialog=final.dialog_id))
        ack = await acking
        assert ack.msg.method == "ACK"
        assert ack.msg.uri == "sip:127.29.0.13:5060;transport=UDP"
        assert (await (await bye).final()).status == 200
    assert peer.received[2].text.endswith("\r\n\r\nv=0\r\n")


async def test_uac_cancels() -> None:
    # drachtio-srf acknowledges the 487, which a server refuses to; nothing here does.
    async with conversation(capture("uac-cancel", without=lambda one: one.start[0] == "ACK")) as (
        agent,
        peer,
    ):
        tx = await agent.request("sip:127.29.0.12", "INVITE")
        async for res in tx:
            if res.status == 180:
                cancel = await tx.cancel(headers={"Reason": 'SIP;cause=200;text="Call completed elsewhere"'})
                assert cancel is not None
                assert cancel.msg.method == "CANCEL"
        assert (await tx.final()).status == 487
        assert await tx.cancel() is None
    assert "Reason: SIP;cause=200" in peer.received[2].text


async def test_uac_answers_challenges_to_invite_and_bye() -> None:
    async with conversation(capture("uac-digest-invite-bye")) as (agent, peer):
        tx = await agent.request(
            "sip:127.29.0.24", "INVITE", headers={"To": "sip:dhorton@sip.drachtio.org"}, auth=("foo", "bar")
        )
        assert [res.status async for res in tx] == [180, 200]
        assert tx.request.cseq.number == 123149623
        final = await tx.final()
        await final.ack()
        bye = await agent.request(method="BYE", dialog=final.dialog_id, auth=("foo", "bar"))
        assert (await bye.final()).status == 200
    again = peer.received[2]
    assert 'response="2df003c31e585e2f52a54b869868592a"' in again.text
    assert "CSeq: 123149623 INVITE" in again.text
    assert "Call-ID: 3185e007-6196-1240-00a5-ca6aa214cf64" in again.text
    assert "From: <sip:dhorton@sip.drachtio.org>;tag=a0rpmZS7Kat8e" in again.text
    assert "To: sip:dhorton@sip.drachtio.org" in again.text


async def test_uac_registers_with_digest() -> None:
    async with conversation(capture("uac-digest-register")) as (agent, peer):
        tx = await agent.request("sip:127.29.0.16", "REGISTER", auth=("foo", "bar"))
        final = await tx.final()
        assert final.status == 200
        assert [res.status for res in tx.responses] == [200]
    assert "\r\nAuthorization: Digest username=" in peer.received[2].text


async def test_uac_acknowledges_a_reliable_provisional_response() -> None:
    entries = capture("uac-prack-redirect")
    # The first of the three calls of that capture, up to its BYE.
    upto = next(at for at, one in enumerate(entries) if one.from_application and one.start[0] == "BYE")
    async with conversation(entries[:upto]) as (agent, peer):
        tx = await agent.request("sip:127.29.0.23", "INVITE")
        async for res in tx:
            if res.status == 180:
                prack = await res.prack()
                assert (await prack.final()).status == 200
            elif res.ok:
                await res.ack()
    assert "RAck: 1 123149622 INVITE" in peer.received[2].text


async def test_a_lost_ack_ends_the_call() -> None:
    byes: list[Request] = []

    async def handler(req: Request, res: Response) -> None:
        if req.method == "BYE":
            byes.append(req)
            await res.send(200)
            return
        sent = await res.send(200, body=b"v=0\r\n")
        with pytest.raises(RequestTimeout):
            await sent.acked()

    async with conversation(capture("uas-ack-timeout-cdr", without=ping), handler, "invite", tags="tag1"):
        pass
    assert len(byes) == 1
    assert byes[0].generated
    assert "ACK timeout" in byes[0].headers["Reason"]


async def test_a_proxied_call_names_its_winner() -> None:
    results: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        result = await req.proxy("sip:127.29.0.13", record_route=True)
        assert result.connected
        assert result.final_status == 200
        assert result.winner is result.responses[0]
        assert (result.responses[0].address, result.responses[0].port) == ("127.29.0.13", 5060)
        assert [one.status for one in result.responses[0].messages] == [200]
        results.append(result.to_json())

    async with conversation(capture("proxy-full-response"), handler, "invite") as (_, peer):
        pass
    assert '"finalStatus": 200' in results[0]
    assert peer.received[-1].tokens[3:] == [
        "remainInDialog",
        "fullResponse",
        "",
        "serial",
        "",
        "",
        "sip:127.29.0.13",
    ]


async def test_a_subscription_is_notified() -> None:
    entries = capture("uas-subscribe-notify")

    async def handler(req: Request, res: Response) -> None:
        await res.send(202, headers={"Expires": "3600"})
        for state in ("active", "terminated"):
            notify = await req.agent.request(
                method="NOTIFY",
                dialog=req.dialog_id,
                headers={"Subscription-State": state, "Event": "presence"},
            )
            assert (await notify.final()).ok

    async with conversation(entries, handler, "subscribe", tags="tag1"):
        pass


async def test_an_update_is_answered() -> None:
    async def handler(req: Request, res: Response) -> None:
        assert req.method == "UPDATE"
        await res.send(200, body=b"v=0\r\n")

    async with conversation(capture("uac-update-received"), handler) as (agent, peer):
        tx = await agent.request("sip:127.29.0.29", "INVITE", body=b"v=0\r\n")
        await (await tx.final()).ack()
    assert "CSeq: " in peer.received[-1].text
    assert " UPDATE\r\n" in peer.received[-1].text
