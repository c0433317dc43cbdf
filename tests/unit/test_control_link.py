"""A control link authenticates, keeps routes, finds dead servers and comes back; nothing that waits outlives its connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from dracht import (
    Agent,
    AuthenticationFailed,
    CommandFailed,
    ConnectionLost,
    HeaderError,
    Request,
    RequestTimeout,
    Response,
)
from dracht.dispatch import Dispatcher
from dracht.link.backoff import Backoff
from dracht.link.control import ControlLink
from dracht.link.wire import Target, in_order

from .control_peer import ControlPeer, Entry


async def refuse(req: Request, res: Response) -> None:
    await res.send(486)


def quick(peer: ControlPeer, **options: float) -> ControlLink:
    """A link that reconnects and pings fast."""
    return ControlLink(
        peer.target,
        secret="cymru",
        backoff=Backoff(first=0.01, limit=0.05),
        ping_interval=options.get("ping", 15.0),
    )


@asynccontextmanager
async def connected(
    handler: Callable[[Request, Response], Awaitable[None]] = refuse, *routes: str, ping: float = 15.0
) -> AsyncIterator[tuple[Agent, ControlPeer]]:
    """An agent that is connected to a peer which the test speaks for."""
    async with ControlPeer() as peer, asyncio.timeout(10):
        agent = Agent(handler).route(*routes)
        opening = asyncio.create_task(agent.attach(quick(peer, ping=ping)))
        await peer.welcome(routes=len(routes))
        await opening
        try:
            yield agent, peer
        finally:
            await agent.close()


def echo(asked: Entry, transaction: str = "t1") -> tuple[str, str]:
    """What a server says of a request that it sent."""
    start = asked.text.split("\r\n", 1)[0].replace("sip:placeholder", "sip:bob@192.0.2.1")
    method = start.split(" ")[0]
    text = (
        f"{start}\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{transaction}\r\nFrom: <sip:a@192.0.2.9>;tag=a\r\n"
        f"To: <sip:bob@192.0.2.1>\r\nCall-ID: c@192.0.2.9\r\nCSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
    )
    head = f"id|response|{asked.tokens[0]}|OK|application|9|udp|192.0.2.9|5060|00:00:00.000000|{transaction}|Msg sent:|"
    return head, text


def reply(status: str, method: str = "INVITE") -> str:
    return (
        f"SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKt1\r\nFrom: <sip:a@192.0.2.9>;tag=a\r\n"
        f"To: <sip:bob@192.0.2.1>;tag=b\r\nCall-ID: c@192.0.2.9\r\nCSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
    )


INVITE = (
    "INVITE sip:bob@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-1\r\nMax-Forwards: 70\r\n"
    "From: <sip:alice@192.0.2.1>;tag=a\r\nTo: <sip:bob@192.0.2.9>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)
NEW = "id|sip|network|300|udp|192.0.2.1|5060|00:00:00.000000|{}||192.0.2.9|5060|"
IN_DIALOG = "id|sip|network|300|udp|192.0.2.1|5060|00:00:00.000000|{}|c@192.0.2.9;from-tag=a|"


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


# ---- connecting


async def test_a_closed_port_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionLost, match=r"cannot be reached: .*`dracht serve` starts a server"):
            await Agent(refuse).connect(host="127.0.0.1", port=taken.getsockname()[1])


async def test_a_wrong_secret_is_named() -> None:
    async with ControlPeer() as peer:
        agent = Agent(refuse)
        connecting = asyncio.create_task(agent.connect(peer.target, secret="wrong", retry=True))
        await peer.client()
        asked = await peer.frame()
        assert asked.tokens[1:] == ["authenticate", "wrong", ""]
        peer.send(f"id|response|{asked.tokens[0]}|NO|incorrect secret")
        with pytest.raises(AuthenticationFailed, match="incorrect secret"):
            await connecting
        assert not agent.connected


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with ControlPeer() as peer:
        with pytest.raises(ConnectionLost, match=r"within 0\.05 s"):
            await Agent(refuse).connect(peer.target, timeout=0.05)


async def test_without_a_link_a_request_is_refused() -> None:
    with pytest.raises(ConnectionLost):
        await Agent(refuse).request("sip:bob@192.0.2.1")


async def test_the_first_of_several_servers_is_enough_and_the_others_join_later() -> None:
    async with ControlPeer() as first:
        second = ControlPeer()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            second.port = free.getsockname()[1]
        agent = Agent(refuse)
        connecting = asyncio.create_task(agent.connect([first.target, second.target], secret="s", timeout=20))
        await first.welcome()
        await connecting
        assert agent.connected
        async with second:
            await second.welcome()
            await eventually(lambda: all(link.ready for link in agent.links))
            await agent.close()


async def test_routes_given_later_are_asked_for_and_every_method_is_a_list() -> None:
    async with connected() as (agent, peer):
        agent.route("INVITE").route("invite")
        assert (await peer.frame()).tokens[1:] == ["route", "invite"]
        agent.route("*")
        verbs = [(await peer.frame()).tokens[2] for _ in range(9)]
        assert verbs[0] == "invite"
        assert "register" in verbs
        agent.unroute("*")
        assert {(await peer.frame()).tokens[1] for _ in range(9)} == {"remove_route"}
        # A drachtio-server has now forgotten the other route as well.
        assert (await peer.frame()).tokens[1:] == ["route", "invite"]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("tcp://sip1:9022", Target(False, "sip1", 9022)),
        ("tls://[2001:db8::1]:9023", Target(True, "2001:db8::1", 9023)),
        ("sip1", Target(False, "sip1", 9022)),
        ("127.0.0.1:9000", Target(False, "127.0.0.1", 9000)),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize(
    "text", ["", "http://h:1", "tcp://", "tcp://h:port", "tcp://h:99999", "tcp://[::1", "tcp://[::1]x"]
)
def test_targets_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="address of a server"):
        Target.parse(text)


def test_a_secret_that_would_break_its_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="secret"):
        ControlLink("tcp://h", secret="a|b")


# ---- losing the connection


async def test_everything_that_waits_is_told_of_the_loss_and_the_link_comes_back_with_its_routes() -> None:
    caught: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        try:
            await res.send(200)
        except ConnectionLost:
            caught.append("respond")
            raise

    async with connected(handler, "invite", "register") as (agent, peer):
        losses: list[Exception] = []
        agent.on_lost(losses.append)
        peer.send(NEW.format("s1"), INVITE)
        await peer.frame()
        sending = asyncio.create_task(agent.request("sip:a@192.0.2.1", "MESSAGE"))
        await peer.frame()
        calling = asyncio.create_task(agent.request("sip:a@192.0.2.1", "INVITE"))
        peer.send(*echo(await peer.frame()))
        call = await calling
        iterating = asyncio.ensure_future(anext(aiter(call)))
        await asyncio.sleep(0)
        peer.writer.close()
        for waiting in (sending, call.final(), iterating):
            with pytest.raises(ConnectionLost):
                await waiting
        await eventually(lambda: bool(losses) and caught == ["respond"])
        await peer.welcome(routes=2)
        await eventually(lambda: agent.connected)
        assert [one.tokens[2] for one in peer.received[-2:]] == ["invite", "register"]
        await eventually(lambda: agent.idle)


async def test_commands_on_a_lost_link_fail_at_once() -> None:
    async with connected() as (agent, peer):
        await peer.stop()
        await eventually(lambda: not agent.connected)
        with pytest.raises(ConnectionLost):
            await agent.request("sip:a@192.0.2.1")


async def test_a_server_without_signs_of_life_is_dead() -> None:
    async with connected(ping=0.03) as (agent, peer):
        losses: list[Exception] = []
        agent.on_lost(losses.append)
        asked = await peer.frame()
        assert asked.tokens[1] == "ping"
        peer.send(f"id|response|{asked.tokens[0]}|OK|pong")
        assert (await peer.frame()).tokens[1] == "ping"
        await eventually(lambda: bool(losses))
        assert "no sign of life" in str(losses[0])
        await peer.welcome()


async def test_a_server_too_old_for_pings_is_not_asked() -> None:
    async with ControlPeer() as peer, asyncio.timeout(5):
        agent = Agent(refuse)
        opening = asyncio.create_task(agent.attach(quick(peer, ping=0.01)))
        await peer.welcome("v0.7.9")
        await opening
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.reader.read(1), 0.1)
        await agent.close()


async def test_closing_fails_what_waits() -> None:
    async with connected() as (agent, peer):
        sending = asyncio.create_task(agent.request("sip:a@192.0.2.1", "MESSAGE"))
        await peer.frame()
        await agent.close()
        with pytest.raises(ConnectionLost):
            await sending
        with pytest.raises(asyncio.IncompleteReadError):
            await peer.frame()


@pytest.mark.parametrize("garbage", [b"hello world", b"10000000#", b"0#", b"\xff\xff\xff"])
async def test_garbage_costs_the_connection_and_nothing_else(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected() as (agent, peer):
        losses: list[Exception] = []
        agent.on_lost(losses.append)
        with caplog.at_level(logging.ERROR, "dracht.control"):
            peer.writer.write(garbage)
            await eventually(lambda: bool(losses))
        assert "broke the control protocol" in caplog.text
        await peer.welcome()
        await eventually(lambda: agent.connected)


async def test_frames_that_cannot_be_read_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(refuse, "invite") as (_, peer):
        for head in (
            "x",
            "x|sip",
            "x|sip|network",
            "x|response|nothing|OK",
            "x|response",
            "x|future|1",
            "x|cdr:attempt|network",
        ):
            peer.send(head)
        peer.send(NEW.format("s1"), "INVITE sip:bob SIP/2.0\r\nVia")
        peer.send(NEW.format("s2"), INVITE)
        answered = await peer.frame()
        assert answered.tokens[:3][1:] == ["sip", "s2"]
        assert answered.start == ["SIP/2.0", "486"]


# ---- commands


async def test_failures_carry_a_code_and_the_servers_words() -> None:
    async with connected() as (agent, peer):
        sending = asyncio.create_task(agent.request(method="BYE", dialog=("no-such", "zz")))
        asked = await peer.frame()
        assert asked.tokens[1:] == ["sip", "", "no-such;from-tag=zz"]
        assert asked.start == ["BYE", "sip:placeholder"]
        peer.send(
            f"id|response|{asked.tokens[0]}|NOK|Server error: unable to find dialog for dialog id provided"
        )
        with pytest.raises(CommandFailed) as failed:
            await sending
        assert failed.value.code == "unknown-dialog"
        assert "unable to find dialog" in failed.value.detail


async def test_the_commands_of_one_tick_go_out_together_and_in_order() -> None:
    async with connected() as (agent, peer):
        tasks = [asyncio.create_task(agent.request(f"sip:{n}@192.0.2.1")) for n in range(50)]
        await asyncio.sleep(0)
        frames = [await peer.frame() for _ in range(50)]
        assert [one.start[1] for one in frames] == [f"sip:{n}@192.0.2.1" for n in range(50)]
        assert len({one.tokens[0] for one in frames}) == 50
        for number, one in enumerate(frames):
            peer.send(*echo(one, f"t{number}"))
        assert [(await task).request.msg.uri for task in tasks] == [f"sip:{n}@192.0.2.1" for n in range(50)]


async def test_a_next_hop_and_utf8_are_carried() -> None:
    async with connected() as (agent, peer):
        sending = asyncio.create_task(
            agent.request(
                "sip:a@192.0.2.1",
                "MESSAGE",
                next_hop="sip:10.0.0.1;transport=tcp",
                headers={"X-N": "Grüße"},
                body="☎",
            )
        )
        asked = await peer.frame()
        assert asked.tokens[1:] == ["sip", "", "", "sip:10.0.0.1;transport=tcp"]
        assert "X-N: Grüße\r\n" in asked.text
        assert asked.text.endswith("Content-Length: 3\r\n\r\n☎")
        peer.send(*echo(asked))
        await sending


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\nb", "a\0"])
async def test_a_header_field_cannot_forge_another(value: str) -> None:
    async with connected() as (agent, _):
        with pytest.raises(HeaderError):
            await agent.request("sip:a@192.0.2.1", headers={"X": value})


@pytest.mark.parametrize("uri", ["sip:a b@h", "sip:a\r\nX: y", "sip:a|b"])
async def test_a_uri_cannot_break_its_line_or_frame(uri: str) -> None:
    async with connected() as (agent, _):
        with pytest.raises(CommandFailed, match="invalid-uri"):
            await agent.request(uri)


async def test_a_message_that_a_drachtio_server_cannot_take_is_refused_here() -> None:
    async with connected() as (agent, _):
        with pytest.raises(CommandFailed, match="limit"):
            await agent.request("sip:a@192.0.2.1", "MESSAGE", body="x" * 13_000)


async def test_a_timeout_cancels_an_invite_and_a_late_answer_is_hung_up() -> None:
    async with connected() as (agent, peer):
        calling = asyncio.create_task(agent.request("sip:a@192.0.2.1", "INVITE", timeout=0.05))
        peer.send(*echo(await peer.frame()))
        with pytest.raises(RequestTimeout):
            await (await calling).final()
        cancel = await peer.frame()
        assert cancel.tokens[1:] == ["sip", "t1", ""]
        assert cancel.start[0] == "CANCEL"
        peer.send(*echo(cancel, "t2"))
        peer.send(IN_DIALOG.format("t1"), reply("200 OK"))
        for method in ("ACK", "BYE"):
            asked = await peer.frame()
            assert asked.tokens[1:] == ["sip", "", "c@192.0.2.9;from-tag=a"]
            assert asked.start[0] == method
            peer.send(*echo(asked, f"x{method}"))
        await eventually(lambda: agent.idle)


async def test_cancelling_the_task_sends_cancel_even_before_the_invite_is_out() -> None:
    async with connected() as (agent, peer):
        calling = asyncio.create_task(agent.request("sip:a@192.0.2.1", "INVITE"))
        invite = await peer.frame()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        peer.send(*echo(invite))
        cancel = await peer.frame()
        assert cancel.start[0] == "CANCEL"
        peer.send(*echo(cancel, "t2"))
        peer.send(IN_DIALOG.format("t1"), reply("487 Request Terminated"))
        await eventually(lambda: agent.idle)


async def test_an_early_update_is_answered_under_its_own_cseq() -> None:
    updated = asyncio.Event()

    async def handler(req: Request, res: Response) -> None:
        if req.method == "UPDATE":
            sending = res.send(200)
            updated.set()
            await sending
        else:
            await updated.wait()
            await res.send(486)

    async with connected(handler, "invite") as (_, peer):
        peer.send(NEW.format("s1"), INVITE)
        peer.send(
            NEW.format("s1"), INVITE.replace("1 INVITE", "2 UPDATE").replace("INVITE sip", "UPDATE sip")
        )
        answered = await peer.frame()
        assert answered.tokens[1:3] == ["sip", "s1"]
        assert "CSeq: 2 UPDATE\r\n" in answered.text
        busy = await peer.frame()
        assert busy.tokens[1:3] == ["sip", "s1"]
        assert busy.start == ["SIP/2.0", "486"]
        assert "CSeq" not in busy.text


async def test_call_detail_records_are_handed_on() -> None:
    async with connected() as (agent, peer):
        records: list[tuple[str, str | None, str | None]] = []
        agent.on_cdr(lambda cdr: records.append((cdr.kind, cdr.role, cdr.reason)))
        assert [(await peer.frame()).tokens[2] for _ in range(3)] == ["cdr:attempt", "cdr:start", "cdr:stop"]
        peer.send("x|cdr:attempt|network|16:06:41.114500", INVITE)
        peer.send("x|cdr:start|application|16:06:43.000300|uas", reply("200 OK"))
        peer.send("x|cdr:stop|network|16:07:00.000100|normal-release", INVITE)
        await eventually(lambda: len(records) == 3)
        assert records == [("attempt", None, None), ("start", "uas", None), ("stop", None, "normal-release")]


async def test_a_server_connects_to_us_and_is_answered() -> None:
    seen: list[str] = []

    async def handler(req: Request, res: Response) -> None:
        seen.append(req.call_id)
        await res.send(486)

    agent = Agent(handler)
    await agent.accept("tcp://127.0.0.1:0", secret="cymru")
    host, port = agent.accepting[0].removeprefix("tcp://").split(":")
    peer = ControlPeer()
    async with asyncio.timeout(5):
        peer.reader, peer.writer = await asyncio.open_connection(host, int(port))
        asked = await peer.frame()
        assert asked.tokens[1:] == ["authenticate", "cymru", ""]
        peer.send(f"id|response|{asked.tokens[0]}|OK|udp/127.0.0.1:5060|v0.9.10")
        peer.send(NEW.format("s1"), INVITE)
        answered = await peer.frame()
        assert answered.start == ["SIP/2.0", "486"]
        assert seen == ["c1"]
        peer.writer.close()
        await eventually(lambda: not agent.links)
        await agent.close()


async def test_an_unread_link_does_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dracht.link.stream._MAX_UNSENT", 1_000_000)
    async with connected() as (agent, _):
        losses: list[Exception] = []
        agent.on_lost(losses.append)
        tasks: list[asyncio.Task[object]] = []
        while not losses:
            tasks.append(asyncio.create_task(agent.request("sip:a@192.0.2.1", "MESSAGE", body="x" * 12_000)))
            await asyncio.sleep(0)
            assert len(tasks) < 5_000
        assert "has not read" in str(losses[0])
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, ConnectionLost) for one in results)


async def test_the_dispatcher_holds_nothing_after_a_loss() -> None:
    async with connected(refuse, "invite") as (agent, peer):
        dispatcher: Dispatcher = agent._dispatchers[0]
        peer.send(NEW.format("s1"), INVITE)
        await peer.frame()
        peer.writer.close()
        await eventually(lambda: not agent.connected)
        with contextlib.suppress(TimeoutError):
            await agent.drain(1.0)
        assert dispatcher.idle
        assert not dispatcher.invites


def test_targets_for_a_server_without_q_are_bare_uris_in_the_order_of_their_q() -> None:
    targets = ["<sip:a@h>;q=0.2", "<sip:b@h>;expires=60;q=0.9", "sip:c@h", "<sip:d@h;transport=tcp>;q=high"]
    assert in_order(targets, "by_q") == ["sip:c@h", "sip:d@h;transport=tcp", "sip:b@h", "sip:a@h"]
    assert in_order(targets, "serial") == ["sip:a@h", "sip:b@h", "sip:c@h", "sip:d@h;transport=tcp"]
