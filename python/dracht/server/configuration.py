"""A server's configuration from all its sources: what the command line gives wins over the environment, and that over the file.

Every mistake is reported, not the first one only. Nothing is opened or started here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from dracht.server import checking
from dracht.server.config import ServerConfig
from dracht.server.settings import ProcessConfig, Table, tables
from dracht.server.sources import Values, from_environment, from_file
from dracht.server.values import Mistake, converted, fitting

__all__ = ["ConfigurationError", "configure", "gather"]

LISTEN = ("sip:127.0.0.1:5060",)
CONTROL = "127.0.0.1:9022"
# Options of the command line that are not called as their fields are.
_OPTIONS = {
    "drachtio_compatible": "--drachtio",
    "tls.authorities": "--tls-authority",
    "tls.certificates": "--tls-certificate",
}
_SECRETS = (("server", "secret"), ("server", "secret_file"))
"""The two ways to give the secret: a file has one of them."""
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
    *,
    with_files: bool = False,
) -> tuple[ServerConfig, ProcessConfig]:
    """The configuration of `dracht serve`; arguments and errors are those of `gather`, and no secret at all is a mistake too.

    With `with_files` the files that TLS needs are read as well, as the start would read them.
    """
    known = tables()
    mistakes: list[str] = []
    fields, process, places = _gathered(known, file, environment, given, mistakes)
    if not any(checking.texts(fields)):
        is_tls_known = "tls" in fields or not any(name.startswith("tls.") for name in places)
        wrong = checking.ports(fields, is_tls_known=is_tls_known)
        mistakes += [_told(places, *one) for one in wrong]
    if with_files:
        mistakes += [_told(places, *one) for one in checking.files(fields)]
    # What the secret is of a file that cannot be read nobody knows.
    if not fields.get("secret") and not any("secret" in one or ": not TOML: " in one for one in mistakes):
        mistakes.append(_NO_SECRET)
    if not mistakes:
        try:
            return ServerConfig(**fields), process
        except (ValueError, TypeError) as error:
            field = _blamed(str(error), {one.name: one.name for one in dataclasses.fields(ServerConfig)})
            mistakes.append(_told(places, field, str(error)) if field else str(error))
    raise ConfigurationError(mistakes)


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
    mistakes: list[str] = []
    fields, process, _ = _gathered(tables(), file, environment, given, mistakes)
    if mistakes:
        raise ConfigurationError(mistakes)
    return fields, process


def _gathered(
    known: Mapping[str, Table],
    file: Path | None,
    environment: Mapping[str, str] | None,
    given: Mapping[str, Any] | None,
    mistakes: list[str],
) -> tuple[dict[str, Any], ProcessConfig, dict[str, str]]:
    """What there is, with the place of each field (`shards`, `tls.certificates`); mistakes are added to the list."""
    values = from_file(file, known, mistakes) if file is not None else {}
    surroundings = from_environment(environment or {}, known)
    if all(one in values for one in _SECRETS):
        secret, in_file = (values[one].place for one in _SECRETS)
        mistakes.append(f"{in_file}: the secret is given as well ({secret}): choose one of the two")
    if any(one in surroundings for one in _SECRETS):
        # The environment wins over the file, whichever of the two each of them uses.
        values = {key: value for key, value in values.items() if key not in _SECRETS}
    values.update(surroundings)
    fields = _made(known, values, given or {}, mistakes)
    places = _places(known, values, given or {})
    fields.setdefault("listen", LISTEN)
    fields.setdefault("control", CONTROL)
    names = [one.name for one in dataclasses.fields(ProcessConfig)]
    process = ProcessConfig(**{name: fields.pop(name) for name in names if name in fields})
    if not fields.get("secret") and process.secret_file is not None:
        fields["secret"] = _read_secret(process.secret_file, mistakes)
        places.setdefault("secret", str(process.secret_file))
    mistakes += [_told(places, *wrong) for wrong in checking.texts(fields)]
    return fields, process, places


def _places(known: Mapping[str, Table], values: Values, given: Mapping[str, Any]) -> dict[str, str]:
    places: dict[str, str] = {}
    for table in known.values():
        prefix = "" if table.field is None else f"{table.field}."
        for key, setting in table.settings.items():
            if value := values.get((table.name, key)):
                places[prefix + setting.field] = value.place
        for key, value in (given.get(table.field or "") or {}).items():
            if value is not None:
                places[prefix + key] = _OPTIONS.get(prefix + key, f"[{table.name}] {key}")
    groups = {table.field for table in known.values()}
    for name, value in given.items():
        if value is not None and name not in groups:
            places[name] = _OPTIONS.get(name, "--" + name.replace("_", "-"))
    return places


def _told(places: Mapping[str, str], field: str, text: str) -> str:
    """A mistake behind the place of its field; without one where nobody gave that field."""
    inside = [place for name, place in places.items() if name.startswith(f"{field}.")]
    place = places.get(field) or (inside[0].partition("] ")[0] + "]" if inside and "] " in inside[0] else "")
    return f"{place}: {text}" if place else text


def _blamed(text: str, places: Mapping[str, str]) -> str:
    """Of several places that of the name which a text speaks of first; empty where it speaks of none."""
    named = [(found.start(), place) for name, place in places.items() if (found := _named(name, text))]
    return min(named)[1] if named else ""


def _named(name: str, text: str) -> re.Match[str] | None:
    return re.search(rf"\b{re.escape(name)}\b", text)


def _made(
    known: Mapping[str, Table], values: Values, given: Mapping[str, Any], mistakes: list[str]
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for table in known.values():
        keys: dict[str, Any] = {}
        places: dict[str, str] = {}
        is_whole = True
        for key, setting in table.settings.items():
            value = values.get((table.name, key))
            if value is None:
                continue
            places[key] = value.place
            try:
                keys[setting.field] = converted(
                    value.raw, setting.hint, value.folder, setting.least, setting.most
                )
            except Mistake as mistake:
                mistakes.append(f"{value.place}: {mistake}")
                is_whole = False
                # One item of a list hides nothing that is wrong with another.
                if (others := fitting(value.raw, setting.hint, value.folder)) is not None:
                    keys[setting.field] = others
        if table.made is None or table.field is None:
            fields.update(keys)
            continue
        for key, value in (given.get(table.field) or {}).items():
            if value is not None:
                keys[key] = value
                places[key] = _OPTIONS.get(f"{table.field}.{key}", f"[{table.name}] {key}")
        if keys:
            made = _group(table, keys, places, mistakes, is_whole=is_whole)
            fields.update({} if made is None else {table.field: made})
    groups = {table.field for table in known.values()}
    fields.update({name: value for name, value in given.items() if value is not None and name not in groups})
    return fields


def _group(
    table: Table, keys: dict[str, Any], places: Mapping[str, str], mistakes: list[str], *, is_whole: bool
) -> object | None:
    """The dataclass of a table of which somebody gave a key; None where a key is wrong, each of which is told.

    Such a class tells the first thing that is wrong with it: what a mistake is about is left out, and the rest tried again.
    With a key that was refused before (not `is_whole`) there are only mistakes to be found.
    """
    first = next(iter(places.values()), "")
    where = first.partition("] ")[0] + "]" if "] " in first else f"[{table.name}]"
    missing = [key for key, one in table.settings.items() if one.default is MISSING and one.field not in keys]
    if missing:
        mistakes.append(f"{where}: {', '.join(missing)} must be given")
        return None
    left = dict(keys)
    while left:
        made, text = _tried(table, left)
        if not text:
            return made if is_whole and len(left) == len(keys) else None
        # What is refused with the same words when it stands alone is it; else what the words speak of.
        alone = [key for key, value in left.items() if _tried(table, {key: value})[1] == text]
        key = alone[0] if alone else _blamed(text, {name: name for name in table.settings})
        if key in left:
            mistakes += [f"{places.get(key, where)}: {one}" for one in _each(table, key, left.pop(key), text)]
            continue
        # Not about a key that is given: of one that was left out it is a consequence.
        if is_whole and len(left) == len(keys):
            mistakes.append(f"{where}: {text}")
        return None
    return None


def _each(table: Table, key: str, value: Any, text: str) -> list[str]:
    """What is wrong with each item of a list, of which `text` tells the first; that alone where it is no item's."""
    items = value if isinstance(value, tuple | list) else ()
    told = dict.fromkeys(_tried(table, {key: (one,)})[1] for one in items)
    return [one for one in told if one] if text in told else [text]


def _tried(table: Table, keys: Mapping[str, Any]) -> tuple[object | None, str]:
    """The dataclass of a table with these keys, or what is wrong with them."""
    try:
        return None if table.made is None else table.made(**keys), ""
    except (ValueError, TypeError, OSError) as error:
        return None, str(error) or type(error).__name__


def _read_secret(path: Path, mistakes: list[str]) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(f"{path}: the secret cannot be read: {error}")
        return ""
    if not secret:
        mistakes.append(f"{path}: the secret is empty")
    return secret
