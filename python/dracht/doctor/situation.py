"""What the checks look at: the configuration, the listeners it makes, the peers there may be, and the machine.

What a peer would see is not worked out here: `_core.Plan` asks the engine's own code, which writes the messages of a small call.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dracht import _core
from dracht.doctor.machine import ELSEWHERE, Address, Machine, address_of

__all__ = ["Listener", "Peer", "Seen", "Situation", "is_private"]


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener that would be opened: `advertised` is host and port that peers elsewhere are told, if not its own."""

    transport: str
    host: Address
    port: int
    advertised: tuple[str, int] | None

    @property
    def name(self) -> str:
        """As people write it: `udp 0.0.0.0:5060`."""
        host = f"[{self.host}]" if self.host.version == 6 else str(self.host)
        return f"{self.transport} {host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody who may call: `name` for people, and an address that such a one may have."""

    name: str
    address: Address
    place: Literal["machine", "network", "internet"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a peer sees of a listener: header fields as the engine writes them."""

    listener: Listener
    peer: Peer
    via: str
    contact: str
    record_route: str


@dataclass
class Situation:
    """What there is to look at.

    Arguments: `options`, the fields of a `ServerConfig` that were given; `file`, the configuration file they are from;
    `domains`, whose
    telephones are to be called; `peers`, addresses of peers besides the usual ones; `secret_files`, files with the secret in
    them;
    `now`, seconds since the epoch.
    """

    options: Mapping[str, Any]
    machine: Machine = field(default_factory=Machine)
    file: Path | None = None
    domains: Sequence[str] = ()
    peers: Sequence[str] = ()
    secret_files: Sequence[Path] = ()
    now: float = field(default_factory=time.time)

    @cached_property
    def plan(self) -> _core.Plan:
        """The listeners as the engine would have them; `ValueError` for options that it would not take."""
        names = ("advertise", "network", "dns")
        given = {name: self.options[name] for name in names if self.options.get(name) is not None}
        return _core.Plan(list(self.options["listen"]), **given)

    @cached_property
    def listeners(self) -> list[Listener]:
        """What would be opened, in order."""
        return [
            Listener(transport, ipaddress.ip_address(host), port, advertised)
            for transport, host, port, advertised in self.plan.listeners
        ]

    @cached_property
    def everybody(self) -> list[Peer]:
        """The peers there may be: on this machine, in each of its networks, elsewhere, and those that were asked about."""
        found = [Peer("this machine", ipaddress.ip_address(text), "machine") for text in ("127.0.0.1", "::1")]
        for network in self.machine.networks:
            own = self.machine.source_towards(network.prefix.network_address + 1)
            neighbour = network.neighbour(own)
            if neighbour is not None:
                found.append(Peer(f"{network.prefix} ({network.interface})", neighbour, "network"))
        for address in ELSEWHERE:
            if self.machine.source_towards(address) is not None:
                found.append(Peer(f"the Internet, IPv{address.version}", address, "internet"))
        for text in self.peers:
            asked = address_of(text)
            if asked is not None:
                found.append(Peer(text, asked, "network" if is_private(asked) else "internet"))
        return found

    @cached_property
    def seen(self) -> list[Seen]:
        """What each peer sees of each listener that it can reach."""
        return list(self._see())

    def _see(self) -> Iterator[Seen]:
        for index, listener in enumerate(self.listeners):
            for peer in self.everybody:
                own = self.machine.source_towards(peer.address)
                if own is None or own.version != listener.host.version:
                    continue
                if listener.host.is_loopback != own.is_loopback and not listener.host.is_unspecified:
                    continue
                local = own if listener.host.is_unspecified else listener.host
                texts = self.plan.seen_by(index, str(peer.address), str(local))
                yield Seen(listener, peer, *texts)


def is_private(address: Address) -> bool:
    """Whether nobody on the Internet can reach it: RFC 1918, RFC 4193, carrier-grade NAT (RFC 6598), loopback, link-local."""
    shared = address.version == 4 and address in ipaddress.ip_network("100.64.0.0/10")
    networks = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    within = any(
        address in ipaddress.ip_network(one)
        for one in networks
        if ipaddress.ip_network(one).version == address.version
    )
    return within or shared or address.is_loopback or address.is_link_local or address.is_unspecified
