"""A server's configuration from all its sources: what the command line gives wins over the environment, and that over the file.

Every mistake is reported, not the first one only. Nothing is opened or started here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from dracht.server.config import ServerConfig
from dracht.server.settings import ProcessConfig, Table, tables
from dracht.server.sources import Values, from_environment, from_file
from dracht.server.values import Mistake, converted

__all__ = ["ConfigurationError", "configure", "gather"]

LISTEN = ("sip:127.0.0.1:5060",)
CONTROL = "127.0.0.1:9022"
_NO_SECRET = (
    "no secret: give --secret TEXT, DRACHT_SECRET, or secret_file in [server] of the file; applications authenticate with it. "
    "Was it given behind a --listen with a `;`? Quote that one: to the shell a `;` ends the command"
)


class ConfigurationError(ValueError):
    """A configuration that cannot be used; `mistakes` has all that is wrong with it, one text each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def configure(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> tuple[ServerConfig, ProcessConfig]:
    """The configuration of `dracht serve`; arguments and errors are those of `gather`, and no secret at all is a mistake too."""
    fields, process = gather(file, environment, given)
    if not fields.get("secret"):
        raise ConfigurationError([_NO_SECRET])
    try:
        return ServerConfig(**fields), process
    except ValueError as error:
        raise ConfigurationError([f"{file}: {error}" if file is not None else str(error)]) from None


def gather(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], ProcessConfig]:
    """The fields of a `ServerConfig`, each by itself correct, and what its process is told.

    Args:
        file: a TOML file.
        environment: variables, as `os.environ`.
        given: by field of `ServerConfig` or `ProcessConfig`, what the command line says; None is nothing. For a field that is a
            table of its own, such as `tls`, a mapping of its keys.

    Raises:
        ConfigurationError: with every mistake.
        OSError: the file cannot be read.
    """
    known = tables()
    mistakes: list[str] = []
    values = from_file(file, known, mistakes) if file is not None else {}
    values.update(from_environment(environment or {}, known))
    fields = _made(known, values, given or {}, mistakes)
    fields.setdefault("listen", LISTEN)
    fields.setdefault("control", CONTROL)
    names = [one.name for one in dataclasses.fields(ProcessConfig)]
    process = ProcessConfig(**{name: fields.pop(name) for name in names if name in fields})
    if not fields.get("secret") and process.secret_file is not None:
        fields["secret"] = _read_secret(process.secret_file, mistakes)
    if mistakes:
        raise ConfigurationError(mistakes)
    return fields, process


def _made(
    known: Mapping[str, Table], values: Values, given: Mapping[str, Any], mistakes: list[str]
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for table in known.values():
        keys: dict[str, Any] = {}
        places: list[str] = []
        for key, setting in table.settings.items():
            value = values.get((table.name, key))
            if value is None:
                continue
            try:
                keys[setting.field] = converted(
                    value.raw, setting.hint, value.folder, setting.least, setting.most
                )
                places.append(value.place)
            except Mistake as mistake:
                mistakes.append(f"{value.place}: {mistake}")
                places.append("")
        if table.made is None or table.field is None:
            fields.update(keys)
            continue
        keys.update(
            {key: value for key, value in (given.get(table.field) or {}).items() if value is not None}
        )
        if keys and all(places):  # a key that was refused would only be missed
            made = _group(table, keys, places, mistakes)
            fields.update({} if made is None else {table.field: made})
    groups = {table.field for table in known.values()}
    fields.update({name: value for name, value in given.items() if value is not None and name not in groups})
    return fields


def _group(table: Table, keys: dict[str, Any], places: list[str], mistakes: list[str]) -> object | None:
    """The dataclass of a table of which somebody gave a key."""
    where = places[0].partition("] ")[0] + "]" if places and "] " in places[0] else f"[{table.name}]"
    missing = [key for key, one in table.settings.items() if one.default is MISSING and one.field not in keys]
    if missing:
        mistakes.append(f"{where}: {', '.join(missing)} must be given")
        return None
    try:
        return None if table.made is None else table.made(**keys)
    except (ValueError, TypeError, OSError) as error:
        mistakes.append(f"{where}: {error}")
        return None


def _read_secret(path: Path, mistakes: list[str]) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(f"{path}: the secret cannot be read: {error}")
        return ""
    if not secret:
        mistakes.append(f"{path}: the secret is empty")
    return secret
