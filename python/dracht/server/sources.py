"""Where a configuration comes from: a TOML file, and variables of the environment. Each value is kept with its place.

`DRACHT_SHARDS` is the key `shards` of `[server]`; a key of another table has its name before it: `DRACHT_NETWORK_LOCAL_NETWORKS`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dracht.server.settings import Table
from dracht.server.values import nearest, read_text

__all__ = ["Given", "Values", "from_environment", "from_file"]


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was written: where, for people, and the folder that its paths are relative to."""

    raw: Any
    place: str
    folder: Path


Values = dict[tuple[str, str], Given]
"""By table and key."""


def from_file(path: Path, known: Mapping[str, Table], mistakes: list[str]) -> Values:
    """What a file gives. What it says that cannot be is added to `mistakes`; a file that cannot be read raises `OSError`."""
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        mistakes.append(f"{path}: not TOML: {error}")
        return {}
    lines = _lines(text, document)
    folder = path.resolve().parent
    values: Values = {}
    for name, content in document.items():
        line = lines.get((name, None)) or lines.get(("", name))
        place = f"{path}:{line}" if line else str(path)
        if name not in known:
            homes = [table.name for table in known.values() if name in table.settings]
            table = f"; a key of [{homes[0]}] stands below a line [{homes[0]}]" if homes else ""
            mistakes.append(f"{place}: there is no table [{name}]{table or nearest(name, known)}")
        elif not isinstance(content, dict):
            mistakes.append(f"{place}: {name} is a table: write [{name}], and its keys in lines below")
        else:
            for key, raw in content.items():
                line = lines.get((name, key))
                place = f"{path}:{line}" if line else str(path)
                if key in known[name].settings:
                    values[name, key] = Given(raw, f"{place}: [{name}] {key}", folder)
                else:
                    mistakes.append(f"{place}: {_unknown(name, key, known)}")
    return values


def _unknown(name: str, key: str, known: Mapping[str, Table]) -> str:
    homes = [table.name for table in known.values() if key in table.settings]
    if homes:
        return f'"{key}" is a key of [{homes[0]}], not of [{name}]'
    return f'[{name}] has no "{key}"{nearest(key, known[name].settings)}'


_HEADER = re.compile(r"\s*\[\[?\s*\"?([\w-]+)\"?(?:\s*\.\s*\"?([\w-]+)\"?)*\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*\"?([\w-]+)\"?\s*[=.]")


def _lines(text: str, document: Mapping[str, Any]) -> dict[tuple[str, str | None], int]:
    """The line of each table's first header, and of each key in it; what is written in unusual ways has none."""
    found: dict[tuple[str, str | None], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        # A line of an array that goes over several may look like a header.
        if (header := _HEADER.match(line)) and header[1] in document:
            table = header[1]
            found.setdefault((table, None), number)
            if header[2]:
                found.setdefault((table, header[2]), number)
        elif key := _KEY.match(line):
            found.setdefault((table, key[1]), number)
    return found


def from_environment(environment: Mapping[str, str], known: Mapping[str, Table]) -> Values:
    """What variables give; empty ones are as if they were not there."""
    values: Values = {}
    for table in known.values():
        for key, setting in table.settings.items():
            name = variable(table.name, key)
            if text := environment.get(name, "").strip():
                values[table.name, key] = Given(read_text(text, setting), name, Path())
    return values


def variable(table: str, key: str) -> str:
    """The variable of a key."""
    return "_".join(("DRACHT", *([] if table == "server" else [table]), key)).upper()
