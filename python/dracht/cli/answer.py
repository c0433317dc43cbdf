"""`dracht answer`: a callee for trying things out. It rings, answers with SDP, and takes the BYE."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from dracht.app import App
from dracht.cli.failures import explained
from dracht.cli.options import (
    Connect,
    Listen,
    LogLevel,
    Secret,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    finite,
    links,
    set_log_level,
    tls_options,
)
from dracht.cli.output import is_person, say
from dracht.cli.trace import MessageHolder, Trace
from dracht.errors import DrachtError, SipError
from dracht.request import Request
from dracht.response import Response
from dracht.tls import Tls

ANSWER = (
    b"v=0\r\no=callee 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
)
"""An audio answer that names the discard port: there is no media behind it."""


def answer(
    listen: Listen = None,
    connect: Connect = None,
    secret: Secret = None,
    status: Annotated[
        int, typer.Option("--status", min=200, max=699, help="The final answer to calls.")
    ] = 200,
    ring: Annotated[
        float,
        typer.Option("--ring", min=0.0, callback=finite, help="How long to ring before it, in seconds."),
    ] = 0.0,
    ringing: Annotated[
        bool, typer.Option("--ringing/--no-ringing", help="Whether to send 180 first.")
    ] = True,
    hangup: Annotated[
        float | None,
        typer.Option(
            "--hangup", min=0.0, callback=finite, help="Send the BYE so many seconds after the ACK."
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Write the messages as JSON lines."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line per call.")] = False,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_authority: TlsAuthority = None,
    log_level: LogLevel = "error",
) -> None:
    """Answer calls: 180, 200 with SDP, 200 to the BYE. Runs until SIGINT or SIGTERM."""
    set_log_level(log_level)
    with explained(f"writing {trace}"):
        seen = Trace(trace) if trace else None
    callee = Callee(status, ring if ringing else None, hangup, seen, verbose=is_person() and not quiet)
    options = links(listen or (None if connect else ["sip:127.0.0.1:5070"]), connect)

    if given := tls_options(tls_certificate, tls_key, tls_authority):
        options["tls"] = Tls(**given)

    def ready() -> None:
        say(f"answering on {', '.join(callee.app.agent.hostports)}", "green")

    with explained(f"answering on {options.get('listen') or options.get('connect')}"):
        callee.app.run(ready=ready, secret=secret, **options)
    say(f"{callee.calls} calls: {callee.answered} answered, {callee.ended} ended by BYE")


class Callee:
    """Answers every call in the same way.

    Arguments: `status`, the final answer; `ring`, seconds between 180 and it (None: no 180); `hangup`, seconds from the ACK
    to a BYE of its own (None: the caller ends the call); `trace`, where to record messages; `verbose`, a line per call.
    """

    def __init__(
        self,
        status: int = 200,
        ring: float | None = 0.0,
        hangup: float | None = None,
        trace: Trace | None = None,
        *,
        verbose: bool = False,
    ) -> None:
        self.app = App(shutdown_timeout=2.0, name="dracht.answer")
        self.calls = self.answered = self.ended = 0
        self._status = status
        self._ring = ring
        self._hangup = hangup
        self._trace = trace
        self._verbose = verbose
        self.app.invite(self._invite)
        self.app.bye(self._bye)

    async def _invite(self, req: Request, res: Response) -> None:
        self.calls += 1
        self._note("received", req)
        if self._ring is not None:
            self._note("sent", await res.send(180))
            if self._ring:
                await asyncio.sleep(self._ring)
        if self._verbose:
            say(f"call from {req.from_.uri_text}: {self._status}")
        if self._status >= 300:
            raise SipError(self._status)
        sent = await res.send(self._status, body=ANSWER)
        self._note("sent", sent)
        self.answered += 1
        if self._trace is None and self._hangup is None:
            return
        try:
            self._note("received", await sent.acked())
            if self._hangup is not None:
                await asyncio.sleep(self._hangup)
                bye = await self.app.request(method="BYE", dialog=req.dialog_id)
                self._note("sent", bye)
                self._note("received", await bye.final())
        except DrachtError as error:
            self.app.log.warning("%s: %s", req.call_id, error)

    async def _bye(self, req: Request, res: Response) -> None:
        self.ended += 1
        self._note("received", req)
        self._note("sent", await res.send(200))

    def _note(self, direction: Literal["sent", "received"], message: MessageHolder) -> None:
        if self._trace is not None:
            self._trace.record(direction, message.msg)
