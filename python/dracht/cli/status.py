"""`dracht status`: what a running server, or an application started with --control, holds and has done."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from dracht.cli.failures import Failure, explained
from dracht.cli.options import Control, Json, Secret, TlsAuthority, control_tls
from dracht.cli.output import is_person, say, show_table
from dracht.server.config import host_and_port
from dracht.server.status import ask_status

TABLES = (
    "server_transactions",
    "client_transactions",
    "dialogs",
    "proxies",
    "timers",
    "resolves",
    "targets_unavailable",
    "applications",
    "connections",
    "sources",
    "bans",
)


def status(
    control: Control = "127.0.0.1:9022",
    secret: Secret = None,
    tls_authority: TlsAuthority = None,
    as_json: Json = False,
) -> None:
    """Show the tables of a running server, a column per shard, and its totals since the start."""
    if not secret:
        raise Failure(
            "no secret: give --secret TEXT or DRACHT_SECRET, the one the server was started with", 2
        )
    with explained(f"asking {control} for its status"):
        host, port = host_and_port(control or "")
        tls = control_tls(control or "", tls_authority)
        answer = asyncio.run(ask_status(host, port, secret, tls=tls))
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    shards: list[dict[str, Any]] = answer.get("shards", [])
    columns = ["", *(f"shard {shard.get('shard')}" for shard in shards), "all"]
    clients = answer.get("clients", [])
    say(f"{control}: dracht {answer.get('version', '?')}, {len(clients)} control connections")
    show_table("held now", columns, (_row(name, [shard.get(name, 0) for shard in shards]) for name in TABLES))
    bans = [(ban["network"], f"{ban['seconds']:,} s", ban["reason"]) for ban in answer.get("bans", [])]
    if bans:
        show_table("banned", ["network", "for another", "why"], bans)
    totals = [shard.get("totals", {}) for shard in shards]
    names = list(dict.fromkeys(name for total in totals for name in total))
    rows = [(name, [total.get(name, 0) for total in totals]) for name in names]
    if is_person():  # a program gets every name, a person what has happened
        rows = [(name, values) for name, values in rows if any(values)]
    if rows:
        show_table("since the start", columns, (_row(name, values) for name, values in rows))


def _row(name: str, values: list[int]) -> list[str]:
    return [name.replace("_", " "), *(f"{value:,}" for value in values), f"{sum(values):,}"]
