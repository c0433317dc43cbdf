"""`dracht serve`: a SIP server that applications drive over the control protocol."""

from __future__ import annotations

import signal
import threading

from dracht.cli.failures import Failure, explained
from dracht.cli.options import (
    Advertise,
    Control,
    Drachtio,
    Listen,
    LogLevel,
    MinSe,
    Secret,
    SessionExpires,
    SessionRefresher,
    SessionTimers,
    Shards,
    set_log_level,
)
from dracht.cli.output import say
from dracht.server import Server, ServerConfig


def serve(
    listen: Listen = None,
    control: Control = "127.0.0.1:9022",
    secret: Secret = None,
    shards: Shards = 1,
    advertise: Advertise = None,
    drachtio: Drachtio = False,
    session_timers: SessionTimers = True,
    session_expires: SessionExpires = None,
    min_se: MinSe = 90,
    session_refresher: SessionRefresher = None,
    log_level: LogLevel = "warning",
) -> None:
    """Run a SIP server that applications connect to (`dracht run FILE --connect`, drachtio-srf)."""
    set_log_level(log_level)
    if not secret:
        raise Failure(
            "no secret: give --secret TEXT or DRACHT_SECRET; applications authenticate with it. Was it given behind a "
            "--listen with a `;`? Quote that one: to the shell a `;` ends the command",
            2,
        )
    with explained("configuration"):
        config = ServerConfig(
            tuple(listen or ["sip:127.0.0.1:5060"]),
            control or "",
            secret,
            shards,
            advertise,
            drachtio,
            session_timers,
            session_expires,
            min_se,
            session_refresher,
        )
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with (
        explained(f"listening on {', '.join(config.listen)}, control on {config.control}"),
        Server(config) as server,
    ):
        say(f"SIP on {', '.join(server.hostports)}", "green")
        say(f"applications on tcp://{server.control}", "green")
        ended.wait()
        say("stopping")
