"""`dracht doctor`: which addresses peers would see, and what is likely wrong with this machine and this configuration."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dracht.cli.failures import Failure, explained
from dracht.cli.options import Advertise, Config, Control, Json, Listen, Secret, Shards
from dracht.cli.output import is_person, say, show_table
from dracht.doctor import Finding, Seen, Situation, examine, exit_status
from dracht.server.configuration import ConfigurationError, gather

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
    as_json: Json = False,
) -> None:
    """Say which addresses peers would see, and what is likely wrong. Ends with 0, 1 for a warning, 2 for a problem."""
    given = {
        "listen": tuple(listen) if listen else None,
        "control": control,
        "secret": secret,
        "shards": shards,
        "advertise": advertise,
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
        seen = situation.seen
        findings = examine(situation)
    if as_json:
        print(json.dumps(_document(seen, findings), indent=2))
    else:
        _show(seen, findings)
    sys.exit(exit_status(findings))


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
