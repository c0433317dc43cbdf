"""Stream connections that are idle, or send a byte now and then (slowloris).

A process of its own: `python -m bench.hostile.streams idle PORT COUNT SECONDS`, or `slow` for `idle`. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time

# A source of its own for so many, as one may have a thousand.
_EACH = 500
_SLOW = b"OPTIONS sip:service@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKslow\r\nX-Slow: "


async def _open(port: int, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    host = f"127.2.{number // _EACH // 250}.{number // _EACH % 250 + 1}"
    try:
        return await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0), limit=1024)
    except OSError:
        return None


async def attack(kind: str, port: int, count: int, seconds: float) -> dict[str, float]:
    """Opens the connections, holds them for so long, closes them; what became of them."""
    begun = time.monotonic()
    held = []
    for first in range(0, count, 100):
        opened = await asyncio.gather(
            *(_open(port, number) for number in range(first, min(count, first + 100)))
        )
        held += [one for one in opened if one is not None]
    opening = time.monotonic() - begun
    position = 0
    while time.monotonic() - begun < opening + seconds:
        if kind == "slow":
            for _, writer in held:
                if not writer.is_closing():
                    writer.write(_SLOW[position : position + 1] or b"x")
            position += 1
        await asyncio.sleep(0.5)
    closed = sum(1 for reader, writer in held if reader.at_eof() or writer.is_closing())
    for _, writer in held:
        writer.transport.abort()
    await asyncio.sleep(0.5)
    return {"opened": len(held), "seconds_to_open": opening, "closed_by_server": closed}


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    arguments = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    print(json.dumps(asyncio.run(attack(*arguments))), flush=True)
