"""`dracht ban`: has a running server, or an application started with --control, take nothing from a network."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from dracht.cli.failures import Failure, explained
from dracht.cli.options import Control, Secret, TlsAuthority, control_tls, finite
from dracht.cli.output import say
from dracht.server.config import host_and_port
from dracht.server.status import ask_ban


def ban(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="192.0.2.7, 192.0.2.0/24, 2001:db8::/32")],
    seconds: Annotated[float, typer.Argument(min=1, callback=finite, help="For how long.")] = 3600,
    lift: Annotated[bool, typer.Option("--lift", help="Lift a ban of exactly this network.")] = False,
    control: Control = "127.0.0.1:9022",
    secret: Secret = None,
    tls_authority: TlsAuthority = None,
) -> None:
    """Take nothing from an address or network for a while; `dracht status` lists who is banned."""
    if not secret:
        raise Failure(
            "no secret: give --secret TEXT or DRACHT_SECRET, the one the server was started with", 2
        )
    with explained(f"asking {control} to ban {network}"):
        host, port = host_and_port(control or "")
        tls = control_tls(control or "", tls_authority)
        asyncio.run(ask_ban(host, port, secret, network, None if lift else seconds, tls=tls))
    say(f"{network}: {'heard again' if lift else f'nothing is taken from it for {seconds:g} s'}")
