"""`dracht run FILE[:app]`: runs an application, with an engine of its own or driving a server."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dracht.cli.failures import Failure, explained
from dracht.cli.loading import load
from dracht.cli.options import (
    Connect,
    Control,
    Listen,
    LogLevel,
    Secret,
    Shards,
    TlsAuthority,
    TlsCertificate,
    TlsKey,
    links,
    set_log_level,
    tls_options,
)
from dracht.cli.output import say
from dracht.tls import Tls


def run(
    file: Annotated[
        str, typer.Argument(metavar="FILE[:APP]", help="A Python file with an `app` or `agent` in it.")
    ],
    listen: Listen = None,
    connect: Connect = None,
    secret: Secret = None,
    control: Control = None,
    shards: Shards = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_authority: TlsAuthority = None,
    log_level: LogLevel = "warning",
) -> None:
    """Run an application: embedded (--listen) or connected to a server (--connect)."""
    set_log_level(log_level)
    application = load(file)
    options: dict[str, Any] = {**links(listen, connect), "secret": secret}
    if given := tls_options(tls_certificate, tls_key, tls_authority):
        options["tls"] = Tls(**given)
    if "listen" in options:
        options["shards"] = shards or 1
        if control:
            if not secret:
                raise Failure(
                    "--control needs --secret TEXT (or DRACHT_SECRET): what others authenticate with", 2
                )
            options["control"] = control
    elif control or shards not in (None, 1):
        raise Failure("--control and --shards belong to an engine in this process: they need --listen", 2)

    def ready() -> None:
        agent = application if isinstance(application, Agent) else application.agent
        if "listen" in options:
            say(f"{file} serves on {', '.join(agent.hostports)}", "green")
        else:
            say(f"{file} serves through {', '.join(link.name for link in agent.links)}", "green")

    from dracht.agent import Agent

    doing = (
        f"listening on {options['listen']}" if "listen" in options else f"connecting to {options['connect']}"
    )
    with explained(f"{file}: {doing}"):
        application.run(ready=ready, **options)
