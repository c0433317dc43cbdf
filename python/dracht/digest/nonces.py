"""A server's nonces: made without being kept, dated and signed, and counted once they are used (RFC 7616 §5.4, §3.4 `nc`).

A nonce says when it was made, and carries a signature over that, the realm and where it was asked from, so that giving one out
costs no memory: a flood of requests without credentials leaves nothing behind. Only a nonce with which a request was
authenticated is kept, with a window of the counts it was used with. What was dropped from the table to bound it is old from then
on, never new.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hmac
import secrets
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Nonces", "Standing"]

_RANDOM, _SIGNATURE = 8, 16
_LENGTH = 6 + _RANDOM + _SIGNATURE
# How far behind the highest count one may come that was sent before and arrives after it: requests overtake one another.
_WINDOW = 128


class Standing(enum.Enum):
    """What a nonce is worth."""

    GOOD = "good"
    OLD = "old"
    """It was ours, and has expired or was dropped."""
    FOREIGN = "foreign"
    """We did not make it: an invented one, or one of a process with another secret."""


class _Used(NamedTuple):
    made: float
    highest: int
    seen: int
    """Bit n: the count `highest - n` was used."""


class Nonces:
    """Nonces of one server.

    Args:
        secret: with which they are signed; the same in all processes that are to know one another's.
        lifetime: how long one is good; seconds.
        limit: how many that are in use are kept; past it the one not used for the longest time is old.
        clock: gives the time in seconds since 1970, the same in all processes with the secret.
    """

    __slots__ = ("_clock", "_lifetime", "_limit", "_secret", "_since", "_used")

    def __init__(self, secret: bytes, *, lifetime: float, limit: int, clock: Callable[[], float]) -> None:
        self._secret = secret
        self._lifetime = lifetime
        self._limit = limit
        self._clock = clock
        # Which nonces that are not in the table may be new: none from before this process knew, for their counts are unknown.
        self._since = _rounded(clock())
        self._used: dict[str, _Used] = {}

    def __len__(self) -> int:
        return len(self._used)

    def make(self, context: str) -> str:
        """A new nonce, for requests of one realm (and source): `context` is what it is bound to."""
        stamp = int(self._clock() * 1000).to_bytes(6, "big") + secrets.token_bytes(_RANDOM)
        return base64.urlsafe_b64encode(stamp + self._signature(stamp, context)).decode()

    def standing(self, nonce: str, context: str) -> Standing:
        """What a nonce that a request brings is worth, its count apart."""
        made = self._made(nonce, context)
        if made is None:
            return Standing.FOREIGN
        age = self._clock() - made
        # One from the future is of a clock that was turned back, or of another machine's: let it be old when it is far off.
        if not -self._lifetime <= age <= self._lifetime:
            return Standing.OLD
        if made < self._since and nonce not in self._used:
            return Standing.OLD
        return Standing.GOOD

    def use(self, nonce: str, context: str, count: int) -> bool:
        """Records that a request was authenticated with this count; False where that count was used before, or may have been."""
        made = self._made(nonce, context)
        if made is None or count < 1:
            return False
        held = self._used.pop(nonce, None)
        if held is None:
            if made < self._since:
                return False
            self._used[nonce] = _Used(made, count, 1)
            self._bound()
            return True
        behind = held.highest - count
        if behind < 0:
            # Nothing of the window is left past a jump that is wider than it, and a jump may be as wide as the peer likes.
            seen = 1 if -behind >= _WINDOW else (held.seen << -behind | 1) & ((1 << _WINDOW) - 1)
            self._used[nonce] = held._replace(highest=count, seen=seen)
            return True
        fresh = behind < _WINDOW and not held.seen >> behind & 1
        self._used[nonce] = held._replace(seen=held.seen | 1 << behind) if fresh else held
        return fresh

    def age(self, nonce: str, context: str) -> float:
        """How old one of ours is; seconds."""
        made = self._made(nonce, context)
        return 0.0 if made is None else self._clock() - made

    def _bound(self) -> None:
        now = self._clock()
        while self._used:
            oldest = next(iter(self._used))
            made = self._used[oldest].made
            expired = now - made > self._lifetime
            if not expired and len(self._used) <= self._limit:
                break
            del self._used[oldest]
            if not expired:
                # It is forgotten with its counts: neither it nor any made before may count as new.
                self._since = max(self._since, made + 0.001)

    def _made(self, nonce: str, context: str) -> float | None:
        # A nonce has one length and one spelling, without padding: others of the same bytes would be other keys of the table.
        if len(nonce) != _LENGTH * 4 // 3 or not nonce.isascii():
            return None
        try:
            data = base64.b64decode(nonce, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        stamp, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
        if not hmac.compare_digest(signature, self._signature(stamp, context)):
            return None
        return int.from_bytes(stamp[:6], "big") / 1000

    def _signature(self, stamp: bytes, context: str) -> bytes:
        data = stamp + context.encode("utf-8", "surrogateescape")
        return hmac.digest(self._secret, b"dracht nonce 1" + data, "sha256")[:_SIGNATURE]


def _rounded(time: float) -> float:
    return int(time * 1000) / 1000
