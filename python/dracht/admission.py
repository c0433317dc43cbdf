"""`Admission`: what an engine takes from whom; `Filter`: a rule about requests. Frozen values; the engine acts on them.

A *stranger* has shown nothing yet; over UDP its address may be forged. A *known* source has shown that it gets what is sent
to it: an ACK with our tag, a request in a dialog, a response to our request, credentials that the application accepted.
*Trusted* networks are named here. A source is an IPv4 address or the /64 of an IPv6 one. All but its
connections and bans is counted in each shard for itself: multiply by the number of shards for what a server takes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from dracht.methodname import method_name
from dracht.optiontypes import check_fields

__all__ = ["Admission", "Filter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A rule about requests, read from their bytes before they are parsed. It fits a request that has all that it names.

    Raises:
        ValueError: it fits everything, or a value cannot be used.
        TypeError: a value is of another kind.
    """

    user_agent: str | None = None
    """The User-Agent, in which `*` stands for anything; upper and lower case are the same."""
    methods: Sequence[str] = ()
    """The methods; empty for every one. One that is nearly the name of a known method is refused, as it would fit nothing."""
    head_over: int | None = None
    """Fits what has a longer head, in bytes."""
    message_over: int | None = None
    """Fits what is longer, in bytes."""
    action: Literal["drop", "ban", "admit"] | int = "drop"
    """`"drop"`: without a word; a status from 400 to 699: it is answered so, as often as `refused_rate` allows; `"ban"`: as
    drop, and nothing is taken from its source for `seconds` (a known source over UDP is not banned: its address may have
    been forged for that); `"admit"`: it is let in, whatever rules follow."""
    seconds: float = 3600.0
    """How long a ban lasts."""
    name: str = ""
    """What the log calls it; made from the rest when empty."""

    def __post_init__(self) -> None:
        if isinstance(self.methods, str):
            raise ValueError(f"methods={self.methods!r} is a text: give a list, as [{self.methods!r}]")
        check_fields(self)
        every = "a filter without methods fits every one"
        object.__setattr__(self, "methods", tuple(method_name(one, every, own="") for one in self.methods))
        if self.user_agent is None and not self.methods and self.head_over is None is self.message_over:
            raise ValueError(
                "this filter would fit every request: give user_agent, methods, head_over or message_over"
            )
        if self.user_agent == "":
            raise ValueError('user_agent="" fits nothing: give a pattern, as "sipcli*"')
        if isinstance(self.action, int):
            if not 400 <= self.action <= 699:
                raise ValueError(f"action={self.action} is no refusal: a status from 400 to 699")
        elif self.action not in ("drop", "ban", "admit"):
            raise ValueError(f"action is 'drop', 'ban', 'admit' or a status, not {self.action!r}")
        if not 0 < self.seconds < 1e9:
            raise ValueError(f"seconds={self.seconds} is no time that a ban can last: more than 0")
        if not self.name:
            parts = [*self.methods, self.user_agent or "", *(["size"] if self.user_agent is None else [])]
            object.__setattr__(self, "name", " ".join(part for part in parts if part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What an engine takes from whom; rates are messages a second and have a burst, what may come at once after a silence.

    The defaults are for a server on the open Internet: no peer that makes calls reaches them, and everything is taken from
    loopback.

    Raises:
        ValueError: a value cannot be used.
        TypeError: a value is of another kind.
    """

    trusted: Sequence[str] = ("127.0.0.0/8", "::1")
    """Networks from which everything is taken, without any of these limits: carriers, load tests."""
    rate: int | None = 1_000
    """Messages a second of a stranger. None is no limit, here and in the other rates."""
    burst: int = 2_000
    """How many may come at once after a silence."""
    known_rate: int | None = 10_000
    """Messages a second of a known source."""
    known_burst: int = 20_000
    """How many of those may come at once."""
    byte_rate: int | None = 2_000_000
    """Bytes a second of a stranger's messages, counted before they are parsed. 2,000 for each message of `rate`: no peer that
    sends what phones send reaches it, and whoever sends the largest datagrams there are is held to 31 a second."""
    byte_burst: int = 4_000_000
    """How many of those may come at once."""
    known_byte_rate: int | None = 20_000_000
    """Bytes a second of a known source's messages."""
    known_byte_burst: int = 40_000_000
    """How many of those may come at once."""
    strangers_rate: int | None = 5_000
    """Requests a second of all strangers together over UDP, and again so many responses; an address that has a
    connection is a true one."""
    strangers_burst: int = 5_000
    """How many of those may come at once."""
    connection_rate: int | None = 100
    """Connections over TCP, TLS and WebSocket that one source may open in a second, whatever it has shown: a TLS handshake costs
    as much as hundreds of messages. Those past it are closed at once, and their peers try again."""
    connection_burst: int = 1_000
    """How many of those may come at once, as when all the phones of an office come back."""
    refused_rate: int | None = 10
    """Answers a second that the engine itself gives to one stranger whose requests it refuses (400, 405, 481, 503, ...).
    Past it there is silence, so that nobody is answered often who did not ask."""
    refused_burst: int = 20
    """How many of those may go out at once."""
    known_for: float = 3600.0
    """How long a source stays known after it last showed it, in seconds."""
    transactions: int = 10_000
    """Server transactions of one stranger."""
    known_transactions: int = 250_000
    """Server transactions of one known source."""
    strangers_transactions: int = 250_000
    """Server transactions of all strangers together."""
    half_open: int = 200
    """INVITEs of one stranger that are not answered or not acknowledged."""
    known_half_open: int = 10_000
    """Those of one known source."""
    strangers_half_open: int = 5_000
    """Those of all strangers together. Past it the oldest one makes room for the newest: one that was refused, else
    one that has waited for 500 ms (T1)."""
    dialogs: int = 100_000
    """Dialogs that one source has opened."""
    connections: int = 1_000
    """Stream connections that one source may have at a time, in all shards together."""
    stranger_event_age: float = 0.05
    """How far the application may be behind for a stranger's new request over UDP to be let in, in seconds. Past it the
    request is passed over in silence, and its repetition tries again."""
    full_repeats: bool = False
    """Repeat final responses to strangers over UDP as long as RFC 3261 §17.2.1 and §13.3.1.4 say, 11 times; else 3 times: an
    INVITE with a forged address is not to make a server send many times what it got."""
    scanners: bool = True
    """Drop the requests of programs that search the Internet for open servers, by their User-Agent."""
    ban: float | None = None
    """For how many seconds their source is banned as well; None: not at all. Whoever knows the address of a peer that is a
    stranger here can forge one such request over UDP, and have that peer banned."""
    filters: Sequence[Filter] = ()
    """Further rules, which go before those about scanners; the first that fits decides."""

    def __post_init__(self) -> None:
        if isinstance(self.trusted, str):
            raise ValueError(f"trusted={self.trusted!r} is a text: give a list, as [{self.trusted!r}]")
        check_fields(self, but=("filters",))
        if isinstance(self.filters, Filter) or not isinstance(self.filters, Iterable):
            raise TypeError(f"filters takes a list, as [Filter(...)], not {self.filters!r}")
        object.__setattr__(self, "trusted", tuple(network(text) for text in self.trusted))
        object.__setattr__(self, "filters", tuple(self.filters))
        for one in self.filters:
            if not isinstance(one, Filter):
                raise ValueError(f"filters takes Filter(...), not {one!r}")
        for spec in fields(self):
            value = getattr(self, spec.name)
            if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value < 2**32:
                raise ValueError(f"{spec.name}={value} is out of range: 1 or more, or None where a rate")
        for name in ("known_for", "stranger_event_age"):
            if not 0 <= getattr(self, name) < 1e9:
                raise ValueError(f"{name}={getattr(self, name)} is out of range: seconds, 0 or more")
        if self.ban is not None and not 0 < self.ban < 1e9:
            raise ValueError(f"ban={self.ban} is out of range: seconds, more than 0, or None for no ban")

    @classmethod
    def off(cls) -> Admission:
        """No limits at all: everybody is trusted. For a private network."""
        return cls(trusted=("0.0.0.0/0", "::/0"), scanners=False)


def network(text: str) -> str:
    """The network that a text names, as `192.0.2.0/24`; a single address without its length.

    Raises:
        ValueError: it names none.
    """
    try:
        found = ipaddress.ip_network(text.strip("[]") if isinstance(text, str) else "", strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is no address or network: give for example 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"
        ) from None
    return str(found.network_address) if found.prefixlen == found.max_prefixlen else str(found)
