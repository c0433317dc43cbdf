"""SIPp playing a scenario of `tests/interop/scenarios`, once or a number of times. Its message log is the record."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.processes import free_port
from tests.conformance.sip import Sip
from tests.interop.peers.process import LIMIT, Entry, Peer, Peers

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"
_BLOCK = re.compile(
    rb"^-{20,}.*\n(?:UDP|TCP) message (sent|received) [\[(](\d+)\]? bytes[ )]*: *\n\n", re.MULTILINE
)


def available() -> bool:
    """Whether SIPp is installed."""
    return shutil.which("sipp") is not None


class Sipp(Peer):
    """SIPp with one scenario."""

    port: int

    @property
    def uri(self) -> str:
        """Where it is called."""
        return f"sip:sipp@127.0.0.1:{self.port}"

    def record(self) -> list[Entry]:
        log = self.folder / "messages.log"
        data = log.read_bytes() if log.exists() else b""
        found = []
        for block in _BLOCK.finditer(data):
            message = data[block.end() : block.end() + int(block[2])]
            found.append(Entry(block[1] == b"sent", Sip(message)))
        return found

    async def ready(self) -> None:
        wanted = f"0100007F:{self.port:04X}"
        await self.until(lambda: wanted in Path("/proc/net/udp").read_text(), "its socket")

    async def finished(self) -> None:
        """Waits until every call has ended as the scenario says; its errors otherwise."""
        for _ in range(int(LIMIT * 2 / 0.02)):
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.02)
        assert self.process.poll() == 0, f"SIPp: {self.errors() or self.process.poll()}\n{self}"

    def errors(self) -> str:
        """What it did not expect."""
        log = self.folder / "errors.log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""


async def start(
    peers: Peers,
    scenario: str,
    to: tuple[str, int],
    *,
    calls: int = 1,
    rate: float = 10.0,
    keys: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
) -> Sipp:
    """SIPp with `scenarios/SCENARIO.xml`; as caller it begins at once.

    Args:
        to: address and port of the other side; as callee, of nobody in particular.
        calls: how many calls, then it ends.
        rate: calls per second.
        keys: `[NAME]` in the scenario, and what stands there.
        options: further arguments.
    """
    folder, port = peers.folder(f"sipp-{scenario}"), free_port()
    command = ["sipp", f"{to[0]}:{to[1]}", "-i", "127.0.0.1", "-p", str(port), "-t", "u1", "-nostdin"]
    command += [
        "-sf",
        str(SCENARIOS / f"{scenario}.xml"),
        "-m",
        str(calls),
        "-r",
        f"{rate:g}",
        "-s",
        "service",
    ]
    command += ["-trace_msg", "-message_file", "messages.log", "-trace_err", "-error_file", "errors.log"]
    command += ["-timeout", f"{LIMIT * 1.5:g}s", "-timeout_error", *options]
    for name, value in (keys or {}).items():
        command += ["-key", name, value]
    peer = Sipp(f"SIPp {scenario}", command, folder)
    peer.port = port
    return await peers.start(peer)
