"""A peer's process, its record of messages, and waiting for what it says.

`Peers` starts them and ends exactly those it started. A wait is for a condition, has a limit, and when it is in vain says what
the peer saw and wrote.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.conformance.sip import Sip

__all__ = ["LIMIT", "Entry", "Peer", "Peers", "Witness", "eventually", "steps"]

LIMIT = 30.0
"""Seconds until a wait is in vain: generous, as a test on a busy machine is to fail for what is wrong only."""

W = TypeVar("W", bound="Witness")


class Entry(NamedTuple):
    """A message as the peer saw it."""

    sent: bool
    message: Sip


async def eventually(condition: Callable[[], object], what: object = "", limit: float = LIMIT) -> None:
    """Waits until a condition holds: for what nothing tells of."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about: {what() if callable(what) else what}"
        await asyncio.sleep(0.02)


def steps(ladder: str) -> list[str]:
    """A ladder as a test writes it: `">INVITE <180 <200 >ACK"`."""
    return [f"{step[0]} {step[1:]}" for step in ladder.split()]


class Witness:
    """Whoever keeps a record of its own of the messages it sent and received: what a test asserts."""

    name: str
    """What failures call it."""

    def record(self) -> list[Entry]:
        """The messages it sent and received, in order, as it wrote them down itself."""
        raise NotImplementedError

    def alive(self, waiting_for: str) -> None:
        """Fails when nothing more can come from it."""

    async def ready(self) -> None:
        """Returns when it can be used."""

    async def stop(self) -> None:
        """Ends it."""

    def messages(self, label: str | int, *, sent: bool, of: str | None = None) -> list[Sip]:
        """Its messages with that method or status, in order, repetitions left out.

        Args:
            label: a method or a status.
            sent: those it sent, or those it received.
            of: the method that a status answers.
        """
        found: dict[bytes, Sip] = {}
        for entry in self.record():
            message = entry.message
            if entry.sent == sent and message.label == str(label) and of in (None, message.method):
                found.setdefault(message.data, message)
        return list(found.values())

    def message(self, label: str | int, *, sent: bool, of: str | None = None) -> Sip:
        """The last of them."""
        found = self.messages(label, sent=sent, of=of)
        assert found, f"{self.name} {'sent' if sent else 'received'} no {label}\n{self}"
        return found[-1]

    def ladder(self, *methods: str, call: str | None = None) -> list[str]:
        """Its record in short, without repetitions and 100s: `> INVITE` was sent, `< 200` came.

        Args:
            methods: only requests of these and their responses; all when left out.
            call: only messages with this Call-ID.
        """
        seen: set[tuple[bool, bytes]] = set()
        lines = []
        for sent, message in self.record():
            if message.status == 100 or (methods and message.method not in methods):
                continue
            if (call is not None and message["Call-ID"] != call) or (sent, message.data) in seen:
                continue
            seen.add((sent, message.data))
            lines.append(f"{'>' if sent else '<'} {message.label}")
        return lines

    async def expect(self, expected: Sequence[str], *methods: str, call: str | None = None) -> None:
        """Waits until its ladder (see `ladder`) is as long as expected; fails where it is another."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LIMIT):
                # A file tells nobody that it grew.
                while len(self.ladder(*methods, call=call)) < len(expected):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        ladder = self.ladder(*methods, call=call)
        assert ladder == list(expected), f"{self.name} saw something else\n{self}"

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits until a condition holds while the witness lives."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            self.alive(what)
            assert time.monotonic() < deadline, f"{self.name}: {what} did not come about\n{self}"
            await asyncio.sleep(0.02)

    async def saw(self, label: str | int, *, sent: bool, of: str | None = None, count: int = 1) -> Sip:
        """Waits until it sent or received that many of such a message; the last of them."""
        await self.until(
            lambda: len(self.messages(label, sent=sent, of=of)) >= count,
            f"{label} {'sent' if sent else 'received'} {count} times",
        )
        return self.message(label, sent=sent, of=of)

    def __str__(self) -> str:
        """For a failure: what it saw."""
        try:
            saw = "\n".join(self.ladder())
        except Exception as error:  # the record may be cut where the test failed
            saw = f"the record cannot be read: {error!r}"
        return f"---- {self.name} saw:\n{saw}"


class Peer(Witness):
    """A program that runs.

    Args:
        name: what failures call it.
        command: the program and its arguments.
        folder: a folder of its own, where it runs.
        environment: besides that of the test.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / "output.log"
        # A peer ends with the process that started it, however that ends: without its terminal linphonec would spin for ever.
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*guard, *(str(part) for part in command)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def output(self) -> str:
        """What it wrote, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.log.read_text(errors="replace"))

    def alive(self, waiting_for: str) -> None:
        assert self.process.poll() is None, f"{self.name} ended while waiting for {waiting_for}\n{self}"

    # ---- its life

    async def stop(self) -> None:
        """Ends it: politely, so that what it still has to say is answered, then not. Never more than what it started itself."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5.0
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                os.killpg(self.process.pid, signal.SIGKILL)  # its session is its own
            await asyncio.sleep(0.02)

    def __str__(self) -> str:
        """For a failure: what it saw, and the end of what it wrote."""
        return f"{super().__str__()}\n---- {self.name} wrote:\n{self.output()[-6000:]}"


class Peers:
    """Starts the peers of one test and ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Witness] = []

    def folder(self, name: str) -> Path:
        """A new folder for a peer."""
        folder = self._folder / f"{len(self.started)}-{name}"
        folder.mkdir()
        return folder

    async def start(self, peer: W) -> W:
        """Takes a peer that was just started, and waits until it can be used."""
        self.started.append(peer)
        await peer.ready()
        return peer

    async def stop(self) -> None:
        """Ends them, the last one first."""
        for peer in reversed(self.started):
            await peer.stop()
