"""SIPVicious: programs that search the Internet for SIP servers (`svmap`), their users (`svwar`), passwords (`svcrack`)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

__all__ = ["available", "scan"]

_LIMIT = 40.0  # seconds


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
