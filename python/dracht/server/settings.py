"""The tables and keys that a configuration may have, as the dataclasses have them. Reads and checks no value.

`[server]`, `[session_timers]`, `[timers]` and `[limits]` are fields of `ServerConfig`; a table such as `[tls]` is a dataclass
that one field of it holds. `[server]` has a few keys more, about the process rather than the engine: `ProcessConfig`.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import operator
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from dracht.server.config import ServerConfig, setting

__all__ = ["ProcessConfig", "Setting", "Table", "documents", "options_of", "tables"]


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """What the process of `dracht serve` is told besides the server's configuration."""

    secret_file: Path | None = setting(
        "server", "a file with the secret in it, where `secret` is not given", None
    )
    log_level: Literal["error", "warning", "info", "debug"] = setting(
        "server", "what is written to stderr: this and what is worse", "warning"
    )
    drain: float = setting(
        "server",
        "seconds that calls get to end at SIGTERM, while new requests get 503; a second signal ends at once",
        0.0,
        least=0,
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of a table: its type, its default (`MISSING`: it must be given), what it is for, and bounds of a number."""

    key: str
    hint: Any
    default: Any
    doc: str
    field: str
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what it is for, its keys in order, and the dataclass that it becomes (None: fields of `ServerConfig`)."""

    name: str
    doc: str
    settings: dict[str, Setting]
    made: type | None = None
    field: str | None = None


_TABLES = {
    "server": "Where the server listens, and how it serves.",
    "session_timers": "Session timers (RFC 4028); times in seconds.",
    "timers": "SIP's timers, in seconds. The defaults are the RFC's: change them with a reason.",
    "limits": "What the server holds at most.",
}


def tables() -> dict[str, Table]:
    """Every table, `[server]` first."""
    found = {name: Table(name, doc, {}) for name, doc in _TABLES.items()}
    for owner in (ServerConfig, ProcessConfig):
        hints = typing.get_type_hints(owner)
        for one in fields(owner):
            name = one.metadata.get("group")
            if name is not None:
                made = dataclass_in(hints[one.name])
                if made is None:
                    raise TypeError(f"{owner.__name__}.{one.name} is a group, but its type is no dataclass")
                found[name] = Table(name, one.metadata["doc"], options_of(made), made, one.name)
                continue
            key = one.metadata["key"] or one.name
            found[one.metadata["table"]].settings[key] = Setting(
                key,
                _without_none(hints[one.name], one.default),
                one.default,
                one.metadata["doc"],
                one.name,
                one.metadata["least"],
                one.metadata["most"],
            )
    return found


def options_of(made: type) -> dict[str, Setting]:
    """The keys of a dataclass, a field each."""
    hints = typing.get_type_hints(made)
    texts = documents(made)
    settings = {}
    for one in fields(made):
        if not one.init:
            continue
        default = one.default if one.default_factory is MISSING else one.default_factory()
        doc = one.metadata.get("doc") or texts.get(one.name, "")
        settings[one.name] = Setting(
            one.name, _without_none(hints[one.name], default), default, doc, one.name
        )
    return settings


def documents(made: type) -> dict[str, str]:
    """What stands under each field of a class, as `x: int = 0` followed by a text of its own: its first paragraph."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(made))).body[0]
    except (OSError, SyntaxError):
        return {}
    texts: dict[str, str] = {}
    name = None
    for node in body.body if isinstance(body, ast.ClassDef) else []:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[name] = " ".join(inspect.cleandoc(str(node.value.value)).split("\n\n")[0].split())
            name = None
        else:
            name = None
    return texts


def members(hint: Any) -> Iterator[Any]:
    """The members of a union; a type that is none by itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for member in typing.get_args(hint):
            yield from members(member)
    else:
        yield hint


def _without_none(hint: Any, default: Any) -> Any:
    """A type without None, where leaving the key out says that: TOML has no word for it."""
    others = [member for member in members(hint) if member is not types.NoneType]
    return functools.reduce(operator.or_, others) if default is None and others else hint


def dataclass_in(hint: Any) -> type | None:
    """The dataclass of a type such as `Tls | None`."""
    for member in members(hint):
        if isinstance(member, type) and dataclasses.is_dataclass(member):
            return member
    return None
