"""The commands of `dracht`, one file each, gathered here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dracht import __version__
from dracht.cli import answer, ban, call, demo, doctor, serve, status
from dracht.cli import run as run_command
from dracht.cli.failures import Failure, report

cli = typer.Typer(
    name="dracht",
    help="Telephony for Python applications: a SIP server, and a framework to write what it does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"dracht {__version__}")
        raise typer.Exit


@cli.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command as a whole."""


cli.command("serve")(serve.serve)
cli.command("run")(run_command.run)
cli.command("call")(call.call)
cli.command("answer")(answer.answer)
cli.command("doctor")(doctor.doctor)
cli.command("status")(status.status)
cli.command("ban")(ban.ban)
cli.command("demo")(demo.demo)


def run() -> None:
    """Runs the command line and ends the process."""
    try:
        cli()
    except Failure as failure:
        sys.exit(report(failure))
    except KeyboardInterrupt:
        sys.exit(130)
