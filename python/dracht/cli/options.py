"""Options that several commands share, with the environment variables they may come from."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dracht.cli.failures import Failure
from dracht.tls import Tls

_MOST = 1e9  # seconds, 31 years; calls a second, more than there will be


def finite(param: typer.CallbackParam, value: float | None) -> float | None:
    """A time or rate that a timer can keep: `inf`, which is a number to Python, is none to it. `Failure` for others."""
    if value is not None and not value < _MOST:
        name = param.opts[0] if param.opts[0].startswith("-") else param.opts[0].upper()
        raise Failure(f"{name} {value:g}: give a number below {_MOST:,.0f}", 2)
    return value


Listen = Annotated[
    list[str] | None,
    typer.Option(
        "--listen",
        envvar="DRACHT_LISTEN",
        metavar="SIP-URI",
        help="SIP listener, as sip:127.0.0.1:5060;transport=udp,tcp. May be repeated; `*` as host means every IPv4 address, "
        "`[::]` every IPv6 one.",
    ),
]
Connect = Annotated[
    list[str] | None,
    typer.Option(
        "--connect",
        envvar="DRACHT_CONNECT",
        metavar="URL",
        help="A server's control port, as tcp://127.0.0.1:9022.",
    ),
]
Secret = Annotated[
    str | None,
    typer.Option(
        "--secret", envvar="DRACHT_SECRET", metavar="TEXT", help="What applications authenticate with."
    ),
]
Control = Annotated[
    str | None,
    typer.Option(
        "--control",
        metavar="HOST:PORT",
        help="Where the control protocol is accepted, as 127.0.0.1:9022; tls://HOST:PORT over TLS.",
    ),
]
TlsCertificate = Annotated[
    Path | None,
    typer.Option(
        "--tls-certificate",
        envvar="DRACHT_TLS_CERTIFICATE",
        metavar="FILE",
        help="Certificate chain, PEM, for SIP over TLS and WSS and a tls:// control port.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        "--tls-key",
        envvar="DRACHT_TLS_KEY",
        metavar="FILE",
        help="Its private key, PEM. Not needed when it is in the certificate's file.",
    ),
]
TlsAuthority = Annotated[
    list[Path] | None,
    typer.Option(
        "--tls-authority",
        metavar="FILE",
        help="Certificates of the authorities that peers' certificates may be by; else the system's. May be repeated.",
    ),
]
LogLevel = Annotated[
    str | None,
    typer.Option("--log-level", metavar="LEVEL", help="error, warning, info or debug."),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="DRACHT_CONFIG",
        metavar="FILE",
        help="A TOML file (docs/reference/configuration.md); what is given here, or in the environment, wins over it.",
    ),
]
Shards = Annotated[
    int | None,
    typer.Option(
        "--shards", min=1, max=255, help="SIP engines, with a thread each; calls are spread over them."
    ),
]
Advertise = Annotated[
    str | None,
    typer.Option(
        "--advertise",
        metavar="HOST[:PORT]",
        help="What peers are to see in Via, Contact and Record-Route instead of the bound address.",
    ),
]
Drachtio = Annotated[
    bool | None,
    typer.Option(
        "--drachtio/--no-drachtio",
        help="Behave as drachtio-server where dracht differs (503 for a method nobody takes, ...).",
    ),
]
SessionTimers = Annotated[
    bool | None,
    typer.Option("--session-timers/--no-session-timers", help="Take part in session timers (RFC 4028)."),
]
SessionExpires = Annotated[
    int | None,
    typer.Option(
        "--session-expires", metavar="SECONDS", help="Session interval to ask for where nobody else does."
    ),
]
MinSe = Annotated[
    int | None,
    typer.Option("--min-se", min=90, metavar="SECONDS", help="Shortest session interval accepted."),
]
SessionRefresher = Annotated[
    Literal["uac", "uas"] | None,
    typer.Option(
        "--session-refresher",
        help="Who refreshes a session where nobody says: sender or receiver of the INVITE.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]


def set_log_level(level: str | None) -> None:
    """Sends the logs of both halves, Python and Rust, to stderr from `level` up: warning when nothing is said."""
    from dracht import _core

    level = level or "warning"
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise Failure(f"--log-level {level}: one of error, warning, info, debug", 2)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger().setLevel(number)  # also when it is set again
    _core.install_logging(level.lower())


def tls_options(certificate: Path | None, key: Path | None, authorities: list[Path] | None) -> dict[str, Any]:
    """What the options say about TLS, as arguments of `Tls`; `Failure` for a key without its certificate."""
    if key and not certificate:
        raise Failure("--tls-key needs --tls-certificate FILE: the certificate that it belongs to", 2)
    given: dict[str, Any] = {}
    if certificate:
        given["certificates"] = [(certificate, key or certificate)]
    if authorities:
        given["authorities"] = authorities
    return given


def control_tls(control: str, authorities: list[Path] | None) -> ssl.SSLContext | None:
    """What a control port is verified with, where `tls://` says that it speaks TLS."""
    if not control.startswith("tls://"):
        return None
    for path in authorities or ():
        if not path.is_file():
            raise Failure(f"--tls-authority {path}: no such file", 2)
    return Tls(**tls_options(None, None, authorities)).client_context()


def links(listen: list[str] | None, connect: list[str] | None) -> dict[str, Any]:
    """The link options of `App.run` and `Agent.run`: exactly one of the two ways; `Failure` otherwise."""
    if listen and connect:
        raise Failure("--listen and --connect exclude one another: embedded, or driving a server", 2)
    if connect:
        return {"connect": connect if len(connect) > 1 else connect[0]}
    if listen:
        return {"listen": listen if len(listen) > 1 else listen[0]}
    raise Failure(
        "where to? give --listen sip:127.0.0.1:5060 (embedded) or --connect tcp://127.0.0.1:9022 (driving a server)",
        2,
    )
