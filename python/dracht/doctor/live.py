"""A server that runs, as peers see it from here: does it answer, as what does it see us, what does it tell and show.

This sends: the questions that RFC 3263 wants for each host, an OPTIONS over each transport, and three handshakes for each
certificate. It opens nothing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from dracht import _core
from dracht.doctor.addresses import host_in
from dracht.doctor.asking import Answer, Served, Target, Unanswered, ask, certificate
from dracht.doctor.certificates import SOON, covers, day
from dracht.doctor.finding import SEVERITIES, Finding
from dracht.doctor.machine import address_of
from dracht.doctor.situation import Situation, is_private
from dracht.server.config import host_and_port

__all__ = ["Reached", "judge", "listeners", "reach", "targets"]

_TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")
_USUAL = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}
_SKEW = 30.0  # seconds between two clocks that are worth a word
_LIVE = re.compile(r"(?:(sips?):)?(\[[^]]+\]|[^:;\[\]/]+)(?::(\d+))?(?:;transport=([a-z,]+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of asking one target: an answer, or why there is none; and the certificate, or why it was not seen."""

    target: Target
    answer: Answer | None
    failure: str
    served: Served | None = None


def targets(
    situation: Situation, text: str, *, configured: bool = False
) -> tuple[list[Target], list[Finding]]:
    """Where a peer would send what is for `HOST[:PORT]`, or `sip:HOST[:PORT][;transport=udp,tcp]`, and names that lead nowhere.

    Without port and transport a name is looked up as a peer would (RFC 3263), and the usual ports are asked as well. With
    `configured` the ports and transports are those of the configuration's listeners.

    Raises:
        ValueError: the text is neither.
    """
    found = _LIVE.fullmatch(text.strip())
    transports = (found[4] or "").lower().split(",") if found and found[4] else []
    if found is None or not set(transports) <= set(_TRANSPORTS) or int(found[3] or 0) > 65535:
        raise ValueError(
            f"{text!r} is no server: give HOST, HOST:PORT or sip:HOST:PORT;transport=udp,tcp,tls,ws,wss"
        )
    host, port = found[2].strip("[]"), int(found[3]) if found[3] else None
    secure = (found[1] or "").lower() == "sips"
    wanted: list[tuple[str, int | None]] = [(one, port) for one in transports]
    if not wanted and configured:
        for listener in situation.listeners:
            wanted.append((listener.transport, port or _port_of(listener.advertised, listener.port)))
    elif not wanted and secure:
        wanted = [("tls", port)]
    elif not wanted and port is not None:
        wanted = [("udp", port), ("tcp", port)]
    plan = _core.Plan(
        ["sip:*:0", "sip:[::]:0", "sip:*:0;transport=tls", "sip:[::]:0;transport=tls"],
        dns=situation.options.get("dns"),
    )
    made: dict[tuple[str, str, int], Target] = {}
    try:
        for way in [] if wanted else plan.locate(host):
            made[way] = Target(way[0], host, *way[1:])
        addresses = list(dict.fromkeys(one[1] for one in plan.locate(host, port=port or 5060)))
    except (LookupError, OSError) as error:
        return [], [
            Finding(
                "problem",
                "live-name",
                f"{host} leads nowhere: {error}. Peers that call it do not reach the server.",
                "Correct the name, or its DNS: an A record with the public IPv4 address, an AAAA record with the IPv6 one; "
                "for other ports an SRV record.",
            )
        ]
    usual: list[tuple[str, int | None]] = [("udp", None), ("tcp", None), ("tls", None)]
    for transport, chosen in wanted or usual:
        for address in addresses:
            there = chosen or _USUAL[transport]
            key = (transport, address, there)
            made.setdefault(key, Target(transport, host, address, there, bool(wanted)))
    return list(made.values()), []


def _port_of(advertised: tuple[str, int] | None, bound: int) -> int:
    return bound if advertised is None else advertised[1]


def listeners(hostports: Iterable[str]) -> list[Target]:
    """The targets that a server names as its own: `udp/203.0.113.7:5060`, a name looked up by the system."""
    found = []
    for text in hostports:
        transport, _, where = text.partition("/")
        host, port = host_and_port(where)
        for address in dict.fromkeys(
            one[1] for one in _core.Plan(["sip:*:0", "sip:[::]:0"]).locate(host, port=port)
        ):
            found.append(Target(transport, host, address, port))
    return found


def reach(situation: Situation, asked: Sequence[Target]) -> list[Reached]:
    """Asks them all at once; each answer in the order of the targets."""
    with ThreadPoolExecutor(max_workers=16) as asking:
        return list(asking.map(lambda one: _reached(situation, one), asked))


def _reached(situation: Situation, target: Target) -> Reached:
    tls = situation.options.get("tls")
    authorities = tuple(str(path) for path in getattr(tls, "authorities", None) or ())
    # Shown to a server that asks for ours; elsewhere than on the server's machine its files are not there.
    pairs = [
        (str(chain), str(key))
        for chain, key in getattr(tls, "certificates", None) or ()
        if os.access(chain, os.R_OK) and os.access(key, os.R_OK)
    ]
    pair = pairs[0] if pairs else None
    answer, failure, served = None, "", None
    try:
        answer = ask(target, pair)
    except Unanswered as error:
        failure = str(error)
    if target.is_secure:
        try:
            served = certificate(target, authorities, pair)
        except OSError as error:
            failure = failure or f"its certificate cannot be seen: {error}"
    return Reached(target, answer, failure, served)


def judge(reached: Sequence[Reached], now: float | None = None) -> list[Finding]:
    """What is likely wrong, the worst first."""
    now = time.time() if now is None else now
    found = [finding for one in reached for finding in _judged(one, now)]
    busy = [
        one.target.name for one in reached if one.answer is not None and one.answer.response.status == 503
    ]
    if busy:
        found.append(
            Finding(
                "warning",
                "live-unavailable",
                f"{', '.join(busy)}: 503 is answered: no application is connected, or the server drains or has too much to do.",
                "Start the application (dracht run FILE --connect), and look at dracht status on the server's machine.",
            )
        )
    if reached and not any(one.answer for one in reached):
        found.append(
            Finding(
                "problem",
                "live-nothing",
                "Nothing answers at all: peers do not reach the server from here.",
                "See whether it runs (dracht status on its machine), whether a firewall or NAT lets the ports in, and whether it "
                "has banned this address.",
            )
        )
    return sorted(dict.fromkeys(found), key=lambda one: SEVERITIES.index(one.severity))


def _judged(one: Reached, now: float) -> Iterator[Finding]:
    target, answer = one.target, one.answer
    if answer is None:
        # Who has IPv4 only says nothing about a server's IPv6.
        elsewhere = "unreachable" in one.failure
        yield Finding(
            "problem" if target.wanted and not elsewhere else "note",
            "live-silent",
            f"{target.name} ({target.host}): {one.failure}.",
            "This machine has no way there; ask from one that has."
            if elsewhere
            else "If peers are to reach it: see whether the server has that listener, and whether a firewall or NAT lets it in."
            if target.wanted
            else "Nothing is to be done, if the server has no such listener.",
        )
    else:
        yield from _seen(target, answer)
        yield from _told(target, answer)
        yield from _clock(target, answer, now)
    if one.served is not None:
        yield from _served(target, one.served, now)


def _seen(target: Target, answer: Answer) -> Iterator[Finding]:
    received, rport = answer.seen_as
    if target.transport == "udp" and rport is None:
        yield Finding(
            "warning",
            "live-no-rport",
            f"{target.name} does not say at which port it saw us (RFC 3581): telephones behind a NAT will not get its answers.",
            "A dracht server says so; what answers is another program, or something between that rewrites SIP.",
        )
    seen = address_of(received or answer.own[0])
    if seen is not None and seen != address_of(answer.own[0]):
        yield Finding(
            "note",
            "live-nat",
            f"{target.name} sees us as {seen}{f':{rport}' if rport else ''}; here we are {answer.own[0]}:{answer.own[1]}. "
            "Between this machine and the server stands a NAT.",
            "Right, if it is the NAT of this machine's network. If every peer is seen at one address, something in front of the "
            "server hides them (Docker's userland proxy, a balancer).",
        )


def _told(target: Target, answer: Answer) -> Iterator[Finding]:
    asked = address_of(target.address)
    told = address_of(host_in(answer.response.header("Contact") or ""))
    if told is not None and asked is not None and is_private(told) and not is_private(asked):
        yield Finding(
            "problem",
            "live-private",
            f"{target.name} tells peers to answer to {told}, a private address that they cannot reach.",
            "Give the address that the Internet sees as advertise (--advertise ADDRESS, or ;advertise=ADDRESS in the listener).",
        )


def _clock(target: Target, answer: Answer, now: float) -> Iterator[Finding]:
    try:
        there = parsedate_to_datetime(answer.response.header("Date") or "").timestamp()
    except ValueError:
        return
    skew = there - now
    if abs(skew) > _SKEW:
        yield Finding(
            "warning",
            "live-clock",
            f"By the Date of {target.name} its clock is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} ours: "
            "one of the two is wrong.",
            "Let a time service hold both clocks (systemd-timesyncd, chrony): certificates and expiring nonces need it.",
        )


def _served(target: Target, served: Served, now: float) -> Iterator[Finding]:
    names = ", ".join(served.names) or "no name at all"
    if now > served.ends or now < served.begins:
        word = (
            f"has expired on {day(served.ends)}"
            if now > served.ends
            else f"is valid from {day(served.begins)} on only"
        )
        yield Finding(
            "problem",
            "live-certificate-date",
            f"The certificate that {target.name} shows {word}: everybody who looks refuses it.",
            "Renew it; a running dracht takes the new files by itself. If it is new: see whether this machine's clock is right.",
        )
    elif served.ends - now < SOON:
        yield Finding(
            "warning",
            "live-certificate-expires",
            f"The certificate that {target.name} shows expires on {day(served.ends)}, "
            f"in {(served.ends - now) / 86_400:.0f} days.",
            "Renew it, and see why nothing did it by itself.",
        )
    if not any(covers(name, target.host) for name in served.names):
        # Hardly anybody calls a server by its address.
        by_address = address_of(target.host) is not None
        yield Finding(
            "warning" if by_address else "problem",
            "live-certificate-name",
            f"{target.name} shows a certificate for {names} to whoever asks for {target.host}: "
            "who looks refuses it (RFC 5922 §7.2).",
            "Right if every peer knows the server by such a name: ask for it by that name."
            if by_address
            else f"Get a certificate for {target.host}, or ask for the server by a name that it has one for.",
        )
    if served.doubted:
        yield Finding(
            "warning",
            "live-certificate-chain",
            f"Who trusts the usual authorities does not believe the certificate of {target.name}: {served.doubted}.",
            "Right if it is from an authority of your own, which every peer is told to trust (--tls-authority). Else the file "
            "must hold the certificates of the authorities in between as well (Let's Encrypt: fullchain.pem).",
        )
