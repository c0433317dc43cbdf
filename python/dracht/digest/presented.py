"""The credentials that a request presents, read for a server and bounded. Whether they are right is not known here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from dracht.digest.fields import Params, challenges, read_ext_value
from dracht.errors import HeaderError

__all__ = ["Presented", "presented"]

# How many header fields are looked at, and how many credentials of one realm (RFC 3261 §22.3 allows several).
_MAX_FIELDS = 16
_MAX_CREDENTIALS = 4
# How long a value may be; characters. A digest-uri is the longest.
_MAX_VALUE = 1024
_COUNT = re.compile(r"[0-9a-fA-F]{8}")
_NEEDED = ("realm", "nonce", "uri", "response")


class Presented(NamedTuple):
    """Credentials, and where they stood."""

    params: Params
    field: int | None
    """The number of their header field, from 0 on; None where it has others beside them."""


def presented(fields: Iterable[str], realm: str) -> list[Presented]:
    """The digest credentials for a realm, with everything in them that is needed, the user name decoded.

    Args:
        fields: the values of Authorization, or of Proxy-Authorization.
        realm: others are passed over: they are for somebody else on the way.

    Raises:
        HeaderError: they cannot be read.
    """
    found: list[Presented] = []
    for number, field in enumerate(list(fields)[:_MAX_FIELDS]):
        held = list(challenges(field))
        for scheme, params in held:
            if scheme.lower() == "digest" and params.get("realm") in (realm, None):
                found.append(Presented(_complete(params), number if len(held) == 1 else None))
    return found[:_MAX_CREDENTIALS]


def _complete(params: Params) -> Params:
    for name in _NEEDED:
        if name not in params:
            raise HeaderError(f"{name} is missing (RFC 7616 §3.4)")
    if any(len(value) > _MAX_VALUE for value in params.values()):
        raise HeaderError(f"a value has more than {_MAX_VALUE} characters")
    if ("username" in params) == ("username*" in params):
        raise HeaderError("there must be one of username and username* (RFC 7616 §3.4)")
    if "username*" in params:
        if params.get("userhash", "").lower() == "true":
            raise HeaderError("username* cannot be hashed (RFC 7616 §3.4)")
        params = {**params, "username": read_ext_value(params["username*"])}
    qop = params.get("qop")
    if qop is None:
        return params
    if not _COUNT.fullmatch(params.get("nc", "")):
        raise HeaderError("nc must be eight hexadecimal digits (RFC 7616 §3.4)")
    if not params.get("cnonce"):
        raise HeaderError("cnonce is missing (RFC 7616 §3.4)")
    return {**params, "qop": qop.lower()}
