"""`Network`: what an engine is told of the networks around it, and how it keeps its relaying to the calls that passed it.

Plain data, checked when it is made. What follows from it is the engine's business.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from dracht.optiontypes import check_fields

__all__ = ["PRIVATE_NETWORKS", "NatRule", "Network"]

NatRule: TypeAlias = Literal["contact_private", "contact_differs", "via_differs"]

PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
"""Loopback, private (RFC 1918, RFC 4193) and link-local addresses: what `Network.local_networks` is unless it is given."""

# Enough that a secret of a few words is not found by trying from what stands in a Record-Route; 0.1 s, once at the start.
_ROUNDS = 300_000


@dataclass(frozen=True, slots=True)
class Network:
    """The networks around an engine: `app.run(listen=..., network=Network(...))`, `[network]` of a server's configuration.

    Raises:
        ValueError: a network cannot be read, or there is no such rule; the text says which.
        TypeError: a value is of another kind.
    """

    local_networks: Sequence[str] = PRIVATE_NETWORKS
    """Networks as ADDRESS/BITS whose peers see the address that a listener is bound to; all others see the advertised one."""
    nat: Sequence[NatRule] = ("contact_private",)
    """When the Contact of a user agent is not believed, so that requests for it go where its own came from: `contact_private`, it
    is a private address that nobody could reach from here (the one rule that is never wrong); `contact_differs`, it is not the
    source; `via_differs`, the Via is not."""
    relay_secret: str | None = None
    """From this follows the key of the marks in Record-Route and of flow tokens. Servers that share it relay each other's calls,
    and one that is restarted goes on with its own. Without one an engine makes a key that ends with its process."""
    relay_unsigned: Literal["refuse", "drop", "relay"] = "refuse"
    """What becomes of a request within a call that is to be relayed and has no mark of ours: 403, no answer, or it is relayed all
    the same, as any proxy did before there were marks: for networks without strangers."""

    def __post_init__(self) -> None:
        # A list is as good where a file or a caller has one; what is frozen holds a tuple.
        for name in ("local_networks", "nat"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise ValueError(f"{name} is a list of texts, not one text: [{value!r}]")
        check_fields(self)
        for name in ("local_networks", "nat"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for text in self.local_networks:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(f"local_networks: {error}; write ADDRESS/BITS, as 10.0.0.0/8") from None
        rules = get_args(NatRule)
        for rule in self.nat:
            if rule not in rules:
                raise ValueError(f"nat: there is no rule {rule!r}; there are {', '.join(rules)}")
        if self.relay_unsigned not in ("refuse", "drop", "relay"):
            raise ValueError(f"relay_unsigned is 'refuse', 'drop' or 'relay', not {self.relay_unsigned!r}")
        if self.relay_secret is not None and not self.relay_secret:
            raise ValueError("relay_secret is empty: leave it out, or give a text that nobody guesses")

    @property
    def relay_key(self) -> bytes | None:
        """The key that follows from `relay_secret`: 16 bytes; None without one."""
        return None if self.relay_secret is None else _derived(self.relay_secret)

    def __repr__(self) -> str:
        secret = None if self.relay_secret is None else "..."
        return (
            f"Network(local_networks={self.local_networks!r}, nat={self.nat!r}, relay_secret={secret!r}, "
            f"relay_unsigned={self.relay_unsigned!r})"
        )


@functools.cache
def _derived(secret: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), b"dracht relay 1", _ROUNDS, 16)
