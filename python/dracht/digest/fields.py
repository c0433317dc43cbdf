"""The header fields of digest: challenges, credentials and Authentication-Info, read from text and written to it.

What they mean is not known here. Reading is strict about what would be read in two ways (a parameter given twice, a quoted
value that does not end) and lenient about the rest: quotes where there should be none and the reverse (RFC 7616 §3.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote_to_bytes

from dracht.errors import HeaderError

__all__ = ["Params", "challenges", "ext_value", "parameters", "read_ext_value", "written"]

Params = dict[str, str]

# How many parameters one challenge or credentials may have; those that are defined are not half as many.
_MAX_PARAMS = 40
# Written without quotes, as RFC 7616 §3.3, §3.4 and §3.5 have it.
_BARE = frozenset(("algorithm", "stale", "nc", "userhash", "charset", "username*"))


def challenges(field: str) -> Iterator[tuple[str, Params]]:
    """The challenges, or credentials, of one header field: scheme and parameters, names in lower case.

    Raises:
        HeaderError: it cannot be read.
    """
    scheme: str | None = None
    params: Params = {}
    for word, value in _words(field):
        if value is None:
            # A word without `=` begins another challenge.
            if scheme is not None:
                yield scheme, params
            scheme, params = word, {}
        elif scheme is None:
            raise HeaderError(f"it begins with a parameter, not with a scheme: {_shown(field)}")
        else:
            _keep(params, word, value, field)
    if scheme is not None:
        yield scheme, params


def parameters(field: str) -> Params:
    """The parameters of a header field without a scheme, as Authentication-Info (RFC 7616 §3.5). Raises HeaderError."""
    params: Params = {}
    for word, value in _words(field):
        if value is None:
            raise HeaderError(f"{word!r} has no value: {_shown(field)}")
        _keep(params, word, value, field)
    return params


def written(params: Iterable[tuple[str, str]], *, bare: frozenset[str] = _BARE) -> str:
    """Parameters as a header field has them, quoted where they are to be.

    Raises:
        HeaderError: a value holds a line break.
    """
    parts = []
    for name, value in params:
        if "\r" in value or "\n" in value or "\0" in value:
            raise HeaderError(f"the value of {name} holds a line break")
        if name in bare:
            parts.append(f"{name}={value}")
        else:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'{name}="{escaped}"')
    return ", ".join(parts)


def ext_value(text: str) -> str:
    """A text as the value of `username*` (RFC 8187 §3.2)."""
    return "UTF-8''" + quote(text.encode("utf-8", "surrogateescape"), safe="!#$&+-.^_`|~")


def read_ext_value(value: str) -> str:
    """What `ext_value` writes. Raises HeaderError."""
    charset, language, coded = [*value.split("'", 2), "", ""][:3]
    if charset.upper() != "UTF-8" or value.count("'") < 2 or len(language) > 64:
        raise HeaderError(f"username* is UTF-8''and %-escapes, not {_shown(value)}")
    try:
        return unquote_to_bytes(coded).decode("utf-8")
    except UnicodeDecodeError:
        raise HeaderError(f"username* is not UTF-8: {_shown(value)}") from None


def _words(field: str) -> Iterator[tuple[str, str | None]]:
    """Words with the values behind their `=`; None for one that has none."""
    at, end = 0, len(field)
    while at < end:
        if field[at] in " \t,":
            at += 1
            continue
        start = at
        while at < end and field[at] not in ' \t,="':
            at += 1
        word = field[start:at]
        while at < end and field[at] in " \t":
            at += 1
        if at < end and field[at] == "=" and word:
            value, at = _value(field, at + 1)
            yield word, value
        elif word and (at >= end or field[at] not in '="'):
            yield word, None
        else:
            raise HeaderError(f"it cannot be read at character {start}: {_shown(field)}")


def _value(field: str, at: int) -> tuple[str, int]:
    end = len(field)
    while at < end and field[at] in " \t":
        at += 1
    if at < end and field[at] == '"':
        text: list[str] = []
        at += 1
        while at < end:
            sign = field[at]
            if sign == '"':
                return "".join(text), at + 1
            if sign == "\\" and at + 1 < end:
                at += 1
                sign = field[at]
            text.append(sign)
            at += 1
        raise HeaderError(f"a quoted value does not end: {_shown(field)}")
    start = at
    while at < end and field[at] not in " \t,":
        at += 1
    return field[start:at], at


def _keep(params: Params, name: str, value: str, field: str) -> None:
    name = name.lower()
    if name in params:
        raise HeaderError(f"{name} is given twice: {_shown(field)}")
    if "\r" in value or "\n" in value or "\0" in value:
        # What it says is given back, and could not be.
        raise HeaderError(f"the value of {name} holds a line break: {_shown(field)}")
    if len(params) >= _MAX_PARAMS:
        raise HeaderError(f"it has more than {_MAX_PARAMS} parameters: {_shown(field)}")
    params[name] = value


def _shown(field: str) -> str:
    return repr(field if len(field) <= 200 else field[:200] + "...")
