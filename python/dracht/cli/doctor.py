"""`dracht doctor`: which addresses peers would see, and what is likely wrong with this machine and this configuration."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dracht.cli.failures import Failure, explained
from dracht.cli.options import (
    Advertise,
    Config,
    Control,
    Json,
    Listen,
    Secret,
    Shards,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    tls_options,
)
from dracht.cli.output import is_person, say, show_table
from dracht.doctor import Finding, Seen, Situation, examine, exit_status
from dracht.doctor.asking import Target
from dracht.doctor.certificates import day
from dracht.doctor.clock import clock
from dracht.doctor.finding import SEVERITIES
from dracht.doctor.live import Reached, judge, listeners, reach, targets
from dracht.doctor.names import domains
from dracht.server.config import host_and_port
from dracht.server.configuration import ConfigurationError, gather
from dracht.server.status import ask_listeners
from dracht.tls import Tls

__all__ = ["doctor"]

_STYLES = {"problem": "red", "warning": "yellow", "note": "cyan"}


def doctor(
    config: Config = None,
    listen: Listen = None,
    control: Control = None,
    secret: Secret = None,
    shards: Shards = None,
    advertise: Advertise = None,
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", metavar="NAME", help="A domain to call: is it found? May be repeated."),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            "--peer", metavar="ADDRESS", help="The address of a peer: what would it see? May be repeated."
        ),
    ] = None,
    live: Annotated[
        list[str] | None,
        typer.Option(
            "--live",
            metavar="SERVER",
            help="Ask a server that runs instead: HOST, HOST:PORT, sip:HOST:PORT;transport=tls, or with --secret its "
            "control port tcp://HOST:PORT. May be repeated.",
        ),
    ] = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_authority: TlsAuthority = None,
    as_json: Json = False,
) -> None:
    """Say which addresses peers would see, and what is likely wrong. Ends with 0, 1 for a warning, 2 for a problem."""
    given = {
        "listen": tuple(listen) if listen else None,
        "control": control,
        "secret": secret,
        "shards": shards,
        "advertise": advertise,
        "tls": tls_options(tls_certificate, tls_key, tls_authority),
    }
    with explained("configuration"):
        try:
            options, process = gather(config, os.environ, given)
        except ConfigurationError as error:
            raise Failure("\n        ".join(error.mistakes), 2) from error
        except OSError as error:
            raise Failure(f"{config}: the configuration cannot be read: {error.strerror}", 2) from error
        files = [one for one in (process.secret_file, _with_secret(config)) if one is not None]
        situation = Situation(
            options, file=config, domains=domain or (), peers=peer or (), secret_files=files
        )
        if live:
            has_listeners = config is not None or bool(listen)
            _live(situation, live, has_listeners=has_listeners, as_json=as_json)
        seen = situation.seen
        findings = examine(situation)
    if as_json:
        print(json.dumps(_document(seen, findings), indent=2))
    else:
        _show(seen, findings)
    sys.exit(exit_status(findings))


def _live(situation: Situation, servers: list[str], *, has_listeners: bool, as_json: bool) -> NoReturn:
    """Asks servers that run what their peers would see, and ends."""
    asked: list[Target] = []
    findings: list[Finding] = []
    for text in servers:
        if text.startswith(("tcp://", "tls://")):
            asked += _listeners(situation, text)
        else:
            found, lost = targets(situation, text, configured=has_listeners)
            asked += found
            findings += lost
    reached = reach(situation, list(dict.fromkeys(asked)))
    if not findings or reached:
        findings += judge(reached, situation.now)
    findings += [*clock(situation), *domains(situation)]
    findings.sort(key=lambda one: SEVERITIES.index(one.severity))
    rows = [_reached(one) for one in reached]
    if as_json:
        document = {
            "live": rows,
            "findings": [asdict(one) for one in findings],
            "status": exit_status(findings),
        }
        print(json.dumps(document, indent=2))
    else:
        say("What a peer sees from here:")
        show_table(
            "",
            [name.replace("_", " ") for name in _COLUMNS],
            [[row[name] or "" for name in _COLUMNS] for row in rows],
        )
        _show_findings(findings)
    sys.exit(exit_status(findings))


def _listeners(situation: Situation, control: str) -> list[Target]:
    """The listeners of the server on a control port."""
    secret = situation.options.get("secret")
    if not secret:
        raise Failure(
            f"{control} is asked with a secret: give --secret TEXT or DRACHT_SECRET, the server's", 2
        )
    tls = (situation.options.get("tls") or Tls()).client_context() if control.startswith("tls://") else None
    with explained(f"asking {control} for its listeners"):
        return listeners(asyncio.run(ask_listeners(*host_and_port(control), secret, tls=tls)))


_COLUMNS = ("target", "answer", "sees_us_as", "contact", "certificate")


def _reached(one: Reached) -> dict[str, str | None]:
    """What came of one target, for people and programs."""
    answer, served = one.answer, one.served
    row: dict[str, str | None] = {
        "target": f"{one.target.name} ({one.target.host})"
        if one.target.host != one.target.address
        else one.target.name,
        "answer": one.failure or None,
        "sees_us_as": None,
        "contact": None,
        "certificate": None,
    }
    if answer is not None:
        received, rport = answer.seen_as
        host = received or answer.own[0]
        row["answer"] = f"{answer.response.status} {answer.response.reason} ({answer.seconds * 1000:.0f} ms)"
        row["sees_us_as"] = (
            f"[{host}]:{rport}" if rport and ":" in host else f"{host}:{rport}" if rport else host
        )
        row["contact"] = answer.response.header("Contact")
    if served is not None:
        row["certificate"] = (
            f"{', '.join(served.names) or 'no name'} until {day(served.ends)}, {served.version}"
        )
    return row


def _with_secret(config: Path | None) -> Path | None:
    """The configuration file, if the secret stands in it."""
    if config is None:
        return None
    lines = (line.strip() for line in config.read_text(encoding="utf-8").splitlines())
    return config if any(line.partition("=")[0].strip() == "secret" for line in lines) else None


def _document(seen: list[Seen], findings: list[Finding]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "seen": [
            {
                "listener": one.listener.name,
                "peer": one.peer.name,
                "address": str(one.peer.address),
                "via": one.via,
                "contact": one.contact,
                "record_route": one.record_route,
            }
            for one in seen
        ],
        "findings": [asdict(one) for one in findings],
        "status": exit_status(findings),
    }


def _show(seen: list[Seen], findings: list[Finding]) -> None:
    say("What peers would be told to answer to, by each listener:")
    rows = [
        (one.listener.name, one.peer.name, _address(one.contact), _address(one.record_route)) for one in seen
    ]
    show_table("", ("listener", "a peer on", "Contact", "Record-Route"), rows)
    _show_findings(findings)


def _show_findings(findings: list[Finding]) -> None:
    for finding in findings:
        say("")
        say(f"{finding.severity.upper()} ({finding.check})", _STYLES[finding.severity])
        say(f"  {finding.seen}")
        say(f"  → {finding.advice}")
    counts = {word: sum(one.severity == word for one in findings) for word in _STYLES}
    summary = ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in counts.items() if count)
    say("" if not is_person() else "\n", None)
    say(summary or "Nothing is wrong as far as can be seen from here.", None if findings else "green")


def _address(value: str) -> str:
    """What of a header field's value tells the address."""
    return value.partition("<")[2].partition(">")[0] or value
