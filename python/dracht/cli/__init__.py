"""The `dracht` command. Its dependencies (typer, rich) come with the extra: `pip install 'dracht[cli]'`."""

from __future__ import annotations

import importlib.util
import sys


def main() -> None:
    """Runs the command line; without its dependencies, says in one line what to install and ends with status 2."""
    if importlib.util.find_spec("typer") is None or importlib.util.find_spec("rich") is None:
        print("dracht: the command line needs two more packages: pip install 'dracht[cli]'", file=sys.stderr)
        raise SystemExit(2)
    from dracht.cli.commands import run

    run()
