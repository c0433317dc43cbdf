"""What digest computes (RFC 7616 §3.4): algorithms, HA1, the response, the hash of a user name. No state, no header fields."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache

from dracht.errors import HeaderError

__all__ = ["ALGORITHMS", "base_of", "digest_response", "ha1", "normal", "strength", "userhash"]

# Strongest first, with the names of hashlib (RFC 8760 §2.2, RFC 7616 §6.1).
ALGORITHMS = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_STRENGTH = list(ALGORITHMS)


def base_of(algorithm: str) -> str:
    """An algorithm without `-sess`, as the registry spells it.

    Raises:
        HeaderError: it is not known, or the Python in use cannot compute it.
    """
    base = algorithm.upper().removesuffix("-SESS")
    if base not in ALGORITHMS:
        raise HeaderError(
            f"the digest algorithm {algorithm!r} is not known; known are {', '.join(ALGORITHMS)}"
        )
    if not _available(base):
        raise HeaderError(f"the digest algorithm {algorithm!r} is missing in the OpenSSL that Python uses")
    return base


def is_session(algorithm: str) -> bool:
    """Whether it is a `-sess` algorithm: its secret is bound to the nonces (RFC 7616 §3.4.2)."""
    return algorithm.lower().endswith("-sess")


def strength(algorithm: str) -> int:
    """How strong an algorithm is, 0 the strongest. Raises HeaderError where `base_of` does."""
    return _STRENGTH.index(base_of(algorithm))


def ha1(algorithm: str, username: str, realm: str, password: str) -> str:
    """H(username:realm:password), hexadecimal: what may be stored instead of a password (RFC 7616 §3.4.2, §5.13).

    Args:
        algorithm: `MD5`, `SHA-256` or `SHA-512-256`; `-sess` makes no difference here.

    Raises:
        HeaderError: the algorithm is not known.
    """
    return _hashed(algorithm, f"{username}:{realm}:{password}".encode("utf-8", "surrogateescape"))


def userhash(algorithm: str, username: str, realm: str) -> str:
    """H(username:realm), hexadecimal: the user name where the server asks for `userhash` (RFC 7616 §3.4.4)."""
    return _hashed(algorithm, f"{username}:{realm}".encode("utf-8", "surrogateescape"))


def digest_response(
    algorithm: str,
    secret: str,
    method: str,
    uri: str,
    nonce: str,
    *,
    qop: str | None = None,
    count: str = "",
    cnonce: str = "",
    body: bytes = b"",
) -> str:
    """The `response` of RFC 7616 §3.4.1, hexadecimal in lower case; with "" as method the `rspauth` of §3.5.

    Args:
        algorithm: as in the challenge: `MD5`, `SHA-256`, `SHA-512-256`, each perhaps with `-sess`.
        secret: HA1 of the user, as `ha1` gives it.
        uri: the digest-uri.
        qop: `auth`, `auth-int`, or None for a challenge without (RFC 2069).
        count: the nonce count as it stands in the header field, eight hexadecimal digits.
        body: counts with `auth-int` only, where the hash of an empty body is meant too (RFC 3261 §22.4 item 7).

    Raises:
        HeaderError: the algorithm is not known.
    """
    if is_session(algorithm):
        secret = _hashed(algorithm, _bytes(f"{secret}:{nonce}:{cnonce}"))
    asked = f"{method}:{uri}"
    if qop == "auth-int":
        asked = f"{asked}:{_hashed(algorithm, body)}"
    hashed = _hashed(algorithm, _bytes(asked))
    if qop is None:
        return _hashed(algorithm, _bytes(f"{secret}:{nonce}:{hashed}"))
    return _hashed(algorithm, _bytes(f"{secret}:{nonce}:{count}:{cnonce}:{qop}:{hashed}"))


def normal(text: str) -> str:
    """User name and password as `charset=UTF-8` wants them hashed: composed, NFC (RFC 7616 §4)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _hashed(algorithm: str, data: bytes) -> str:
    return hashlib.new(ALGORITHMS[base_of(algorithm)], data, usedforsecurity=False).hexdigest()


@lru_cache
def _available(base: str) -> bool:
    try:
        hashlib.new(ALGORITHMS[base], b"", usedforsecurity=False)
    except ValueError:
        return False
    return True
