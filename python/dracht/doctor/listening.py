"""Whether the listeners and the control port can be opened, and who may reach the control port."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

from dracht.doctor.finding import Finding
from dracht.doctor.machine import Machine, address_of
from dracht.doctor.situation import Situation, is_private
from dracht.server.config import host_and_port

__all__ = ["control_port", "ports", "secret"]


def ports(situation: Situation) -> Iterator[Finding]:
    """Opens each port for a moment, as the server would."""
    for listener in situation.listeners:
        yield from _port(
            situation.machine, listener.transport, str(listener.host), listener.port, listener.name
        )
    if control := situation.options.get("control"):
        host, port = _control(control)
        yield from _port(situation.machine, "tcp", host, port, f"the control port {control}")


def _port(machine: Machine, transport: str, host: str, port: int, name: str) -> Iterator[Finding]:
    error = failure(transport, host, port) if port else None
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        owners = machine.owners(transport, port)
        by = ", ".join(owners) or "a process that this user may not see (run the doctor as root to know)"
        yield Finding(
            "problem",
            "port-taken",
            f"{name} is taken, by {by}.",
            "Stop that program, or choose another port. If it is this very server, which runs already, all is well.",
        )
    elif error.errno in (errno.EACCES, errno.EPERM):
        first = machine.setting("net.ipv4.ip_unprivileged_port_start") or 1024
        yield Finding(
            "problem",
            "port-privileged",
            f"{name} cannot be opened by this user (user {os.geteuid()}): ports below {first} need a privilege.",
            "Give the service the capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or "
            "choose a port "
            f"from {first} on.",
        )
    elif error.errno == errno.EADDRNOTAVAIL:
        off = ":" in host and not machine.text("/proc/net/if_inet6")
        yield Finding(
            "problem",
            "address-missing",
            f"{name} cannot be opened: "
            + ("IPv6 is off on this machine." if off else "it does not have that address."),
            "Turn IPv6 on (net.ipv6.conf.all.disable_ipv6=0), or listen on IPv4 only."
            if off
            else "Listen on an address of this machine, or on `*` for all; the address that peers see goes into advertise.",
        )
    elif error.errno == errno.EAFNOSUPPORT:
        yield Finding(
            "problem",
            "address-missing",
            f"{name} cannot be opened: IPv6 is not there on this machine.",
            "Listen on IPv4 only.",
        )
    else:
        yield Finding(
            "problem",
            "port-refused",
            f"{name} cannot be opened: {error.strerror}.",
            "See what the system says.",
        )


def failure(transport: str, host: str, port: int) -> OSError | None:
    """What the system says when this port is opened; None when it lets us."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as tried:
            if family == socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
            if kind == socket.SOCK_STREAM:
                tried.listen(1)
    except OSError as error:
        return error
    return None


def _control(control: str) -> tuple[str, int]:
    host, port = host_and_port(control.removeprefix("tcp://").removeprefix("tls://"))
    return ("0.0.0.0" if host == "*" else host), port


def control_port(situation: Situation) -> Iterator[Finding]:
    """A control port that strangers reach: whoever knows the secret has every call, and without TLS everybody on the way reads
    it."""
    control = situation.options.get("control")
    if not control:
        return
    host, _ = _control(control)
    address = address_of(host)
    if address is None or address.is_loopback:
        return
    if not address.is_unspecified and is_private(address):
        return
    opened = f"The control port {control} is open to {'every network' if address.is_unspecified else 'the Internet'}"
    keep = "Bind it to 127.0.0.1 or to a private address, and keep it off the Internet with a firewall"
    if not control.startswith("tls://"):
        yield Finding(
            "problem",
            "control-open",
            f"{opened} without TLS: the secret and every message cross it in clear, and anybody may guess at the secret.",
            f"{keep}.",
        )
    elif getattr(situation.options.get("tls"), "client_certificates", "no") != "demanded":
        yield Finding(
            "warning",
            "control-open",
            f"{opened}. Over TLS nobody reads it on the way, but anybody may guess at the secret.",
            f'{keep}; or let none in without a certificate: client_certificates = "demanded" in [tls], which listeners of TLS '
            "and WSS then demand as well.",
        )


def secret(situation: Situation) -> Iterator[Finding]:
    """A secret that can be guessed, or a file with it that everybody on the machine may read."""
    text = situation.options.get("secret")
    if text and len(text) < 16:
        yield Finding(
            "warning",
            "secret-short",
            f"The secret has {len(text)} characters: it can be guessed.",
            "Take one of 16 or more that a machine made: head -c 24 /dev/urandom | base64",
        )
    for path in situation.secret_files:
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & 0o004:
            yield Finding(
                "warning",
                "secret-readable",
                f"{path} holds the secret, and every user of this machine may read it.",
                f"chmod 640 {path}, and let its group be that of the server.",
            )
