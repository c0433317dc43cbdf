"""Bounds of connections over TCP, TLS and WebSocket. A plain description: the Rust half holds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dracht.optiontypes import check_fields

__all__ = ["Streams"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """How connections are kept: `streams=` of `App.run`, `Agent.run`, `ServerConfig` and `Engine.start`. Times are in seconds.

    Raises:
        ValueError: an argument is out of range.
        TypeError: an argument is of another kind.
    """

    max_connections: int = 16_384
    """How many connections each shard holds, accepted and opened; past it the oldest over
    which nothing ever came gives way, and without such the new one is refused. An eighth is for the opened."""
    max_handshakes: int = 1024
    """How many accepted connections of a shard may be agreeing upon TLS or WebSocket; past it the oldest gives way."""
    connect_timeout: float = 4.0
    """How long opening a connection may take."""
    handshake_timeout: float = 10.0
    """How long agreeing upon TLS and WebSocket may take."""
    first_message_timeout: float = 30.0
    """Whoever connected over TCP or TLS has to send a whole message or a keep-alive within this: connections that are never used
    are not to take the place of others. A WebSocket may stay silent as long as its peer answers pings."""
    idle_timeout: float = 600.0
    """A connection without any traffic is closed after this. A WebSocket whose peer answers pings has traffic."""
    message_timeout: float = 30.0
    """A message that was begun must be complete within this."""
    write_timeout: float = 30.0
    """A peer that takes nothing while something waits for it is closed after this."""
    ping_interval: float = 30.0
    """A WebSocket whose peer was silent for this long is asked whether it lives (RFC 7118 §6); 0: never."""
    pong_timeout: float = 10.0
    """How long the answer to that may take, and the answer to a keep-alive (RFC 5626 §4.4.1)."""
    keep_alive: Literal["registered", "opened"] = "registered"
    """Which connections over TCP and TLS that we opened are kept alive: `registered`, those over which a registration was
    accepted, while it lasts, as calls come back over them; `opened`, all, as to a trunk behind a firewall. Others end when they
    are idle."""
    keep_alive_interval: float = 120.0
    """How often a keep-alive goes over those at least (RFC 5626 §4.4.1: 120 s), more often where the registrar's Flow-Timer says
    so; 0: never. A peer that answered one before, or agreed to do so, and does not answer within `pong_timeout`, is given up."""
    unanswered: int = 3
    """How many requests in a row may go unanswered, with nothing else heard from the peer, before their connection is closed and
    the next one opens another; 0: any number. One may be lost to a slow application, three are a dead connection."""
    alias: bool = True
    """Whether, with certificates of ours, our Via over TLS has `alias` (RFC 5923): the peer is asked to send its requests for us
    over the connection that we opened. It does if it asked for our certificate and that proves the host in our Via
    (`advertise=`), and otherwise leaves it."""
    origins: Sequence[str] = ()
    """The origins, as `https://phone.example.com`, whose pages may open a WebSocket here; empty: all. Browsers tell the
    truth about it, other programs need not: it protects users of browsers, and authenticates nobody."""

    def __post_init__(self) -> None:
        if isinstance(self.origins, str):
            raise ValueError(
                f'Streams: origins is a list, as ["https://phone.example.com"], not {self.origins!r}'
            )
        check_fields(self)
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
            "first_message_timeout",
            "idle_timeout",
            "message_timeout",
            "write_timeout",
            "pong_timeout",
        ):
            seconds = getattr(self, name)
            if not 0 < seconds < math.inf:
                raise ValueError(f"Streams: {name} is a number of seconds above 0, not {seconds!r}")
        for name in ("ping_interval", "keep_alive_interval"):
            seconds = getattr(self, name)
            if not 0 <= seconds < math.inf:
                raise ValueError(f"Streams: {name} is a number of seconds from 0, not {seconds!r}")
        if self.keep_alive not in ("registered", "opened"):
            raise ValueError(f"Streams: keep_alive is 'registered' or 'opened', not {self.keep_alive!r}")
        if self.unanswered < 0:
            raise ValueError(f"Streams: unanswered is a number from 0, not {self.unanswered!r}")
