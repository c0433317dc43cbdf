"""The application under soak. What a call becomes is said by the user part of its request-URI.

    python bench/soak/application.py '{"listen": ["sip:127.0.0.1:5060"]}'

runs it with these options of `App.run`; `certificates` are pairs of files for TLS. DRACHT_TARGET is where calls for `through` go.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from dracht import App, Request, Response, SipError, Tls, _core
from dracht.store import MemoryStore

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
TARGET = os.environ.get("DRACHT_TARGET", "sip:callee@127.0.0.1:5070")

app = App()
location: MemoryStore[str] = MemoryStore()


@app.invite
async def invite(req: Request, res: Response) -> None:
    """Answered, refused, left ringing until the caller cancels, or proxied."""
    if not req.is_new_invite:
        await res.send(200, body=SDP)
        return
    match req.uri.user:
        case "answer":
            await res.send(180)
            await res.send(200, body=SDP)
        case "ring":
            await res.send(180)
            await asyncio.sleep(60)  # the CANCEL ends it
        case "through":
            await req.proxy(TARGET, record_route=True)
        case _:
            raise SipError(486)


@app.bye
async def bye(req: Request, res: Response) -> None:
    """The end of a call; kept back where the caller will be gone."""
    if "X-Kept-Back" in req.headers:
        await asyncio.sleep(0.5)
    await res.send(200)


@app.register
async def register(req: Request, res: Response) -> None:
    """A binding that lives a minute."""
    address = f"{req.to.uri.user}@{req.to.uri.host}"
    contact = req.contacts[0].uri_text
    await location.put(address, "phone", contact, expires=60)
    await res.send(200, headers={"Contact": f"<{contact}>;expires=60"})


@app.options
async def options(req: Request, res: Response) -> None:
    """Alive."""
    await res.send(200)


def main(text: str) -> None:
    """Runs it until SIGTERM."""
    _core.install_logging("warning")
    options: dict[str, Any] = json.loads(text)
    if certificates := options.pop("certificates", None):
        options["tls"] = Tls(certificates=[tuple(pair) for pair in certificates], reload_interval=1.0)
    app.run(**options)


if __name__ == "__main__":
    main(sys.argv[1])
