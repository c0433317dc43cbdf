"""The server at its place: `dracht run`, or `dracht serve` from a file with the application connected to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.namespaces.places import Places

__all__ = ["CONFIG", "LISTEN", "dracht", "serving"]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LISTEN = (
    "sip:*:5060;transport=udp,tcp;advertise=203.0.113.10",
    "sip:[2001:db8:1::10]:5060;transport=udp,tcp",
)
CONFIG = f"""
[server]
listen = ["{LISTEN[0]}", "{LISTEN[1]}"]
control = "127.0.0.1:9022"
secret = "0123456789abcdef"
"""
_READY = 20.0  # seconds
_DRACHT = (sys.executable, "-m", "dracht.cli")


def dracht(places: Places, *arguments: str, at: str = "server") -> subprocess.CompletedProcess[str]:
    """Runs a `dracht` command at a place to its end: on the server's machine, or a phone's."""
    command = places.command(at, *_DRACHT, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@contextmanager
def serving(places: Places, way: str, folder: Path, example: str, *listen: str) -> Iterator[None]:
    """An example that serves, embedded (`listen`) or connected to a server that is configured by a file."""
    environment = {**os.environ, "DRACHT_OPEN": "1"}
    file = str(EXAMPLES / f"{example}.py")
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, ready: str, *arguments: str) -> None:
        log = folder / f"{name}.log"
        with log.open("wb") as output:
            command = places.command("server", *_DRACHT, *arguments)
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        started.append(process)
        deadline = time.monotonic() + _READY
        while ready not in log.read_text(errors="replace"):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.02)

    try:
        if way == "embedded":
            start(
                "run",
                "serves on",
                "run",
                file,
                *(part for one in listen or LISTEN for part in ("--listen", one)),
            )
        else:
            config = folder / "dracht.toml"
            config.write_text(CONFIG)
            start("serve", "applications on", "serve", "--config", str(config))
            connect = ("--connect", "tcp://127.0.0.1:9022", "--secret", "0123456789abcdef")
            start("run", "serves through", "run", file, *connect)
        yield
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
