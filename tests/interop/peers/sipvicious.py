"""SIPVicious: programs that search the Internet for SIP servers (`svmap`), their users (`svwar`), passwords (`svcrack`)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import NamedTuple

__all__ = ["Mode", "available", "modes", "scan"]

_LIMIT = 40.0  # seconds


class Mode(NamedTuple):
    """A way to search."""

    program: str
    options: tuple[str, ...]
    found: str
    """What it writes when it has found something: a server, the user 101, the password 3."""


def modes(words: Path) -> list[Mode]:
    """Every way there is, by the methods and sources of guesses that the programs know.

    Args:
        words: a file with a guess in each line, 3 among them.
    """
    server, user, password = "127.0.0.1:", "| 101", "| 3"
    extensions = ("-e", "100-104", "--force")
    found = [Mode("svmap", ("-m", method), server) for method in ("OPTIONS", "INVITE", "REGISTER")]
    found += [
        Mode("svwar", (*extensions, "-m", method), user) for method in ("REGISTER", "OPTIONS", "INVITE")
    ]
    found.append(Mode("svwar", ("-d", str(words), "--force"), "| 3"))
    found.append(Mode("svcrack", ("-u", "101", "-r", "1-5"), password))
    found.append(Mode("svcrack", ("-u", "101", "-d", str(words)), password))
    return found


def available() -> bool:
    """Whether it is installed."""
    return all(shutil.which(name) for name in ("svmap", "svwar", "svcrack"))


async def scan(folder: Path, program: str, port: int, *options: str, source: str = "127.0.0.9") -> str:
    """Runs one of its programs from a loopback address against a port of 127.0.0.1; what it wrote."""
    command = [program, "-p", str(port), "-b", source, "-x", source, "-t", "0.01", *options, "127.0.0.1"]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_LIMIT):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(errors="replace")
