"""Whether what a configuration says can be done: listeners, control port, and the files of TLS. Opens no port.

A check gives pairs: the field that is wrong (`tls.certificates` for one of a table), and what is wrong with it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dracht import _core
from dracht.server.config import host_and_port
from dracht.tls import Tls

__all__ = ["Wrong", "files", "ports", "texts"]

Wrong = tuple[str, str]
_SECURE = ("tls", "wss")


def texts(fields: Mapping[str, Any]) -> Iterator[Wrong]:
    """Texts that name no listener, nothing that can be advertised, no control port; and no listener at all."""
    if "listen" in fields and not fields["listen"]:
        yield "listen", "no SIP listener: give at least one, as sip:127.0.0.1:5060;transport=udp,tcp"
    for text in fields.get("listen") or ():
        try:
            _core.Plan([text])
        except ValueError as error:
            yield "listen", str(error)
    advertise = fields.get("advertise")
    if advertise is not None:
        try:
            _core.Plan(["sip:127.0.0.1:0"], advertise=advertise)
        except ValueError as error:
            yield "advertise", str(error).replace("cannot listen on", "cannot advertise", 1)
    if control := fields.get("control"):
        try:
            host_and_port(control)
        except ValueError as error:
            yield "control", str(error)


def ports(fields: Mapping[str, Any], *, is_tls_known: bool = True) -> Iterator[Wrong]:
    """Ports that are wanted twice, a control port of no address, TLS without a certificate. All texts are right.

    Where what is said of TLS could not be read, nobody knows whether there is a certificate: `is_tls_known` is False.
    """
    has_certificate = not is_tls_known or bool(getattr(fields.get("tls"), "certificates", ()))
    without = "has no certificate to show: give certificates in [tls], or --tls-certificate and --tls-key"
    known: dict[tuple[bool, str, int], str] = {}
    for text in fields.get("listen") or ():
        planned = _core.Plan([text]).listeners
        is_told = False
        for transport, host, port, _ in planned:
            if port and (other := _taken(known, transport == "udp", host, port)):
                if not is_told:
                    yield "listen", f"{text}: {_shown(host, port)} is taken by {other}: choose another port"
                is_told = True
            else:
                known[transport == "udp", host, port] = f"{transport} of {text}"
        if not has_certificate and any(transport in _SECURE for transport, _, _, _ in planned):
            yield "listen", f"{text} {without}"
    control = fields.get("control")
    if not control:
        return
    if control.startswith("tls://") and not has_certificate:
        yield "control", f"{control} {without}"
    host, port = host_and_port(control)
    try:
        address = _address("0.0.0.0" if host == "*" else host)
    except OSError as error:
        yield "control", f"{host} has no address ({error.strerror}): give one of this machine, or * for all"
        return
    if port and (other := _taken(known, False, address, port)):
        yield "control", f"{_shown(address, port)} is taken by {other}: choose another port"


def _taken(known: Mapping[tuple[bool, str, int], str], is_udp: bool, host: str, port: int) -> str:
    """What has that port already: on the same address, on all of its family, or on one of those that are all here."""
    address = ipaddress.ip_address(host)
    for (other_udp, other_host, other_port), text in known.items():
        if (other_udp, other_port) != (is_udp, port):
            continue
        other = ipaddress.ip_address(other_host)
        is_all = address.is_unspecified or other.is_unspecified
        if address == other or (is_all and address.version == other.version):
            return text
    return ""


def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])


def files(fields: Mapping[str, Any]) -> Iterator[Wrong]:
    """Certificates, keys and authorities, read as the server would read them; each by itself, so that every mistake is told."""
    tls = fields.get("tls")
    if not isinstance(tls, Tls):
        return
    # Verified or not, a file is the same; at the start what is not verified is warned of, which is not to be said here.
    alone = replace(tls, certificates=(), authorities=(), client_certificates="no", verify=True)
    wrong = [
        *_unusable("tls.certificates", [replace(alone, certificates=[pair]) for pair in tls.certificates]),
        *_unusable("tls.authorities", [replace(alone, authorities=[path]) for path in tls.authorities]),
    ]
    yield from wrong or _unusable("tls", [replace(tls, verify=True)])


def _unusable(field: str, each: list[Tls]) -> Iterator[Wrong]:
    for number, tls in enumerate(each, 1):
        try:
            _core.check_tls(tls)
        except ValueError as error:
            text = str(error).removeprefix("TLS: ")
            user = f" (this is user {os.geteuid()})" if "ermission denied" in text else ""
            yield field, f"item {number}: {text}{user}" if "." in field else text


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
