"""What an application answers when no handler takes a request: the table of defaults, one function each.

| request | answer |
|---|---|
| ACK, CANCEL | none: the one has none, the other was answered by the engine |
| PRACK; BYE, MESSAGE, NOTIFY within a dialog | 200 |
| INFO within a dialog | 200; 469 where it belongs to an Info Package, for none is known (RFC 6086 §4.2.2) |
| OPTIONS | 200 with Allow, Accept and Supported (RFC 3261 §11.2) |
| re-INVITE, UPDATE within a dialog | 200 with the SDP that this side gave last; 488 where it gave none |
| REFER | 603 (RFC 3515 §2.4.2: the party was asked and declines) |
| SUBSCRIBE | 489 (RFC 6665 §4.2.1.3: no such event package here) |
| every other method that an RFC defines | 405 with Allow (RFC 3261 §8.2.1) |
| every other method | 501 with Allow (RFC 3261 §21.5.2, RFC 4475 §3.1.1.2) |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dracht.registration import METHODS

if TYPE_CHECKING:
    from dracht.calls import Calls
    from dracht.middleware.stack import Endpoint
    from dracht.request import Request
    from dracht.response import Response

FINE_IN_DIALOG = frozenset({"BYE", "MESSAGE", "NOTIFY"})
SUPPORTED = "100rel"
"""The option tags that every application understands: the engine does what they ask for."""
ALWAYS_ALLOWED = frozenset({"ACK", "BYE", "CANCEL", "PRACK"})
"""Methods that an application which handles INVITE understands without a handler of its own."""


def default(method: str, in_dialog: bool, allow: str, calls: Calls) -> Endpoint:
    """What answers a request of this method when no handler does. `allow` is the value of Allow in a 405."""
    if method in ("ACK", "CANCEL"):
        return nothing
    if method == "PRACK" or (in_dialog and method in FINE_IN_DIALOG):
        return fine
    if method == "OPTIONS":
        return capabilities(allow)
    if in_dialog and method == "INFO":
        return info
    if in_dialog and method in ("INVITE", "UPDATE"):
        return keep_session(calls)
    if method == "REFER":
        return declined
    if method == "SUBSCRIBE":
        return bad_event
    return not_allowed(allow, 405 if method in METHODS else 501)


async def nothing(req: Request, res: Response) -> None:
    """No answer."""


async def fine(req: Request, res: Response) -> None:
    """200."""
    await res.send(200)


async def info(req: Request, res: Response) -> None:
    """200 to a request without a package, which is how phones send key presses; 469 to one of a package (RFC 6086 §4.2.2)."""
    if req.headers.get("Info-Package") is None:
        await res.send(200)
    else:
        await res.send(469, headers={"Recv-Info": ""})


def capabilities(allow: str) -> Endpoint:
    """200 to OPTIONS, and what this application takes."""
    methods = {*allow.split(", "), "OPTIONS"} - {""}
    headers = {"Allow": ", ".join(sorted(methods)), "Supported": SUPPORTED}
    if "INVITE" in methods:
        headers["Accept"] = "application/sdp"

    async def told(req: Request, res: Response) -> None:
        await res.send(200, headers=headers)

    return told


async def declined(req: Request, res: Response) -> None:
    """603."""
    await res.send(603)


async def bad_event(req: Request, res: Response) -> None:
    """489."""
    await res.send(489)


def keep_session(calls: Calls) -> Endpoint:
    """200 with the session as it is: the SDP that this side gave last in the dialog."""

    async def kept(req: Request, res: Response) -> None:
        sdp = calls.local_sdp(req)
        if sdp is not None and (req.method == "INVITE" or req.body):
            await res.send(200, headers={"Content-Type": "application/sdp"}, body=sdp)
        elif req.body or req.method == "INVITE":
            await res.send(488)
        else:
            await res.send(200)

    return kept


def not_allowed(allow: str, status: int) -> Endpoint:
    """405 or 501, and what is allowed instead."""

    async def refused(req: Request, res: Response) -> None:
        await res.send(status, headers={"Allow": allow})

    return refused


def allowed(handled: set[str]) -> str:
    """The value of Allow for an application that answers these methods, in alphabetical order."""
    return ", ".join(sorted(handled | ALWAYS_ALLOWED if "INVITE" in handled else handled))
