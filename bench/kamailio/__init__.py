"""Kamailio as the peer to compare with: stateful proxy, stateless OPTIONS, registrar in memory."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import Running, running, wait_for_udp

HERE = Path(__file__).resolve().parent


def program() -> str | None:
    """Where Kamailio is installed; None when it is not."""
    return shutil.which("kamailio") or shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin")


def version() -> str:
    """Kamailio's version line."""
    found = program()
    if found is None:
        return "not installed"
    return subprocess.run([found, "-v"], capture_output=True, text=True, check=False).stdout.splitlines()[0]


def modules() -> str:
    """The folder of Kamailio's modules."""
    for folder in sorted(Path("/usr/lib").glob("*/kamailio/modules")):
        return f"{folder}/"
    return "/usr/lib/kamailio/modules/"


@contextmanager
def serving(
    folder: Path, case: str, port: int, target: int = 5060, transport: str = "udp"
) -> Iterator[Running]:
    """Kamailio with the configuration `case` (proxy, options, registrar) on 127.0.0.1:`port` for the length of the block."""
    found = program()
    if found is None:
        raise FileNotFoundError("kamailio is not installed: run 'make peers' with root")
    text = (HERE / "base.cfg").read_text() + (HERE / f"{case}.cfg").read_text()
    for name, value in {
        "PORT": port,
        "TARGET": target,
        "TRANSPORT": transport,
        "MODULES": modules(),
    }.items():
        text = text.replace(f"@{name}@", str(value))
    config = folder / f"kamailio-{case}.cfg"
    config.write_text(text)
    scratch = folder / "kamailio"
    scratch.mkdir(exist_ok=True)
    command: list[str | Path] = [
        found,
        "-f",
        config,
        "-DD",
        "-E",
        "-m",
        "512",
        "-M",
        "32",
        "-Y",
        scratch,
        "-P",
        scratch / "pid",
    ]
    with running(f"kamailio-{case}", command, folder) as started:
        wait_for_udp(port, started)
        yield started
