"""Names: whether the name servers answer, and where calls to a domain would go (RFC 3263).

This check sends: one question to each name server, and with `--domain` those that a call to it would need.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from dracht.doctor.finding import Finding
from dracht.doctor.machine import Machine, address_of
from dracht.doctor.situation import Situation

__all__ = ["answers", "domains", "name_servers", "servers"]

_PATIENCE = 2.0  # seconds for each name server
_ASKED = b"\xd7\xac\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"  # NS of the root


def name_servers(machine: Machine, given: object = None) -> list[tuple[str, int]]:
    """The name servers that are asked: those of `[dns]` if there are any, else those of the system."""
    servers = getattr(given, "servers", None) or ()
    texts = [str(one) for one in servers]
    texts = texts or re.findall(r"(?m)^\s*nameserver\s+(\S+)", machine.text("/etc/resolv.conf"))
    found = []
    for text in texts:
        host, colon, port = text.rpartition(":")
        if colon and port.isdigit() and (host.startswith("[") or ":" not in host):
            found.append((host.strip("[]"), int(port)))
        else:
            found.append((text.strip("[]"), 53))
    return found


def answers(host: str, port: int = 53) -> bool:
    """Whether a name server says anything at all."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.settimeout(_PATIENCE)
            asked.connect((host, port))
            asked.send(_ASKED)
            return asked.recv(512)[:2] == _ASKED[:2]
    except OSError:
        return False


def servers(situation: Situation) -> Iterator[Finding]:
    """Name servers that do not answer."""
    known = name_servers(situation.machine, situation.options.get("dns"))
    with ThreadPoolExecutor(max_workers=8) as asking:
        said = list(asking.map(answers, *zip(*known, strict=True))) if known else []
    silent = [host for (host, _), says in zip(known, said, strict=True) if not says]
    if not known:
        yield Finding(
            "note",
            "name-servers",
            "This machine knows no name server: calls to addresses work, calls to names do not.",
            "Name one in /etc/resolv.conf, or as servers in [dns].",
        )
    elif silent:
        every = len(silent) == len(known)
        yield Finding(
            "warning",
            "name-servers",
            f"{'No name server answers' if every else 'Not every name server answers'}: {', '.join(silent)} said nothing within "
            f"{_PATIENCE:g} s. " + ("Calls to names fail." if every else "Calls to names may wait for it."),
            "See to /etc/resolv.conf, or name others as servers in [dns].",
        )


def domains(situation: Situation) -> Iterator[Finding]:
    """Where calls to the domains that were asked about would go."""
    for domain in situation.domains:
        if address_of(domain) is not None:
            continue
        try:
            targets = situation.plan.locate(domain)
        except LookupError as error:
            yield Finding(
                "problem",
                "domain",
                f"Calls to {domain} go nowhere: {error}. Looked for were NAPTR and SRV records and addresses that these "
                "listeners "
                "reach.",
                f"Correct the name, or add to its DNS an SRV record (_sip._udp.{domain}) or an address.",
            )
        except OSError as error:
            yield Finding(
                "problem",
                "domain",
                f"Calls to {domain} fail: {error}.",
                "See to the name servers (/etc/resolv.conf, servers in [dns]).",
            )
        else:
            shown = [f"{name} {f'[{host}]' if ':' in host else host}:{port}" for name, host, port in targets]
            yield Finding(
                "note",
                "domain",
                f"Calls to {domain} go to {', and if that fails to '.join(shown)}.",
                "Nothing is to be done, if that is where they are to go.",
            )
