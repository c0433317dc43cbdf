"""Several machines on this one: network namespaces joined by virtual cables, with NATs between. Takes root, iproute2, nftables.

    phone "home"          192.168.7.2 ── 192.168.7.1  NAT, changes ports  203.0.113.20 ─┐
    phone "public"                                                        203.0.113.50 ─┤
    phone "tcp"                                                           203.0.113.40 ─┼─ the Internet
    phone "six"                                                        2001:db8:1::60 ──┤  203.0.113.0/24, 2001:db8:1::/64
    server   10.10.0.5 ─┬─ 10.10.0.1  NAT, one to one                     203.0.113.10 ─┤
             (also)     │                                              2001:db8:1::10 ──┘
    phone "office" 10.10.0.20

Names carry this process' number, so that two runs do not meet; what was made is taken down on every way out, and what an earlier
run left behind because it was killed is taken down first.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

__all__ = ["Places", "entered", "unavailable"]

_CLONE_NEWNET = 0x4000_0000
_PREFIX = "dracht-test-"
_RULES = {
    # One to one: whatever the server sends bears the public address, and what comes for that goes to the server. Ports stay, but
    # for one: 35080 outside is 5080 inside.
    "nat1": """
table ip nat {
  chain prerouting {
    type nat hook prerouting priority -100;
    iifname "outside" udp dport 35080 dnat to 10.10.0.5:5080
    iifname "outside" dnat to 10.10.0.5
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname "outside" ip saddr 10.10.0.5 udp sport 5080 snat to 203.0.113.10:35080
    oifname "outside" ip saddr 10.10.0.5 snat to 203.0.113.10
  }
}
""",
    # A home router: everybody behind it shares an address, each flow gets another port, and nothing comes in unasked.
    "nat2": """
table ip nat {
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname "outside" masquerade fully-random
  }
}
table ip filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname "inside" accept
    ct state established accept
  }
}
""",
}


def unavailable() -> str | None:
    """Why there can be no namespaces here; None where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "nft"):
        if _program(program) is None:
            return f"{program} is not installed: run 'make peers' with root"
    tried = subprocess.run(
        [_program("ip") or "ip", "netns", "add", f"{_PREFIX}{os.getpid()}-try"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        return f"this system makes no network namespaces: {tried.stderr.strip()}"
    _delete(f"{_PREFIX}{os.getpid()}-try")
    return None


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _run(command: list[str], text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def _delete(name: str) -> None:
    subprocess.run([_program("ip") or "ip", "netns", "delete", name], capture_output=True, check=False)


class Places:
    """The namespaces, as a context manager. `names` are those of the drawing: internet, server, nat1, nat2, home, public, ..."""

    names = ("internet", "nat1", "nat2", "server", "home", "public", "tcp", "six", "office")

    def __init__(self) -> None:
        self._made: list[str] = []

    def __enter__(self) -> Self:
        atexit.register(self.remove)
        _remove_left_behind()
        try:
            for place in self.names:
                self._ip("netns", "add", self.full(place))
                self._made.append(self.full(place))
                self.ip(place, "link", "set", "lo", "up")
                # An address that is there is used at once: nobody else could have it.
                self._write(place, "net/ipv6/conf/default/accept_dad", "0")
            self._build()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
        atexit.unregister(self.remove)

    def remove(self) -> None:
        """Takes everything down; may be called again."""
        while self._made:
            _delete(self._made.pop())

    def full(self, place: str) -> str:
        """The name of a place's namespace."""
        return f"{_PREFIX}{os.getpid()}-{place}"

    def command(self, place: str, *command: str | Path) -> list[str]:
        """A command as it runs in a place."""
        return [_program("ip") or "ip", "netns", "exec", self.full(place), *map(str, command)]

    def ip(self, place: str, *arguments: str) -> None:
        """Runs `ip` in a place."""
        self._ip("-n", self.full(place), *arguments)

    def _ip(self, *arguments: str) -> None:
        _run([_program("ip") or "ip", *arguments])

    def _write(self, place: str, setting: str, value: str) -> None:
        with entered(self.full(place)):
            Path("/proc/sys", setting).write_text(value)

    def _build(self) -> None:
        self.ip("internet", "link", "add", "wire", "type", "bridge")
        self.ip("internet", "link", "set", "wire", "up")
        self.ip("nat1", "link", "add", "inside", "type", "bridge")
        self.ip("nat1", "link", "set", "inside", "up")
        self._cable("nat1", "outside", "internet", "203.0.113.10/24")
        self._cable("nat2", "outside", "internet", "203.0.113.20/24")
        self._cable("public", "eth0", "internet", "203.0.113.50/24")
        self._cable("tcp", "eth0", "internet", "203.0.113.40/24")
        self._cable("six", "eth0", "internet", "2001:db8:1::60/64")
        self._cable("server", "eth0", "nat1", "10.10.0.5/24")
        self._cable("server", "eth1", "internet", "2001:db8:1::10/64")
        self._cable("office", "eth0", "nat1", "10.10.0.20/24")
        self._cable("home", "eth0", "nat2", "192.168.7.2/24", end="inside")
        self.ip("nat1", "address", "add", "10.10.0.1/24", "dev", "inside")
        self.ip("nat2", "address", "add", "192.168.7.1/24", "dev", "inside")
        for place, gateway in (("server", "10.10.0.1"), ("office", "10.10.0.1"), ("home", "192.168.7.1")):
            self.ip(place, "route", "add", "default", "via", gateway)
        for place, rules in _RULES.items():
            self._write(place, "net/ipv4/ip_forward", "1")
            nft = [_program("nft") or "nft", "-f", "-"]
            _run(self.command(place, *nft), rules)

    def _cable(self, place: str, interface: str, hub: str, address: str, end: str | None = None) -> None:
        """A cable from `interface` of a place to a hub, or to `end` of another place."""
        other = end or f"to-{place}-{interface}"[:15]
        ends = ["name", interface, "netns", self.full(place)]
        self._ip("link", "add", *ends, "type", "veth", "peer", "name", other, "netns", self.full(hub))
        if end is None:
            self.ip(hub, "link", "set", other, "master", "wire" if hub == "internet" else "inside")
        self.ip(hub, "link", "set", other, "up")
        self.ip(place, "address", "add", address, "dev", interface)
        self.ip(place, "link", "set", interface, "up")


def _remove_left_behind() -> None:
    """Takes down what a run left that was killed."""
    listed = subprocess.run(
        [_program("ip") or "ip", "netns", "list"], capture_output=True, text=True, check=False
    )
    for name, process in re.findall(rf"(?m)^({_PREFIX}(\d+)-\S+)", listed.stdout):
        if not Path("/proc", process).exists():
            _delete(name)


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """The calling thread in another namespace. Sockets that it makes there stay there; nothing is awaited meanwhile."""
    library = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor: int) -> None:
        if library.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns to {name}")

    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        other = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            enter(other)
            yield
        finally:
            enter(own)
            os.close(other)
    finally:
        os.close(own)
