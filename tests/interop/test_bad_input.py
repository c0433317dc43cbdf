"""Bad input costs the message or connection at hand and nothing else.

Truncated and corrupted messages on UDP, TCP and the control port, wrong secrets, frames past the limit and clients that
never read leave a server that answers, holds nothing, has not grown, and has said in its log what it refused.

DRACHT_DENSITY is the share of positions that are tried: 1 tries each prefix and each byte.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.cases import DRACHT, ROOT, SECRET
from bench.probe import Probe
from bench.processes import Running, free_port, resident_bytes, running, wait_for_application, wait_for_tcp

from .status import counts, wait_until_empty

DENSITY = float(os.environ.get("DRACHT_DENSITY", "0.03"))
BYTES = (0, 0x0A, 0x0D, 0x20, 0x3A, 0xFF)
"""What parsers stumble over; a random byte comes on top."""
GROWTH = 2 << 20
"""Bytes that a further pass of the same input may add to resident memory at rest: noise of the allocator, not a leak."""
FRAMES = re.compile(rb"^A>S \+\d+\.\d+ (\d+)#", re.MULTILINE)


@dataclass
class Target:
    """A server with an application that answers calls."""

    port: int
    control: int
    server: Running
    application: Running

    def assert_alive(self) -> None:
        """Both processes run, calls are answered, nothing panicked."""
        for process in (self.server, self.application):
            assert process.process.poll() is None, process.output()[-3000:]
            assert "panicked" not in process.output(), process.output()[-3000:]
        probe = Probe("INVITE", self.port)
        try:
            for _ in range(3):
                probe.once()
            assert (len(probe.milliseconds), probe.lost) == (3, 0), self.server.output()[-3000:]
        finally:
            probe.close()
        assert sum(shard["totals"]["panics"] for shard in counts(self.control)) == 0

    def settle(self) -> int:
        """Waits until every table is empty and the tests' own control connections are gone; resident bytes then."""
        wait_until_empty(self.control, 60.0)
        deadline = time.monotonic() + 10.0
        while (held := [shard["applications"] for shard in counts(self.control)]) != [
            2
        ]:  # `run` and `status`
            assert time.monotonic() < deadline, held
            time.sleep(0.1)
        before = self.server.output().count("memory given back")
        self.server.process.send_signal(signal.SIGUSR1)
        while self.server.output().count("memory given back") == before:
            assert time.monotonic() < deadline + 10.0, self.server.output()[-3000:]
            time.sleep(0.02)
        return resident_bytes(self.server.pid)


@contextmanager
def serving(folder: Path, level: str = "warning") -> Iterator[Target]:
    port, control = free_port(), free_port()
    connect = ["--connect", f"tcp://127.0.0.1:{control}", "--secret", SECRET]
    serve = [
        sys.executable,
        "-m",
        "tests.interop.quick_server",
        f"sip:127.0.0.1:{port};transport=udp,tcp",
        f"127.0.0.1:{control}",
        SECRET,
        level,
    ]
    with ExitStack() as stack:
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        server = stack.enter_context(running("serve", serve, folder, environment))
        wait_for_tcp(control, server)
        example = ROOT / "examples" / "uas.py"
        application = stack.enter_context(running("run", [DRACHT, "run", example, *connect], folder))
        wait_for_application(port, application)
        yield Target(port, control, server, application)


def at_home(message: bytes) -> bytes:
    """The message with every name of the documentation replaced, so that nothing is looked up or sent elsewhere."""
    return re.sub(rb"[a-z0-9.-]+\.(?:example|invalid|com|net|org)\b", b"127.0.0.1", message)


def sip_messages() -> list[bytes]:
    """The corpus of SIP messages."""
    return [at_home(path.read_bytes()) for path in sorted((ROOT / "corpus" / "devices").glob("*.sip"))]


def control_payloads() -> list[bytes]:
    """What applications sent in the conversations of the corpus, one payload each, every kind once."""
    found: dict[bytes, bytes] = {}
    for path in sorted((ROOT / "corpus" / "control").glob("*/*.txt")):
        data, at = path.read_bytes(), 0
        while entry := FRAMES.search(data, at):
            at = entry.end() + int(entry[1])
            payload = at_home(data[entry.end() : at])
            kind = b" ".join(
                payload.partition(b"|")[2].split(b"\r\n")[0].split(b"|")[:2] + payload.split(b"\r\n")[1:2]
            )
            found.setdefault(re.sub(rb"[0-9a-f-]{8,}|\d+", b"", kind), payload)
    return list(found.values())


def damaged(message: bytes, seed: int) -> Iterator[bytes]:
    """Prefixes, and single bytes replaced by those that parsers stumble over and by a random one; DENSITY of all there are."""
    chance = random.Random(seed)
    for length in range(len(message)):
        if chance.random() < DENSITY:
            yield message[:length]
    for position in range(len(message)):
        if chance.random() < DENSITY:
            for value in (*BYTES, chance.randrange(256)):
                yield message[:position] + bytes([value]) + message[position + 1 :]


def all_damaged(messages: list[bytes]) -> Iterator[bytes]:
    for number, message in enumerate(messages):
        yield from damaged(message, number)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 5.0)


def frame(payload: bytes) -> bytes:
    return b"%d#%s" % (len(payload), payload)


AUTHENTICATE = frame(b"one|authenticate|" + SECRET.encode() + b"|")


def throw_datagrams(target: Target) -> int:
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        for message in all_damaged(sip_messages()):
            sender.sendto(message, ("127.0.0.1", target.port))
            sent += 1
            if sent % 50 == 0:  # a pace that the socket's buffer bears: what is dropped there tests nothing
                time.sleep(0.005)
    return sent


def throw_stream(port: int, data: bytes) -> None:
    """A connection of its own for the data, ended by half: the server reads all of it, and may close first."""
    with connect(port) as stream, suppress(OSError):
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)


def throw_streams(target: Target) -> int:
    sent = 0
    for message in all_damaged(sip_messages()):
        throw_stream(target.port, message)
        sent += 1
    return sent


def throw_frames(target: Target) -> int:
    """Damaged frames, as they are and with a length that fits, from strangers and from clients that know the secret."""
    sent = 0
    for payload in control_payloads():
        for wire in damaged(frame(payload), len(payload)):
            throw_stream(target.control, wire if sent % 4 == 0 else AUTHENTICATE + wire)
            sent += 1
        for broken in damaged(payload, len(payload) + 1):
            throw_stream(target.control, AUTHENTICATE + frame(broken) if broken else AUTHENTICATE)
            sent += 1
    return sent


WAYS: dict[str, tuple[Callable[[Target], int], tuple[str, ...]]] = {
    "udp": (throw_datagrams, ("received what is not a SIP message", "request refused")),
    "tcp": (throw_streams, ("received what is not a SIP message", "request refused")),
    "control": (throw_frames, ("framing error", "wrong secret", "before it authenticated", "was refused")),
}


def test_damaged_messages_cost_nothing_else(tmp_path: Path) -> None:
    with serving(tmp_path) as target, connect(target.port) as bystander:
        sizes = []
        for _ in range(3):
            for throw, _lines in WAYS.values():
                assert throw(target) > 1000
                target.assert_alive()
            sizes.append(target.settle())
        assert sizes[2] - sizes[1] < GROWTH, sizes
        log = target.server.output()
        for way, (_throw, lines) in WAYS.items():
            for line in lines:
                assert line in log, (way, line, log[-3000:])
        bystander.sendall(
            b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKby\r\nMax-Forwards: 1\r\n"
            b"From: <sip:by@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: by\r\nCSeq: 1 OPTIONS\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        assert bystander.recv(65536).startswith(b"SIP/2.0 "), "a connection that did nothing wrong was lost"


def torture_messages() -> dict[str, bytes]:
    """The torture messages of RFC 4475 and RFC 5118, bodies as they are, every address in their heads one of this machine.

    Many share a branch, which their hosts told apart: it gets the message's name.
    """

    def head_at_home(message: bytes, name: str) -> bytes:
        head, end, body = re.fullmatch(rb"(.*?)((?:\r?\n){2}|\Z)(.*)", message, re.DOTALL).groups()  # type: ignore[union-attr]
        head = re.sub(rb"\b(?!127\.)\d+\.\d+\.\d+\.\d+\b", b"127.0.0.1", at_home(head))
        head = re.sub(rb"(?<=branch=z9hG4bK)(?=\w)", name.replace("-", "").encode(), head)
        return re.sub(rb"\[(?:2001|::ffff)[0-9a-f:.]*\]", b"[::1]", head) + end + body

    folders = (ROOT / "corpus" / "rfc4475", ROOT / "corpus" / "rfc5118")
    paths = [path for folder in folders for path in sorted(folder.glob("*.sip"))]
    return {path.stem: head_at_home(path.read_bytes(), path.stem) for path in paths}


def answers(receiver: socket.socket) -> set[tuple[str, int]]:
    """The final responses that come within a second: the start of the Call-ID (empty without one), and the status."""
    found = set()
    deadline = time.monotonic() + 1.0
    receiver.settimeout(0.3)
    with suppress(TimeoutError):
        while time.monotonic() < deadline:
            response = receiver.recv(65536)
            call_id = re.search(rb"^Call-ID: (\w+)", response, re.MULTILINE)
            status = int(response.split(b" ")[1])
            if status >= 200:
                found.add((call_id[1].decode() if call_id else "", status))
    return found


def test_torture_messages_are_answered_and_cost_nothing_else(tmp_path: Path) -> None:
    messages = torture_messages()
    assert len(messages) == 62
    with serving(tmp_path) as target, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        came = set()
        for _ in range(5):
            for message in messages.values():
                sender.sendto(message, ("127.0.0.1", target.port))
                throw_stream(target.port, message)
                throw_stream(target.port, message * 3)
            came |= answers(sender)
            target.assert_alive()
        # What the engine decides; the example answers the rest.
        expected = {
            *(("badinv01", 400), ("clerr", 400), ("ncl", 400), ("scalar02", 400), ("quotbal", 400)),
            *(("ltgtruri", 400), ("lwsruri", 400), ("lwsstart", 400), ("trws", 400), ("escruri", 400)),
            *(("baddn", 400), ("badvers", 505), ("mismatch01", 400), ("mismatch02", 501)),
            *(("", 400), ("unkscm", 416), ("novelsc", 416), ("multi01", 400), ("mcl01", 400)),
        }
        assert expected <= came, sorted(expected - came)
        target.settle()


def read_until_closed(stream: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            piece = stream.recv(65536)
        except ConnectionResetError:
            return received
        if not piece:
            return received
        received += piece


def test_a_wrong_secret_and_anything_before_authentication_are_refused_by_name(tmp_path: Path) -> None:
    with serving(tmp_path) as target:
        with connect(target.control) as stream:
            stream.sendall(frame(b"one|authenticate|wrong|"))
            assert b"|response|one|NO|incorrect secret" in read_until_closed(stream)
        with connect(target.control) as stream:
            stream.sendall(frame(b"two|route|invite"))
            assert b"|response|two|NO|" in read_until_closed(stream)
        target.assert_alive()


def test_whoever_only_looks_whether_the_control_port_is_open_writes_few_lines(tmp_path: Path) -> None:
    with serving(tmp_path, "info") as target:
        for _ in range(300):
            connect(target.control).close()
        target.assert_alive()
        target.settle()
        log = target.server.output()
        told = log.count("the client closed the connection without authenticating")
        assert 0 < told < 100, told
        assert log.count("control client disconnected") < 100


def test_a_frame_of_ten_megabytes_is_refused_and_logged(tmp_path: Path) -> None:
    with serving(tmp_path) as target:
        before = resident_bytes(target.server.pid)
        for authenticated in (False, True):
            with connect(target.control) as stream:
                if authenticated:
                    stream.sendall(AUTHENTICATE)
                    assert b"|OK|" in stream.recv(65536)
                with suppress(OSError):  # closed before all of it was read: that is the point
                    stream.sendall(b"10485760#" + b"x" * 10_485_760)
                read_until_closed(stream)
        target.assert_alive()
        assert resident_bytes(target.server.pid) - before < 8 << 20
        log = target.server.output()
        for accepted in (16_384, 1_048_576):
            assert f"a frame announces 10485760 bytes, more than the {accepted} accepted" in log, log[-2000:]


def test_a_client_that_never_reads_is_let_go_with_bounded_memory(tmp_path: Path) -> None:
    with serving(tmp_path) as target:
        before = resident_bytes(target.server.pid)
        with connect(target.control) as stream:
            stream.sendall(AUTHENTICATE)
            assert b"|OK|" in stream.recv(65536)
            ping = frame(b"p" * 40_000 + b"|ping") * 20
            stream.settimeout(2.0)
            written = 0
            try:
                while written < 200_000_000:
                    written += stream.send(ping)
            except OSError:
                pass  # either the server stopped reading (its bound) or it closed the connection
            assert resident_bytes(target.server.pid) - before < 64 << 20
        target.assert_alive()
