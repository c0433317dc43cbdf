"""What this machine is: its networks and routes, its kernel's settings, its processes.

Read from /proc, and by asking the routing table. Nothing is sent and nothing is changed. What cannot be read (another system, a
narrow container) is as if it were not there.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["Address", "Machine", "Network", "address_of"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Nobody's addresses, routed like any other (RFC 5737, RFC 3849): where the routing table sends what goes to the Internet.
ELSEWHERE: tuple[Address, ...] = (
    ipaddress.ip_address("198.51.100.77"),
    ipaddress.ip_address("2001:db8::77"),
)


@dataclass(frozen=True, slots=True)
class Network:
    """A network that an interface of this machine is in."""

    interface: str
    prefix: ipaddress.IPv4Network | ipaddress.IPv6Network

    def neighbour(self, own: Address | None) -> Address | None:
        """Some address in it that is not this machine's; None where there is no other."""
        for host in (self.prefix.network_address + offset for offset in range(1, 4)):
            if host in self.prefix and host != own and host != self.prefix.broadcast_address:
                return host
        return None


def address_of(text: str) -> Address | None:
    """An address from its text, brackets and zone taken off; None for a name."""
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


class Machine:
    """The machine that this runs on. `root` is where its files are: tests have their own."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def text(self, path: str) -> str:
        """A file's text; empty where it cannot be read."""
        try:
            return (self._root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return (self._root / path.lstrip("/")).exists()

    def setting(self, name: str) -> int | None:
        """A number among the kernel's settings, as `net.core.rmem_max`; None where there is none of that name."""
        text = self.text(f"/proc/sys/{name.replace('.', '/')}").strip()
        return int(text) if text.isdigit() else None

    # ---- networks

    @cached_property
    def networks(self) -> list[Network]:
        """The networks of its interfaces, loopback and link-local left out."""
        found: list[Network] = []
        for line in self.text("/proc/net/route").splitlines()[1:]:
            cells = line.split()
            if len(cells) < 8 or int(cells[2], 16) or not int(cells[7], 16):
                continue
            base, mask = _ipv4(cells[1]), _ipv4(cells[7])
            found.append(Network(cells[0], ipaddress.ip_network(f"{base}/{mask}", strict=False)))
        for line in self.text("/proc/net/if_inet6").splitlines():
            cells = line.split()
            if len(cells) == 6 and cells[3] == "00":  # global scope
                address = ipaddress.IPv6Address(int(cells[0], 16))
                length = int(cells[2], 16)
                found.append(Network(cells[5], ipaddress.ip_network((address, length), strict=False)))
        unique = dict.fromkeys(one for one in found if one.interface != "lo" and not one.prefix.is_link_local)
        return list(unique)

    @cached_property
    def gateway(self) -> tuple[str, Address] | None:
        """Interface and address of the way to everywhere else in IPv4."""
        for line in self.text("/proc/net/route").splitlines()[1:]:
            cells = line.split()
            if len(cells) >= 8 and not int(cells[1], 16) and not int(cells[7], 16) and int(cells[2], 16):
                return cells[0], _ipv4(cells[2])
        return None

    def source_towards(self, peer: Address) -> Address | None:
        """The address that this machine has for a peer, as the routing table says; None without a route."""
        family = socket.AF_INET if peer.version == 4 else socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asked:
                asked.connect((str(peer), 9))  # sends nothing
                return address_of(asked.getsockname()[0])
        except OSError:
            return None

    # ---- processes

    def owners(self, transport: str, port: int) -> list[str]:
        """Who has a port, as `name (PID)`; only the processes that we may look into are found."""
        kind = "udp" if transport == "udp" else "tcp"
        inodes = set()
        for table in (kind, f"{kind}6"):
            for line in self.text(f"/proc/net/{table}").splitlines()[1:]:
                cells = line.split()
                listens = cells[3] in (("07",) if kind == "udp" else ("0A",))
                if listens and int(cells[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{cells[9]}]")
        return self._holders(inodes) if inodes else []

    def _holders(self, inodes: set[str]) -> list[str]:
        found = []
        for process in sorted((self._root / "proc").glob("[0-9]*")):
            try:
                held = any(os.readlink(one) in inodes for one in (process / "fd").iterdir())
            except OSError:
                continue
            if held:
                found.append(f"{self.text(f'/proc/{process.name}/comm').strip()} (process {process.name})")
        return found

    @cached_property
    def container(self) -> str | None:
        """The kind of container that this runs in, None for none that can be told."""
        if self.exists("/.dockerenv"):
            return "a Docker container"
        if self.exists("/run/.containerenv"):
            return "a Podman container"
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            return "a Kubernetes pod"
        words = ("docker", "kubepods", "containerd", "lxc")
        return "a container" if any(word in self.text("/proc/1/cgroup") for word in words) else None


def _ipv4(cell: str) -> ipaddress.IPv4Address:
    """An address as /proc/net/route has it: hexadecimal, in the byte order of the machine."""
    return ipaddress.IPv4Address(struct.pack("=L", int(cell, 16)))
