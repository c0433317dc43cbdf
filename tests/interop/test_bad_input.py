"""Bad input costs the message or connection at hand and nothing else.

Truncated and corrupted messages on UDP, TCP and the control port, wrong secrets, frames past the limit and clients that
never read leave a server that answers, holds nothing and has not grown.

DRACHT_DENSITY is the share of corrupted positions that are tried (1 tries each of them).
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.cases import DRACHT, ROOT, SECRET
from bench.probe import Probe
from bench.processes import Running, free_port, resident_bytes, running, wait_for_application, wait_for_tcp

from .status import counts, wait_until_empty

DENSITY = float(os.environ.get("DRACHT_DENSITY", "0.25"))
CORPUS = sorted((ROOT / "corpus" / "devices").glob("*.sip"))
CONTROL_CORPUS = sorted((ROOT / "corpus" / "control").glob("*"))
GROWTH = 4 << 20
"""Bytes that a second pass of the same input may add to resident memory: noise of the allocator, not a leak."""


@dataclass
class Target:
    """A server with an application that answers calls."""

    port: int
    control: int
    server: Running
    application: Running

    def assert_alive(self) -> None:
        """Both processes run, a call is answered, nothing panicked."""
        for process in (self.server, self.application):
            assert process.process.poll() is None, process.output()[-3000:]
            assert "panicked" not in process.output(), process.output()[-3000:]
        probe = Probe("INVITE", self.port)
        try:
            for _ in range(3):
                probe.once()
            assert (len(probe.milliseconds), probe.lost) == (3, 0)
        finally:
            probe.close()
        totals = {
            name: value for shard in counts(self.control) for name, value in shard.get("totals", {}).items()
        }
        assert totals.get("panics", 0) == 0, totals


@contextmanager
def serving(folder: Path) -> Iterator[Target]:
    port, control = free_port(), free_port()
    listen = ["--listen", f"sip:127.0.0.1:{port};transport=udp,tcp"]
    secured = ["--control", f"127.0.0.1:{control}", "--secret", SECRET]
    connect = ["--connect", f"tcp://127.0.0.1:{control}", "--secret", SECRET]
    with ExitStack() as stack:
        server = stack.enter_context(running("serve", [DRACHT, "serve", *listen, *secured], folder))
        wait_for_tcp(control, server)
        example = ROOT / "examples" / "uas.py"
        application = stack.enter_context(running("run", [DRACHT, "run", example, *connect], folder))
        wait_for_application(port, application)
        yield Target(port, control, server, application)


def damaged(message: bytes, seed: int) -> Iterator[bytes]:
    """Every prefix (by DENSITY), and single bytes replaced by what parsers stumble over and by a random one."""
    chance = random.Random(seed)
    for length in range(len(message)):
        if chance.random() < DENSITY:
            yield message[:length]
    for position in range(len(message)):
        if chance.random() >= DENSITY:
            continue
        for value in (0, 0x0A, 0x0D, 0x20, 0x3A, 0xFF, chance.randrange(256)):
            yield message[:position] + bytes([value]) + message[position + 1 :]


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 5.0)


def throw_datagrams(port: int) -> int:
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        for number, path in enumerate(CORPUS):
            for message in damaged(path.read_bytes(), number):
                sender.sendto(message, ("127.0.0.1", port))
                sent += 1
                if sent % 50 == 0:
                    time.sleep(
                        0.005
                    )  # a pace that the socket's buffer bears: what is dropped there tests nothing
    return sent


def throw_streams(port: int, messages: Iterator[bytes]) -> int:
    sent = 0
    for message in messages:
        with (
            connect(port) as stream,
            suppress(OSError),
        ):  # the server may close a broken stream before all of it is sent
            stream.sendall(message)
        sent += 1
    return sent


def some(paths: list[Path], count: int) -> Iterator[bytes]:
    """`count` damaged messages, spread evenly over the corpus."""
    every = [message for number, path in enumerate(paths) for message in damaged(path.read_bytes(), number)]
    yield from random.Random(count).sample(every, min(count, len(every)))


def test_the_corpus_is_there() -> None:
    assert CORPUS
    assert CONTROL_CORPUS


@pytest.mark.parametrize("way", ["udp", "tcp", "control"])
def test_damaged_messages_cost_nothing_else(tmp_path: Path, way: str) -> None:
    with serving(tmp_path) as target:
        sizes = []
        for _ in range(3):
            if way == "udp":
                assert throw_datagrams(target.port) > 500
            elif way == "tcp":
                assert throw_streams(target.port, some(CORPUS, 1500)) > 500
            else:
                assert throw_streams(target.control, some(CONTROL_CORPUS, 1500)) > 500
            target.assert_alive()
            sizes.append(resident_bytes(target.server.pid) + resident_bytes(target.application.pid))
        wait_until_empty(target.control, 120.0)
        assert resident_bytes(target.server.pid) - sizes[0] < max(GROWTH, sizes[1] - sizes[0]), sizes
        target.assert_alive()


def frame(payload: str) -> bytes:
    encoded = payload.encode()
    return b"%d#%s" % (len(encoded), encoded)


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
            stream.sendall(frame("one|authenticate|wrong|"))
            assert b"|response|one|NO|incorrect secret" in read_until_closed(stream)
        with connect(target.control) as stream:
            stream.sendall(frame("two|route|invite"))
            assert b"|response|two|NO|" in read_until_closed(stream)
        target.assert_alive()


def test_a_frame_of_ten_megabytes_is_refused_and_logged(tmp_path: Path) -> None:
    with serving(tmp_path) as target:
        before = resident_bytes(target.server.pid)
        for authenticated in (False, True):
            with connect(target.control) as stream:
                if authenticated:
                    stream.sendall(frame(f"one|authenticate|{SECRET}|"))
                    assert b"|OK|" in stream.recv(65536)
                with suppress(OSError):  # closed before all of it was read: that is the point
                    stream.sendall(b"10485760#" + b"x" * 10_485_760)
                read_until_closed(stream)
        target.assert_alive()
        assert resident_bytes(target.server.pid) - before < 8 << 20
        assert "limit" in target.server.output(), target.server.output()[-2000:]


def test_a_client_that_never_reads_is_let_go_with_bounded_memory(tmp_path: Path) -> None:
    with serving(tmp_path) as target:
        before = resident_bytes(target.server.pid)
        with connect(target.control) as stream:
            stream.sendall(frame(f"one|authenticate|{SECRET}|"))
            assert b"|OK|" in stream.recv(65536)
            ping = frame("p" * 40_000 + "|ping") * 20
            stream.settimeout(2.0)
            written = 0
            try:
                while written < 200_000_000:
                    written += stream.send(ping)
            except OSError:
                pass  # either the server stopped reading (its bound) or it closed the connection
            assert resident_bytes(target.server.pid) - before < 64 << 20
        target.assert_alive()
