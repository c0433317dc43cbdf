"""Where this machine stands: in a container, behind a NAT. From what can be seen without asking anybody outside."""

from __future__ import annotations

from collections.abc import Iterator

from dracht.doctor.finding import Finding
from dracht.doctor.machine import ELSEWHERE
from dracht.doctor.situation import Situation, is_private

__all__ = ["surroundings"]


def surroundings(situation: Situation) -> Iterator[Finding]:
    """Containers and private ways out."""
    machine = situation.machine
    ways = [one for one in (machine.source_towards(address) for address in ELSEWHERE) if one is not None]
    public = [one for one in ways if not is_private(one)]
    if machine.container:
        yield Finding(
            "note",
            "container",
            f"This runs in {machine.container}. Its own addresses mean nothing outside, unless it shares the network of the "
            "host.",
            "Publish the SIP port under the same number (-p 5060:5060/udp -p 5060:5060/tcp) and advertise the address of the "
            "host; or "
            "use the host's network (--network host). Publishing through Docker's userland proxy hides the address of each "
            "caller.",
        )
    unadvertised = [one for one in situation.listeners if one.advertised is None and not one.host.is_loopback]
    if ways and not public and unadvertised:
        yield Finding(
            "note",
            "behind-nat",
            f"This machine goes out as {', '.join(map(str, ways))}, a private address: the Internet is reached through a NAT, "
            "if at all.",
            "To serve telephones on the Internet, have the NAT forward the SIP port to this machine, and advertise its public "
            "address "
            "(docs/howto/behind-nat.md).",
        )
    if not ways:
        yield Finding(
            "note",
            "no-way-out",
            "This machine has no route to the Internet, neither in IPv4 nor in IPv6.",
            "None is needed to serve its own networks; else see to its default route.",
        )
    if any(one.host.version == 6 for one in situation.listeners):
        return
    if any(one.version == 6 for one in public):
        yield Finding(
            "note",
            "ipv6-unused",
            "This machine has a public IPv6 address, and no listener uses it: telephones in IPv6-only networks cannot call.",
            'Add a listener: "sip:[::]:5060".',
        )
