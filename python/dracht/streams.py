"""Bounds of connections over TCP, TLS and WebSocket. A plain description: the Rust half holds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Streams"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """How connections are kept: `streams=` of `App.run`, `Agent.run`, `ServerConfig` and `Engine.start`. Times are in seconds.

    Raises:
        ValueError: an argument is out of range.
    """

    max_connections: int = 16_384
    """How many connections each shard holds, accepted and opened; past it new ones are refused."""
    max_handshakes: int = 1024
    """How many accepted connections of a shard may be agreeing upon TLS or WebSocket; past it the oldest gives way."""
    connect_timeout: float = 4.0
    """How long opening a connection may take."""
    handshake_timeout: float = 10.0
    """How long agreeing upon TLS and WebSocket may take."""
    idle_timeout: float = 600.0
    """A connection without any traffic is closed after this. A WebSocket whose peer answers pings has traffic."""
    message_timeout: float = 30.0
    """A message that was begun must be complete within this."""
    write_timeout: float = 30.0
    """A peer that takes nothing while something waits for it is closed after this."""
    ping_interval: float = 30.0
    """A WebSocket whose peer was silent for this long is asked whether it lives (RFC 7118 §6); 0: never."""
    pong_timeout: float = 10.0
    """How long the answer to that may take."""
    origins: Sequence[str] = ()
    """The origins, as `https://phone.example.com`, whose pages may open a WebSocket here; empty: all. Browsers tell the
    truth about it, other programs need not: it protects users of browsers, and authenticates nobody."""

    def __post_init__(self) -> None:
        if isinstance(self.origins, str):
            raise ValueError(
                f'Streams: origins is a list, as ["https://phone.example.com"], not {self.origins!r}'
            )
        object.__setattr__(self, "origins", tuple(self.origins))
        for origin in self.origins:
            scheme, mark, host = origin.partition("://")
            if scheme not in ("http", "https") or not mark or not host or "/" in host:
                raise ValueError(
                    f"Streams: {origin!r} is no origin: scheme and host, without a path, as https://phone.example.com"
                )
        for name in ("max_connections", "max_handshakes"):
            number = getattr(self, name)
            if number < 1:
                raise ValueError(f"Streams: {name} is a number from 1, not {number!r}")
        for name in (
            "connect_timeout",
            "handshake_timeout",
            "idle_timeout",
            "message_timeout",
            "write_timeout",
            "pong_timeout",
        ):
            seconds = getattr(self, name)
            if not 0 < seconds < math.inf:
                raise ValueError(f"Streams: {name} is a number of seconds above 0, not {seconds!r}")
        if not 0 <= self.ping_interval < math.inf:
            raise ValueError(
                f"Streams: ping_interval is a number of seconds from 0, not {self.ping_interval!r}"
            )
