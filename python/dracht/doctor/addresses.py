"""The addresses that peers are told: whether those who are told can reach them (RFC 3261 §8.1.1.8, §18.1.1, §16.6 item 4)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

from dracht.doctor.finding import Finding
from dracht.doctor.machine import Address, address_of
from dracht.doctor.situation import Listener, Seen, Situation, is_private

__all__ = ["advertised", "shown"]


def host_in(value: str) -> str:
    """The host that a Via or a Contact names."""
    found = re.search(r"(?:sips?:(?:[^@>;]*@)?|SIP/2\.0/\w+ )(\[[^]]*\]|[^:;>\s]+)", value)
    return found[1] if found else ""


def shown(situation: Situation) -> Iterator[Finding]:
    """Peers that would be told an address which they cannot reach, and an advertised address of a family without listener."""
    literals = _literals(situation)
    told: dict[str, list[Seen]] = {}
    for seen in situation.seen:
        host = address_of(host_in(seen.contact))
        if seen.peer.place == "internet" and host is not None and is_private(host):
            told.setdefault(str(host), []).append(seen)
    for private, cases in told.items():
        names = ", ".join(dict.fromkeys(one.listener.name for one in cases))
        seen_there = (
            f"A telephone on the Internet that reaches {names} would be told to answer to {private}, a private address that it "
            "cannot reach: calls with it would be set up and then end after half a minute, or not be set up at all."
        )
        version = cases[0].listener.host.version
        # Whoever gave an address of one family thinks that the other is taken care of.
        if literals and all(one.version != version for one in literals):
            wanted = "[ADDRESS]" if version == 6 else "ADDRESS"
            yield Finding(
                "warning",
                "advertised-family",
                f"{seen_there} {_listed(literals)} is advertised, an address of IPv{literals[0].version}: listeners on "
                f"IPv{version} do not tell it.",
                f"Give the listeners on IPv{version} an address of theirs (;advertise={wanted} in the listener), or advertise a "
                f"name that has an A and an AAAA record. If nobody outside calls over IPv{version}, take those listeners away.",
            )
        else:
            yield Finding(
                "warning",
                "private-address",
                seen_there,
                "Give the address that the Internet sees as advertise (--advertise ADDRESS, or ;advertise=ADDRESS in the "
                "listener). If only telephones in your own network call, this is as it should be.",
            )
    versions = {one.host.version for one in situation.listeners}
    for one in literals:
        if one.version not in versions:
            listener = "sip:[::]:5060" if one.version == 6 else "sip:*:5060"
            yield Finding(
                "warning",
                "advertised-family",
                f"{one} is advertised, and no listener is on IPv{one.version}: every listener tells it.",
                "That is right where something before this machine translates. If nothing does, add a listener on "
                f'IPv{one.version} ("{listener}"), or advertise an address of the other family, or a name.',
            )
    if situation.listeners and all(one.host.is_loopback for one in situation.listeners):
        yield Finding(
            "note",
            "loopback-only",
            "Every listener is on loopback: only programs on this machine reach it.",
            'To be reached from elsewhere, listen on "sip:*:5060".',
        )


def _literals(situation: Situation) -> list[Address]:
    """The addresses, not names, that are advertised: by listeners of their own, and for all of them."""
    texts = [one.advertised[0] for one in situation.listeners if one.advertised is not None]
    if common := situation.options.get("advertise"):
        texts.append(common if address_of(common) is not None else common.rpartition(":")[0])
    return list(dict.fromkeys(one for one in map(address_of, texts) if one is not None))


def advertised(situation: Situation) -> Iterator[Finding]:
    """Advertised hosts: an address of the wrong kind, a name that leads nowhere or elsewhere."""
    hosts: dict[str, list[Listener]] = {}
    for listener in situation.listeners:
        if listener.advertised is not None:
            hosts.setdefault(listener.advertised[0], []).append(listener)
    own = {situation.machine.source_towards(peer.address) for peer in situation.everybody}
    for host, listeners in hosts.items():
        address = address_of(host)
        if address is None:
            yield from _name(host, listeners, own)
        elif address.is_loopback or address.is_unspecified or address.is_multicast:
            yield Finding(
                "problem",
                "advertised-address",
                f"{host} is advertised, and no peer elsewhere can reach that: it means the machine that reads it.",
                "Advertise the address or the name under which peers reach this machine.",
            )
        elif is_private(address) and situation.machine.source_towards(address) is not None:
            yield Finding(
                "warning",
                "advertised-address",
                f"The private address {host} is advertised: peers on the Internet cannot reach it.",
                "Advertise the public address. If only telephones in your own network call, this is as it should be.",
            )


def _name(host: str, listeners: list[Listener], own: set[Address | None]) -> Iterator[Finding]:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError as error:
        yield Finding(
            "problem",
            "advertised-name",
            f"The advertised name {host} has no address ({error.strerror or error}): peers that are told it cannot answer.",
            "Correct the name, or add it to the DNS: an A record with the public IPv4 address, an AAAA record with the IPv6 one.",
        )
        return
    addresses = list(dict.fromkeys(address_of(str(answer[4][0])) for answer in answers))
    for version in sorted({one.host.version for one in listeners}):
        family = [one for one in addresses if one is not None and one.version == version]
        if not family:
            yield Finding(
                "warning",
                "advertised-name",
                f"The advertised name {host} has no IPv{version} address, and a listener on IPv{version} advertises it.",
                f"Add {'an A' if version == 4 else 'an AAAA'} record, or advertise another name for that listener.",
            )
        elif all(is_private(one) for one in family):
            yield Finding(
                "warning",
                "advertised-name",
                f"The advertised name {host} is {_listed(family)}: a private address that the Internet cannot reach.",
                "Give the name the public address. (This is what the resolver of this machine says: in the Internet's DNS it "
                "may be "
                "another.)",
            )
        elif not set(family) & own:
            yield Finding(
                "note",
                "advertised-name",
                f"The advertised name {host} is {_listed(family)}, which is none of this machine's own addresses.",
                "Right behind a NAT that forwards that address to this machine. Otherwise the name leads elsewhere: correct it.",
            )


def _listed(addresses: list[Address]) -> str:
    return ", ".join(str(one) for one in addresses)
