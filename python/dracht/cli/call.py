"""`dracht call sip:...`: a caller for trying things out. One call with its ladder, or many with their results."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from dracht.agent import Agent
from dracht.cli.caller import Caller, listener_for
from dracht.cli.failures import Failure, explained
from dracht.cli.ladder import draw
from dracht.cli.options import (
    Json,
    LogLevel,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    finite,
    set_log_level,
    tls_options,
)
from dracht.cli.output import notice, progress, say
from dracht.cli.results import Results, lines
from dracht.cli.trace import Trace, arrows
from dracht.request import Request
from dracht.response import Response
from dracht.tls import Tls


def call(
    uri: Annotated[str, typer.Argument(metavar="SIP-URI", help="Whom to call, as sip:1234@127.0.0.1:5060.")],
    count: Annotated[int, typer.Option("--count", min=1, help="How many calls.")] = 1,
    rate: Annotated[
        float, typer.Option("--rate", min=0.01, callback=finite, help="How many calls to start per second.")
    ] = 50.0,
    duration: Annotated[
        float,
        typer.Option("--duration", min=0.0, callback=finite, help="How long each call lasts, in seconds."),
    ] = 0.0,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.1, callback=finite, help="How long an answer may take, in seconds."),
    ] = 30.0,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="SIP-URI",
            help="Where this caller is reached, as sip:192.0.2.1:0;transport=udp,tcp; port 0 is any free one. "
            "By default a free port, over what the called URI wants.",
        ),
    ] = None,
    ladder: Annotated[
        bool | None,
        typer.Option("--ladder/--no-ladder", help="Draw the ladder of a call (the default for one)."),
    ] = None,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="Write the messages as JSON lines.")
    ] = None,
    as_json: Json = False,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_authority: TlsAuthority = None,
    log_level: LogLevel = "error",
) -> None:
    """Call somebody: INVITE with SDP, ACK, and BYE after --duration. Ends with 1 when a call failed."""
    set_log_level(log_level)
    if not uri.lower().startswith(("sip:", "sips:", "tel:")):
        meant = f"; did you mean sip:{uri}?" if ":" not in uri.partition("@")[0] else ""
        raise Failure(f"{uri}: not a SIP URI, as sip:1234@127.0.0.1:5060{meant}", 2)
    listen = listen or listener_for(uri)
    draws = (count == 1 and not as_json) if ladder is None else ladder
    # A caller accepts no connections: without a certificate of its own it verifies the others' all the same.
    own = Tls(**tls_options(tls_certificate, tls_key, tls_authority))
    with explained(f"writing {trace}"):
        seen = Trace(trace) if draws or trace else None
    with explained(f"calling {uri} from {listen}"):
        try:
            results = asyncio.run(_calls(uri, listen, own, count, rate, duration, timeout, seen))
        except asyncio.CancelledError:
            raise Failure("interrupted: calls were left as they were", 130) from None
    if as_json:
        print(json.dumps(results.summary(), indent=2))
    else:
        if seen is not None and draws and seen.seen:
            first = [one for one in seen.seen if one.call_id == seen.seen[0].call_id]
            for line in draw(["caller", uri], arrows(first, "caller", uri)):
                say(line)
        for line in lines(results.summary()):
            say(line, "red" if results.failed else "green")
    if results.failed or not results.outcomes:
        sys.exit(1)


async def _calls(
    uri: str,
    listen: str,
    own: Tls,
    count: int,
    rate: float,
    duration: float,
    timeout: float,
    trace: Trace | None,
) -> Results:
    async with Agent(hung_up).serving(listen=listen, tls=own, shutdown_timeout=1.0) as agent:
        caller = Caller(agent, uri, hold=duration, timeout=timeout, trace=trace)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()

        def signalled() -> None:
            if stop.is_set() and task is not None:
                task.cancel()
            elif not stop.is_set():
                notice("stopping: calls that run are let end; interrupt again to leave them")
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):
                loop.add_signal_handler(number, signalled)
        with progress("calls", count) as advance:
            return await caller.calls(count, rate, stop, advance)


async def hung_up(req: Request, res: Response) -> None:
    """What a caller answers to requests of the other side: the other one may hang up or ask for nothing more."""
    if req.method in ("BYE", "OPTIONS", "INFO", "NOTIFY", "MESSAGE"):
        await res.send(200)
    else:
        await res.send(488 if req.method in ("INVITE", "UPDATE") else 405)
