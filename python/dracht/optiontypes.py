"""Whether options are of the types that they are declared with, in the words of people: `shards= takes a whole number, not '2'`.

Of a `Literal` only that it is a text is looked at: what it may be is said by whom it belongs to, as are bounds of numbers.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import difflib
import functools
import os
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

__all__ = ["check_fields", "check_types", "near"]

_MOST = 2**32
"""No whole number that is set here reaches it, and the engine could hold none that is much longer."""

_NEAR = 0.65
"""Of letters in common: "tsl" is nearly "tls", "log_level" is not "dialog_idle" (0.6)."""

_NAMES: dict[Any, tuple[str, str]] = {
    bool: ("True or False", "True or False"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    os.PathLike: ("a path", "paths"),
    types.NoneType: ("None", "None"),
}


def check_types(values: Mapping[str, object], hints: Mapping[str, Any], prefix: str = "") -> None:
    """Whether each value is of its type. What has no type here is let pass.

    Args:
        values: by name.
        hints: the types, by name.
        prefix: what stands before a name: `Dns: `.

    Raises:
        TypeError: one is not; the text says which, and what it takes.
        ValueError: a whole number is longer than any that makes sense.
    """
    for name, value in values.items():
        hint = hints.get(name)
        if hint is None:
            continue
        if not _fits(value, hint):
            raise TypeError(f"{prefix}{name}= takes {_words(hint)}, not {_shown(value)}")
        if isinstance(value, int) and not -_MOST < value < _MOST:
            raise ValueError(f"{prefix}{name}={value} is out of range: less than {_MOST:,}")


def check_fields(made: Any, *, but: Iterable[str] = ()) -> None:
    """`check_types` for each field of a dataclass, but those of these names, which it looks at itself."""
    kind: Any = type(made)
    hints = _hints(kind)
    check_types(
        {name: getattr(made, name) for name in hints if name not in set(but)},
        hints,
        f"{type(made).__name__}: ",
    )


def near(name: str, known: Collection[str]) -> str | None:
    """What of these names may have been meant: the nearest, where one is near."""
    return next(iter(difflib.get_close_matches(name, known, 1, _NEAR)), None)


@functools.cache
def _hints(made: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(made)
    return {one.name: hints[one.name] for one in dataclasses.fields(made)}


def _members(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for member in typing.get_args(hint):
            yield from _members(member)
    else:
        yield hint


def _fits(value: object, hint: Any) -> bool:
    return any(_is(value, member) for member in _members(hint))


def _is(value: object, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is Literal:
        return isinstance(value, str)
    if origin in (int, float):
        return isinstance(value, int if origin is int else int | float) and not isinstance(value, bool)
    if origin is tuple:
        return (
            isinstance(value, tuple | list)
            and len(value) == len(inner)
            and all(_fits(one, kind) for one, kind in zip(value, inner, strict=True))
        )
    if origin is collections.abc.Sequence:
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            return False
        # What can be gone through once only is not, for a look at it.
        return not isinstance(value, collections.abc.Collection) or all(_fits(one, inner[0]) for one in value)
    return not isinstance(origin, type) or isinstance(value, origin)


def _words(hint: Any, *, several: bool = False) -> str:
    """What a type admits; None, with which an option is left out, is not told of."""
    members = [*_members(hint)]
    texts: dict[str, None] = {}
    for member in members:
        origin, inner = typing.get_origin(member) or member, typing.get_args(member)
        if member is types.NoneType and len(members) > 1:
            continue
        if origin is Literal:
            texts.update((repr(one), None) for one in inner)
        elif origin is tuple:
            texts[f"({', '.join(_words(one) for one in inner)})"] = None
        elif origin is collections.abc.Sequence:
            texts[f"a list of {_words(inner[0], several=True)}"] = None
        elif origin in _NAMES:
            texts[_NAMES[origin][several]] = None
        else:
            texts[f"{origin.__name__}(...)" if isinstance(origin, type) else str(origin)] = None
    *first, last = texts
    return f"{', '.join(first)} or {last}" if first else last


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
