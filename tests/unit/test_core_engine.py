"""An engine in this process gives what came from the network as events, in order, and puts commands on the wire."""

import asyncio
import inspect
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dracht import _core
from dracht._core import Engine, Message
from dracht.link.options import EngineOptions

SECONDS = 10.0


class Peer:
    """A SIP element as plain as can be: a UDP socket on loopback."""

    def __init__(self, engine: Engine) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(SECONDS)
        self.port = self.socket.getsockname()[1]
        self.server = ("127.0.0.1", udp_port(engine))

    def send(
        self,
        method: str,
        call: str,
        *fields: str,
        cseq: int = 1,
        branch: str = "",
        to_tag: str = "",
        uri: str = "",
    ) -> None:
        lines = [
            f"{method} {uri or f'sip:service@127.0.0.1:{self.server[1]}'} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{branch or f'{call}{method}{cseq}'};rport",
            "Max-Forwards: 70",
            f"From: <sip:peer@127.0.0.1:{self.port}>;tag=peer{call}",
            f"To: <sip:service@127.0.0.1>{f';tag={to_tag}' if to_tag else ''}",
            f"Call-ID: {call}@peer",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:peer@127.0.0.1:{self.port}>",
            *fields,
            "Content-Length: 0",
        ]
        self.socket.sendto("\r\n".join([*lines, "", ""]).encode(), self.server)

    def receive(self) -> Message:
        """The next message that is not a 100."""
        while True:
            message = Message.parse(self.socket.recv(65536))
            if message.status != 100:
                return message


def udp_port(engine: Engine) -> int:
    _, bound = engine.hostports()
    (port,) = [int(found[1]) for text in bound if (found := re.fullmatch(r"udp/.*:(\d+)", text))]
    return port


def events_until(engine: Engine, enough: Callable[[list[Any]], bool]) -> list[Any]:
    """Takes events until `enough` is true of them."""
    events: list[Any] = []
    deadline = time.monotonic() + SECONDS
    while not enough(events):
        assert engine.wait(deadline - time.monotonic()), f"nothing more after {events}"
        events += engine.take()
    return events


def next_event(engine: Engine, kind: int) -> Any:
    (event,) = events_until(engine, lambda events: len(events) >= 1)
    assert event[0] == kind, event
    return event


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine.start(["sip:127.0.0.1:0;transport=udp,tcp"], t1=0.05)
    engine.route_all()
    engine.flush()
    yield engine
    assert engine.stop()


@pytest.fixture
def peer(engine: Engine) -> Iterator[Peer]:
    peer = Peer(engine)
    yield peer
    peer.socket.close()


def test_a_request_becomes_an_event_and_its_answer_goes_on_the_wire(engine: Engine, peer: Peer) -> None:
    peer.send("OPTIONS", "one", "Subject: caf\xe9")
    _, transaction, dialog, message, origin, wire_bytes = next_event(engine, _core.EVENT_REQUEST)
    assert (message.method, message.header("Subject"), dialog) == ("OPTIONS", "café", None)
    assert (origin.transport, origin.peer, origin.connection) == ("udp", ("127.0.0.1", peer.port), None)
    assert origin.local == ("127.0.0.1", peer.server[1])
    assert wire_bytes < len(message), "received and rport were filled in"
    assert message.via.rport == peer.port

    command, *nothing = engine.respond(
        transaction,
        200,
        "Fine",
        [("X-Text", "é"), ("X-Bytes", b"\xff"), ("Content-Type", "text/plain")],
        b"body",
    )
    assert not nothing, "without the request only the engine knows what it sends"
    peer.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        peer.receive()
    assert engine.flush() == 1
    assert engine.flush() == 0
    peer.socket.settimeout(SECONDS)
    response = peer.receive()
    assert (response.status, response.reason, response.body) == (200, "Fine", b"body")
    assert response.header("X-Text") == "é"
    assert response.header("X-Bytes") == "\udcff"
    sent = next_event(engine, _core.EVENT_SENT)
    assert sent[1:4] == (command, transaction, None)
    assert bytes(sent[4]) == bytes(response)


def test_an_answer_written_on_this_thread_is_the_one_that_goes_on_the_wire(
    engine: Engine, peer: Peer
) -> None:
    peer.send("INVITE", "written")
    _, transaction, _, request, origin, _ = next_event(engine, _core.EVENT_REQUEST)
    ringing = engine.respond(transaction, 180, request=request)
    sdp = [("Content-Type", "application/sdp")]
    answered = engine.respond(transaction, 200, "Fine", sdp, b"v=0\r\n", request=request)
    assert len(ringing) == len(answered) == 4
    assert isinstance(ringing[1], Message)
    assert isinstance(answered[1], Message)
    assert (answered[1].status, answered[1].reason, answered[1].body) == (200, "Fine", b"v=0\r\n")
    assert ringing[1].to.tag == answered[1].to.tag, (
        "every answer to a request has one tag (RFC 3261 §8.2.6.2)"
    )
    assert ringing[2] == answered[2], "and is of one dialog"
    assert (answered[3].peer, answered[3].local) == (origin.peer, origin.local)
    engine.flush()
    assert bytes(peer.receive()) == bytes(ringing[1])
    ok = peer.receive()
    assert bytes(ok) == bytes(answered[1])

    peer.send("ACK", "written", branch="ack", to_tag=ok.to.tag or "", uri=ok.contacts[0].uri_text)
    event = next_event(engine, _core.EVENT_REQUEST)  # the first event: no EVENT_SENT came before it
    assert (event[2], event[3].method) == (answered[2], "ACK")


def test_an_answer_within_a_dialog_names_the_dialog(engine: Engine, peer: Peer) -> None:
    peer.send("INVITE", "within")
    _, transaction, _, request, _, _ = next_event(engine, _core.EVENT_REQUEST)
    answered = engine.respond(transaction, 200, request=request)
    assert len(answered) == 4
    assert isinstance(answered[1], Message)
    engine.flush()
    tag = answered[1].to.tag or ""
    assert peer.receive().to.tag == tag
    peer.send("BYE", "within", cseq=2, to_tag=tag, uri=answered[1].contacts[0].uri_text)
    _, transaction, dialog, bye, _, _ = next_event(engine, _core.EVENT_REQUEST)
    ended = engine.respond(transaction, 200, request=bye)
    assert len(ended) == 4
    assert (ended[2], dialog) == (answered[2], answered[2])
    assert isinstance(ended[1], Message)
    assert ended[1].to.tag == tag
    engine.flush()
    assert bytes(peer.receive()) == bytes(ended[1])


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        pytest.param(183, [("Require", "100rel")], id="reliable"),
        pytest.param(200, [("To", "<sip:service@127.0.0.1>;tag=mine")], id="own-tag"),
    ],
)
def test_what_only_the_engine_can_write_is_told_by_an_event(
    engine: Engine, peer: Peer, status: int, headers: list[tuple[str, str]]
) -> None:
    peer.send("INVITE", "engine", "Supported: 100rel")
    _, transaction, _, request, _, _ = next_event(engine, _core.EVENT_REQUEST)
    told = engine.respond(transaction, status, "", headers, request=request)
    assert len(told) == 1
    engine.flush()
    on_the_wire = peer.receive()
    assert on_the_wire.status == status
    sent = next_event(engine, _core.EVENT_SENT)
    assert sent[1:3] == (told[0], transaction)
    assert bytes(sent[4]) == bytes(on_the_wire)
    if status == 200:
        assert on_the_wire.to.tag == "mine"
    else:
        assert on_the_wire.header("RSeq") is not None


def test_an_answer_that_cannot_be_written_says_why_at_once(engine: Engine, peer: Peer) -> None:
    peer.send("OPTIONS", "unwritten")
    _, transaction, _, request, _, _ = next_event(engine, _core.EVENT_REQUEST)
    refused = engine.respond(transaction, 200, "", [("Bad Name", "value")], request=request)
    assert len(refused) == 4
    assert refused[1:3] == (None, "invalid-header")
    assert isinstance(refused[3], str)
    assert "Bad Name" in refused[3]
    engine.respond(transaction, 200, request=request)
    assert engine.flush() == 1
    assert peer.receive().status == 200


def test_a_call_is_set_up_and_ended(engine: Engine, peer: Peer) -> None:
    peer.send("INVITE", "call")
    _, transaction, _, _, _, _ = next_event(engine, _core.EVENT_REQUEST)
    engine.respond(transaction, 180)
    engine.respond(transaction, 200)
    engine.flush()
    assert peer.receive().status == 180
    ok = peer.receive()
    assert (ok.status, ok.reason) == (200, "OK")
    sent = events_until(engine, lambda events: len(events) == 2)
    assert [event[0] for event in sent] == [_core.EVENT_SENT] * 2
    dialog = sent[1][3]
    assert dialog is not None

    tag, contact = ok.to.tag or "", ok.contacts[0].uri_text
    peer.send("ACK", "call", branch="ack", to_tag=tag, uri=contact)
    event = next_event(engine, _core.EVENT_REQUEST)
    assert (event[2], event[3].method) == (dialog, "ACK")

    peer.send("BYE", "call", cseq=2, to_tag=tag, uri=contact)
    event = next_event(engine, _core.EVENT_REQUEST)
    assert (event[2], event[3].method) == (dialog, "BYE")
    engine.respond(event[1], 200)
    engine.flush()
    assert (peer.receive().cseq.method) == "BYE"
    next_event(engine, _core.EVENT_SENT)
    until(lambda: engine.counts()[0]["dialogs"] == 0)


def test_a_request_of_ours_goes_out_and_its_responses_come_back(engine: Engine, peer: Peer) -> None:
    command = engine.send_request(
        "MESSAGE", f"sip:peer@127.0.0.1:{peer.port}", [("Content-Type", "text/plain")], b"hello"
    )
    engine.flush()
    request = peer.receive()
    assert (request.method, request.body) == ("MESSAGE", b"hello")
    _, of, transaction, _, message, path = next_event(engine, _core.EVENT_SENT)
    assert of == command
    assert bytes(message) == bytes(request)
    assert path.peer == ("127.0.0.1", peer.port)
    fields = [
        f"{name}: {value}"
        for name, value in request.fields()
        if name in ("Via", "From", "To", "Call-ID", "CSeq")
    ]
    peer.socket.sendto(
        "\r\n".join(["SIP/2.0 202 Accepted", *fields, "Content-Length: 0", "", ""]).encode(), peer.server
    )
    response = next_event(engine, _core.EVENT_RESPONSE)
    assert (response[1], response[3].status, response[4].peer) == (transaction, 202, ("127.0.0.1", peer.port))


def test_a_command_that_cannot_be_carried_out_fails_with_a_code(engine: Engine) -> None:
    command = engine.respond(12345, 200)[0]
    refused = engine.send_request("OPTIONS", "nonsense")
    engine.flush()
    events = events_until(engine, lambda events: len(events) == 2)
    # An answer's failure may wait behind the CANCEL that was why: which of the two comes first is not promised.
    failed = {event[1]: event for event in events}
    assert failed[command][:3] == (_core.EVENT_FAILED, command, "unknown-transaction")
    assert failed[refused][:3] == (_core.EVENT_FAILED, refused, "invalid-uri")
    assert isinstance(failed[refused][3], str)


def test_every_option_of_an_engine_can_be_given_to_an_application() -> None:
    taken = set(inspect.signature(Engine.start).parameters) - {"listen", "embedded", "control", "secret"}
    # Certificates serve every link, so they are an argument of their own beside the options.
    taken -= {"tls"}
    assert set(EngineOptions.__annotations__) == taken


def test_ten_thousand_events_come_in_order_and_in_bounded_batches(engine: Engine, peer: Peer) -> None:
    count = 10_000
    seen: list[int] = []
    finished = threading.Event()
    allowed = threading.Semaphore(500)  # as many may be under way as surely fit into the socket's buffer

    def send() -> None:
        for number in range(count):
            allowed.acquire()
            peer.send("OPTIONS", f"n{number}")

    async def receive() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def on_ready() -> None:
            events = engine.take(64)
            assert len(events) <= 64
            for event in events:
                if event[0] == _core.EVENT_REQUEST:
                    seen.append(int(event[3].call_id.removeprefix("n").removesuffix("@peer")))
                    engine.respond(event[1], 200)
                    allowed.release()
            engine.flush()
            if len(seen) >= count and not done.done():
                done.set_result(None)

        loop.add_reader(engine.fileno(), on_ready)
        await asyncio.wait_for(done, 60)
        loop.remove_reader(engine.fileno())

    sender = threading.Thread(target=send)
    sender.start()
    asyncio.run(receive())
    sender.join()
    finished.set()
    assert seen == list(range(count))
    totals = engine.bridge_counts()
    assert totals["dropped"] == 0
    assert totals["events"] >= count
    assert 0 < totals["wakes"] <= totals["takes"]


def test_what_a_bounded_take_leaves_keeps_the_descriptor_readable(engine: Engine, peer: Peer) -> None:
    for number in range(5):
        peer.send("OPTIONS", f"left{number}")
    until(lambda: engine.bridge_counts()["waiting"] == 5)
    taken = 0
    while engine.wait(0):
        events = engine.take(2)
        assert len(events) <= 2
        taken += len(events)
    assert taken == 5
    assert engine.take() == []
    assert engine.bridge_counts()["oldest_microseconds"] == 0


def test_a_take_that_does_not_arm_lets_events_come_without_a_wake(engine: Engine, peer: Peer) -> None:
    peer.send("OPTIONS", "first")
    assert engine.wait(SECONDS)
    assert len(engine.take(256, arm=False)) == 1
    peer.send("OPTIONS", "second")
    until(lambda: engine.bridge_counts()["waiting"] == 1)
    assert not engine.wait(0)
    assert engine.bridge_counts()["oldest_microseconds"] > 0
    assert len(engine.take()) == 1
    peer.send("OPTIONS", "third")
    assert engine.wait(SECONDS)


def test_new_requests_past_the_bound_are_answered_503(peer: Peer) -> None:
    engine = Engine.start(["sip:127.0.0.1:0;transport=udp"], max_events=3, max_event_age=60)
    peer.server = ("127.0.0.1", udp_port(engine))
    engine.route_all()
    engine.flush()
    for number in range(5):
        peer.send("OPTIONS", f"bound{number}")
    until(lambda: engine.bridge_counts()["dropped"] == 2)
    assert len(engine.take()) == 3
    engine.flush()
    refused = [peer.receive(), peer.receive()]
    assert [(message.status, message.header("Retry-After")) for message in refused] == [(503, "5")] * 2
    assert engine.take() == [], "nobody waits for the outcome of these"
    assert engine.stop()


def test_counts_name_the_tables(engine: Engine) -> None:
    (counts,) = engine.counts()
    for name in (
        "shard",
        "server_transactions",
        "client_transactions",
        "dialogs",
        "proxies",
        "timers",
        "connections",
    ):
        assert counts[name] == 0
    assert counts["applications"] == 1


def test_listeners_on_port_0_say_which_port_they_have(engine: Engine) -> None:
    advertised, bound = engine.hostports()
    assert advertised == bound
    assert re.fullmatch(r"udp/127\.0\.0\.1:[1-9]\d+ tcp/127\.0\.0\.1:[1-9]\d+", " ".join(bound))


def test_an_advertised_address_is_what_peers_are_told() -> None:
    engine = Engine.start(["sip:127.0.0.1:0;transport=udp"], advertise="sip.example:5099")
    assert engine.hostports()[0] == ["udp/sip.example:5099"]
    assert engine.stop()


def test_an_advertised_address_is_told_to_peers_of_its_family_alone() -> None:
    texts = ["sip:127.0.0.1:0;transport=udp", "sip:[::1]:0;transport=udp"]
    engine = Engine.start(texts, advertise="203.0.113.9")
    advertised, bound = engine.hostports()
    assert advertised[0].startswith("udp/203.0.113.9")
    assert advertised[1] == bound[1]
    assert engine.stop()
    # With no listener of its family, what is before this host translates.
    engine = Engine.start(["sip:[::1]:0;transport=udp"], advertise="203.0.113.9")
    assert engine.hostports()[0][0].startswith("udp/203.0.113.9")
    assert engine.stop()


def test_a_control_listener_is_opened_and_wants_a_secret() -> None:
    engine = Engine.start(["sip:127.0.0.1:0"], control="127.0.0.1:0", secret="cymru", embedded=False)
    assert engine.control_address is not None
    with socket.create_connection(engine.control_address, SECONDS) as client:
        client.settimeout(SECONDS)
        client.sendall(b"22#id|authenticate|wrong|")
        assert b"incorrect secret" in client.recv(1000)
    with pytest.raises(RuntimeError, match="embedded"):
        engine.take()
    assert engine.stop()
    with pytest.raises(ValueError, match="secret"):
        Engine.start(["sip:127.0.0.1:0"], control="127.0.0.1:0")
    with pytest.raises(ValueError, match="HOST:PORT"):
        Engine.start(["sip:127.0.0.1:0"], control="nowhere", secret="cymru")


def test_stop_frees_the_port_and_may_be_called_again() -> None:
    engine = Engine.start(["sip:127.0.0.1:0;transport=udp,tcp"])
    port = udp_port(engine)
    assert engine.stop()
    assert engine.stop()
    again = Engine.start([f"sip:127.0.0.1:{port};transport=udp,tcp"])
    assert udp_port(again) == port
    assert again.stop()


def test_a_port_in_use_is_an_os_error_that_names_it(engine: Engine) -> None:
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.1", 0))
    with pytest.raises(OSError, match=str(taken.getsockname()[1])):
        Engine.start([f"sip:127.0.0.1:{taken.getsockname()[1]};transport=udp"])
    taken.close()


@pytest.mark.parametrize(
    ("listen", "keywords", "text"),
    [
        (["sip:127.0.0.1:99999"], {}, "65535"),
        (["127.0.0.1:5060"], {}, "sip:"),
        ([], {}, "listen"),
        (["sip:127.0.0.1:0"], {"shards": 0}, "shards"),
        (["sip:127.0.0.1:0"], {"shards": 256}, "shards"),
        (["sip:127.0.0.1:0"], {"t1": 0.0}, "t1"),
        (["sip:127.0.0.1:0"], {"timer_c": -1.0}, "timer_c"),
        (["sip:127.0.0.1:0"], {"dialog_idle": float("nan")}, "dialog_idle"),
        (["sip:127.0.0.1:0"], {"min_se": 89}, "min_se=89"),
        (["sip:127.0.0.1:0"], {"min_se": 120, "session_expires": 100}, "session_expires=100"),
        (["sip:127.0.0.1:0"], {"session_refresher": "me"}, "session_refresher"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(
    listen: list[str], keywords: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        Engine.start(listen, **keywords)


def test_arguments_of_commands_are_checked_where_they_are_given(engine: Engine) -> None:
    with pytest.raises(ValueError, match="not a method"):
        engine.route("IN VITE")
    with pytest.raises(ValueError, match="101"):
        engine.respond(1, 100)
    with pytest.raises(TypeError, match="tuple"):
        engine.respond(1, 200, headers=[("X", "a", "b")])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        engine.respond(1, 200, headers=[("X", 5)])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="dialog"):
        engine.send_request("BYE", "", dialog="x")  # type: ignore[arg-type]
    assert engine.flush() == 0


def test_an_engine_that_is_forgotten_stops() -> None:
    before = set(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else set()
    engine = Engine.start(["sip:127.0.0.1:0"])
    del engine
    if before:
        until(lambda: set(os.listdir("/proc/self/task")) <= before)


def test_the_interpreter_runs_on_while_a_thread_waits(engine: Engine) -> None:
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(engine.wait(0.3)))
    started = time.monotonic()
    thread.start()
    steps = 0
    while thread.is_alive():
        steps += 1
        time.sleep(0.01)
    assert time.monotonic() - started >= 0.3
    assert steps >= 5
    assert waited == [False]


def test_what_the_rust_half_logs_is_a_line_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    _core.install_logging("warning")
    engine = Engine.start(["sip:127.0.0.1:0"], control="127.0.0.1:0", secret="cymru", embedded=False)
    assert engine.control_address is not None
    with socket.create_connection(engine.control_address, SECONDS) as client:
        client.settimeout(SECONDS)
        client.sendall(b"22#id|authenticate|wrong|")
        while client.recv(1000):
            pass
    lines: list[str] = []

    def logged() -> bool:
        lines.extend(capfd.readouterr().err.splitlines())
        return bool(lines)

    until(logged)
    assert any("WARN" in line and "127.0.0.1" in line for line in lines), lines
    assert "cymru" not in "".join(lines)
    _core.install_logging("off")
    assert engine.stop()


def test_logging_takes_the_names_of_levels_only(capfd: pytest.CaptureFixture[str]) -> None:
    _core.install_logging("ERROR")
    _core.install_logging("off")
    with pytest.raises(ValueError, match="loud"):
        _core.install_logging("loud")
    assert capfd.readouterr().err == ""


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that happens on the engine's threads."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
