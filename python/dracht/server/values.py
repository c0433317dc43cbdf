"""A value of a file or of the environment as the type that a field wants; for one that does not fit, what is allowed instead.

It knows types and nothing of what they are for.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import math
import os
import tomllib
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from dracht.optiontypes import near
from dracht.server.config import within
from dracht.server.settings import Setting, members, options_of

__all__ = ["Mistake", "converted", "fitting", "nearest", "read_text", "wanted"]

_SEQUENCES: dict[Any, type] = {
    tuple: tuple,
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: tuple,
    collections.abc.Collection: tuple,
    collections.abc.Iterable: tuple,
    collections.abc.Set: frozenset,
}


class Mistake(ValueError):
    """A value that does not fit: what was given and what is wanted. Says not where."""


def converted(
    raw: Any, hint: Any, folder: Path, least: float | None = None, most: float | None = None
) -> Any:
    """`raw`, as TOML reads it, in the type `hint`; `Mistake` otherwise. Paths are relative to `folder`."""
    # A text that may be a path is one: relative to the folder of the file that names it, wherever the server is started.
    for member in sorted(members(hint), key=lambda one: not _is_path(one)):
        value = _as(raw, member, folder)
        if value is not _NO:
            if _is_number(value) and not _is_within(value, least, most):
                raise Mistake(f"{_shown(raw)} is out of range: {within(least, most)}")
            return value
    accepts_text = any(member is str for member in members(hint))
    if raw == "none" and not accepts_text and any(member is type(None) for member in members(hint)):
        return None
    limits = within(least, most)
    raise Mistake(f"{_shown(raw)} is not {wanted(hint)}" + (f", {limits}" if limits else ""))


def fitting(raw: Any, hint: Any, folder: Path) -> Any:
    """Of a list that is not as wanted the items that are, for what there is to be said of them; None where there are none."""
    for member in members(hint) if isinstance(raw, list) else ():
        inner = typing.get_args(member)
        kind = _SEQUENCES.get(typing.get_origin(member))
        if kind is None or (kind is tuple and inner[-1:] != (...,) and typing.get_origin(member) is tuple):
            continue
        values = []
        for one in raw:
            with contextlib.suppress(Mistake):
                values.append(converted(one, inner[0], folder))
        if values:
            return kind(values)
    return None


_NO = object()


def _as(raw: Any, hint: Any, folder: Path) -> Any:
    """`raw` as a `hint`, which is no union; `_NO` where it is no such thing. Mistakes within lists and tables are raised."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return raw if raw in typing.get_args(hint) and not isinstance(raw, bool) else _NO
    if hint in (bool, int, str):
        return raw if type(raw) is hint else _NO
    if hint is float:
        return float(raw) if _is_number(raw) and math.isfinite(raw) else _NO
    if _is_path(hint):
        return folder / raw if isinstance(raw, str) and raw else _NO
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _as_dataclass(raw, hint, folder) if isinstance(raw, Mapping) else _NO
    kind = _SEQUENCES.get(origin or hint)
    if kind is not None:
        return _as_sequence(raw, hint, kind, folder) if isinstance(raw, list) else _NO
    if (origin or hint) in (dict, collections.abc.Mapping):
        _, inner = typing.get_args(hint) or (str, Any)
        if not isinstance(raw, Mapping):
            return _NO
        return {key: _inside(f'"{key}"', value, inner, folder) for key, value in raw.items()}
    return raw if hint is Any else _NO


def _as_sequence(raw: list[Any], hint: Any, kind: type, folder: Path) -> Any:
    inner = typing.get_args(hint)
    if kind is tuple and typing.get_origin(hint) is tuple and inner[-1:] != (...,):
        if len(raw) != len(inner):
            return _NO
        pairs = zip(raw, inner, strict=True)
    else:
        pairs = zip(raw, [inner[0] if inner else Any] * len(raw), strict=True)
    values, wrong = [], []
    for number, (value, one) in enumerate(pairs, 1):
        try:
            values.append(_inside(f"item {number}", value, one, folder))
        except Mistake as mistake:
            wrong.append(str(mistake))
    if wrong:
        raise Mistake("; ".join(wrong))
    return kind(values)


def _as_dataclass(raw: Mapping[str, Any], made: type, folder: Path) -> Any:
    settings = options_of(made)
    for key in raw:
        if key not in settings:
            raise Mistake(f'there is no "{key}" here{nearest(key, settings)}')
    values = {
        settings[key].field: _inside(f'"{key}"', value, settings[key].hint, folder)
        for key, value in raw.items()
    }
    missing = [key for key, one in settings.items() if one.default is dataclasses.MISSING and key not in raw]
    if missing:
        raise Mistake(f'"{missing[0]}" is missing')
    try:
        return made(**values)
    except (ValueError, TypeError) as error:
        raise Mistake(str(error)) from None


def _inside(where: str, raw: Any, hint: Any, folder: Path) -> Any:
    try:
        return converted(raw, hint, folder)
    except Mistake as mistake:
        raise Mistake(f"{where}: {mistake}") from None


def _is_path(hint: Any) -> bool:
    return hint is Path or os.PathLike in (hint, typing.get_origin(hint))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_within(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _shown(raw: Any) -> str:
    if isinstance(raw, str):
        return f'"{raw}"'
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, Mapping):
        return "a table"
    return str(raw)


def wanted(hint: Any) -> str:
    """What a type admits, for people: `true or false`, `a whole number`, `"uac" or "uas"`."""
    texts: dict[str, None] = {}
    has_text = any(member is str for member in members(hint))
    for member in members(hint):
        origin, inner = typing.get_origin(member), typing.get_args(member)
        if member is type(None):
            if not has_text:
                texts['"none"'] = None
        elif origin is Literal:
            texts.update((f'"{one}"', None) for one in inner)
        elif origin is tuple and inner[-1:] != (...,):
            pair = "a pair " if len(inner) == 2 else ""
            texts[f"{pair}[{', '.join(wanted(one) for one in inner)}]"] = None
        elif (origin or member) in _SEQUENCES:
            texts[f"a list of {_plural(inner[0]) if inner else 'values'}"] = None
        else:
            texts[_NAMES.get(origin or member, "a table")] = None
    if "a path" in texts:
        # As which it is written.
        texts.pop("a text", None)
    *first, last = texts
    return f"{', '.join(first)} or {last}" if first else last


_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    os.PathLike: "a path",
}


def _plural(hint: Any) -> str:
    text = wanted(hint)
    return {
        "a text": "texts",
        "a whole number": "whole numbers",
        "a number": "numbers",
        "a path": "paths",
        "a table": "tables",
    }.get(text, text)


def nearest(word: str, known: Collection[str]) -> str:
    """`; did you mean "shards"?` where something is spelled nearly so, else what there is."""
    close = near(word.lower(), known)
    if close:
        return f'; did you mean "{close}"?'
    return f"; there is {', '.join(known)}"


def read_text(text: str, setting: Setting) -> Any:
    """What the text of an environment variable means, as TOML would have it: a list is written in brackets, or its texts
    separated by spaces. What it is not is left to `converted`."""
    hints = [*members(setting.hint)]
    if any((typing.get_origin(one) or one) in _SEQUENCES for one in hints) and not text.startswith("["):
        return text.split()
    if any(one is str or typing.get_origin(one) is Literal for one in hints):
        return text
    if bool in hints and text.lower() in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        return text.lower() in ("true", "yes", "on", "1")
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
