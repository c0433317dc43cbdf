"""`dracht serve`: a SIP server that applications drive over the control protocol."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

import typer

from dracht.cli.failures import Failure, explained
from dracht.cli.options import (
    Advertise,
    Config,
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
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    finite,
    set_log_level,
    tls_options,
)
from dracht.cli.output import notice, say
from dracht.server import Server, ServerConfig
from dracht.server.configuration import ConfigurationError, configure
from dracht.server.settings import ProcessConfig

__all__ = ["serve"]

_LOOK_EVERY = 0.2  # seconds between looks at what is left while draining
_LAST_LINES = 1.0  # seconds that files which are being read at the end are waited for


def serve(
    config: Config = None,
    listen: Listen = None,
    control: Control = None,
    secret: Secret = None,
    shards: Shards = None,
    advertise: Advertise = None,
    drachtio: Drachtio = None,
    session_timers: SessionTimers = None,
    session_expires: SessionExpires = None,
    min_se: MinSe = None,
    session_refresher: SessionRefresher = None,
    drain: Annotated[
        float | None,
        typer.Option(
            "--drain",
            min=0.0,
            callback=finite,
            metavar="SECONDS",
            help="How long calls may go on after SIGTERM; new requests get 503. A second signal ends them.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say what is wrong with the configuration, or what would listen.")
    ] = False,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_authority: TlsAuthority = None,
    log_level: LogLevel = None,
) -> None:
    """Run a SIP server that applications connect to (`dracht run FILE --connect`, drachtio-srf)."""
    source = Source(
        config,
        {
            "listen": tuple(listen) if listen else None,
            "control": control,
            "secret": secret,
            "shards": shards,
            "advertise": advertise,
            "drachtio_compatible": drachtio,
            "session_timers": session_timers,
            "session_expires": session_expires,
            "min_se": min_se,
            "session_refresher": session_refresher,
            "drain": drain,
            "log_level": log_level,
            "tls": tls_options(tls_certificate, tls_key, tls_authority),
        },
    )
    settings, process = source.read(with_files=check)
    set_log_level(process.log_level)
    if check:
        say(f"{config or 'the configuration'} can be used")
        say(f"SIP would be on {', '.join(settings.listen)}")
        say(f"applications would be on {settings.control_scheme}://{settings.control.removeprefix('tls://')}")
        return
    _run(source, settings, process.drain)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from; it can be read again."""

    file: Path | None
    given: Mapping[str, Any]

    def read(self, *, with_files: bool = False) -> tuple[ServerConfig, ProcessConfig]:
        """The configuration; `Failure` with every mistake in it, and `with_files` in the files that it names."""
        with explained(f"configuration {self.file or ''}".rstrip()):
            try:
                return configure(self.file, os.environ, self.given, with_files=with_files)
            except ConfigurationError as error:
                raise Failure("\n        ".join(error.mistakes), 2) from error
            except OSError as error:
                raise Failure(
                    f"{self.file}: the configuration cannot be read: {error.strerror}", 2
                ) from error


def _run(source: Source, settings: ServerConfig, drain: float) -> None:
    # A signal during the start is kept until there is something to end.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: signals.put(number))
    doing = f"listening on {', '.join(settings.listen)}, control on {settings.control}"
    with explained(doing), Server(settings) as server:
        say(f"SIP on {', '.join(server.hostports)}", "green")
        say(f"applications on {server.control_url}", "green")
        with _Reloads(partial(_reload, server.engine.reload_certificates, source, settings)) as reloads:
            while signals.get() == signal.SIGHUP:
                reloads.ask()
        if drain:
            _drain(server, drain, signals)
        say("stopping")


class _Reloads:
    """Reads the files on a thread of its own, one time after the other: a disk that is gone, or a pipe, holds it up for ever, and
    signals that end the server are heard all the same."""

    def __init__(self, reload: Callable[[], None]) -> None:
        self._reload = reload
        self._asked = threading.Event()
        self._is_ending = False
        # The process does not wait for it.
        self._thread = threading.Thread(target=self._run, name="dracht-reload", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending = True
        self._asked.set()
        self._thread.join(_LAST_LINES)

    def ask(self) -> None:
        """Has the files read, when those are that are being read."""
        self._asked.set()

    def _run(self) -> None:
        while self._asked.wait() and not self._is_ending:
            self._asked.clear()
            self._reload()


def _drain(server: Server, seconds: float, signals: queue.SimpleQueue[int]) -> None:
    """Takes no new calls, and waits until the others have ended, the time is up, or a signal comes."""
    server.drain()
    deadline = time.monotonic() + seconds
    if calls := server.calls:
        say(f"draining: {calls} calls, at most {seconds:g} s; a second signal ends them")
    while server.calls and (left := deadline - time.monotonic()) > 0:
        with suppress(queue.Empty):
            if signals.get(timeout=min(_LOOK_EVERY, left)) != signal.SIGHUP:
                return


def _reload(read_certificates: Callable[[], bool], source: Source, running: ServerConfig) -> None:
    """Takes over what can be changed while calls go on, and says what cannot."""
    try:
        if read_certificates():
            notice("dracht: certificates read again")
    except ValueError as error:
        notice(f"dracht: the certificates in use stay: {error}")
    try:
        settings, process = source.read()
    except Failure as failure:
        return notice(f"dracht: nothing is changed: {failure}")
    set_log_level(process.log_level)
    changed = [
        one.name for one in fields(ServerConfig) if getattr(settings, one.name) != getattr(running, one.name)
    ]
    if changed:
        notice(
            f"dracht: {', '.join(changed)}: changed in the configuration, and taken over by a restart only"
        )
    notice("dracht: configuration read again")
    return None
