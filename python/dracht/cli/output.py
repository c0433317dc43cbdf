"""What commands print: rich where a person looks, plain lines where a program reads.

Results go to stdout, progress and notices to stderr. Nothing here decides what is said, only how.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

PLAIN_INTERVAL = 5.0  # seconds between progress lines where no person looks


class Advance(Protocol):
    """Reports progress: how many are done, and how many of them failed."""

    def __call__(self, done: int, failed: int) -> None: ...


def is_person() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def say(text: str, style: str | None = None) -> None:
    """One line on stdout, in a style on a terminal."""
    if is_person():
        Console(highlight=False, soft_wrap=True).print(text, style=style, markup=False)
    else:
        print(text, flush=True)


def notice(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table: drawn on a terminal, else one line per row, cells separated by tabs."""
    if not is_person():
        print("\t".join(columns))
        for row in rows:
            print("\t".join(str(cell) for cell in row))
        return
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Shows progress on stderr: a bar on a terminal, else a line every few seconds."""
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]} failed"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total, failed=0)
            yield lambda done, failed: bar.update(task, completed=done, failed=failed)
        return
    last = time.monotonic()

    def advance(done: int, failed: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_INTERVAL:
            last = time.monotonic()
            notice(f"{what}: {done} of {total}, {failed} failed")

    yield advance
