"""`Dns`: how an engine finds the servers of a SIP domain (RFC 3263), and what becomes of one that does not answer.

Plain data, checked when it is made. What follows from it is the engine's business.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass

from dracht.optiontypes import check_fields

__all__ = ["Dns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """Names and failover: `app.run(listen=..., dns=Dns(...))`, `[dns]` of a server's configuration. Times are in seconds.

    Raises:
        ValueError: a server is no address, or a number is out of range; the text says which.
        TypeError: a value is of another kind.
    """

    servers: Sequence[str] = ()
    """Name servers as ADDRESS or ADDRESS:PORT; empty: those of `/etc/resolv.conf`, read again when it changes."""
    hosts: bool = True
    """Whether a name that stands in `/etc/hosts` is what it says there; nobody is asked about it then."""
    services: bool = True
    """Whether NAPTR and SRV records are asked for; otherwise a name is its addresses."""
    timeout: float = 2.0
    """How long one name server may take to answer one question."""
    attempts: int = 2
    """How often a question is asked before it has failed."""
    limit: float = 8.0
    """How long a name may take with all the questions it needs; what is known by then is used."""
    cache: int = 10_000
    """How many answers are kept, each for its TTL."""
    longest_ttl: float = 86_400.0
    """The longest time an answer is kept, whatever its TTL."""
    stale: float = 3600.0
    """How long past its TTL an answer is used while no name server answers (RFC 8767); 0: not at all."""
    target_timeout: float | None = 5.0
    """How long a target may be silent before the next one of its name is tried; None: as long as RFC 3261 lets a request wait
    (timers B and F, 32 s). The last target has that time in any case."""
    unavailable: float = 30.0
    """How long a target that was silent or refused is left out, doubled each time that it fails again; 0: never."""
    unavailable_longest: float = 300.0
    """The longest that becomes."""

    def __post_init__(self) -> None:
        # A list is as good where a file or a caller has one; what is frozen holds a tuple.
        if isinstance(self.servers, str):
            raise ValueError(f"servers is a list of texts, not one text: [{self.servers!r}]")
        check_fields(self)
        object.__setattr__(self, "servers", tuple(self.servers))
        for text in self.servers:
            _check_address(text)
        self._check("timeout", least=0.001, most=60)
        self._check("attempts", least=1, most=10)
        self._check("limit", least=0.001, most=120)
        self._check("cache", least=2, most=10_000_000)
        self._check("longest_ttl", least=0, most=30 * 86_400)
        self._check("stale", least=0, most=30 * 86_400)
        if self.target_timeout is not None:
            self._check("target_timeout", least=0.1, most=120)
        self._check("unavailable", least=0, most=86_400)
        self._check("unavailable_longest", least=self.unavailable, most=86_400)

    def _check(self, name: str, *, least: float, most: float) -> None:
        value = getattr(self, name)
        if not math.isfinite(value) or not least <= value <= most:
            raise ValueError(f"{name}={value} is out of range: {least:g} to {most:g}")

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Address and port of each of `servers`."""
        return [_check_address(text) for text in self.servers]


def _check_address(text: str) -> tuple[str, int]:
    """Address and port of a name server."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        raise ValueError(
            f"servers: {text!r} is no address; write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53"
        ) from None
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"servers: {text!r} has no port from 1 to 65535 behind its colon")
    return address, int(port)
