"""Certificates: whether the files can be used, for how long, for which names, and whether peers will believe them.

What peers believe is not worked out: the certificate is shown to a client in memory, as a telephone or a browser would see it.
"""

from __future__ import annotations

import calendar
import os
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dracht import _core
from dracht.doctor.finding import Finding
from dracht.doctor.machine import address_of
from dracht.doctor.situation import Situation
from dracht.tls import Tls

__all__ = ["Certificate", "certificates", "covers", "day", "read", "seconds"]

PARTIAL_CHAIN = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN: a certificate may be trusted by itself
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME
SOON = 14 * 86_400  # seconds
SECURE = ("tls", "wss")


class Certificate(NamedTuple):
    """A certificate as its file has it: the names it is for, from when to when it is valid, in seconds since the epoch, and
    whether it is one that signs others."""

    path: Path
    key: Path
    names: tuple[str, ...]
    begins: float
    ends: float
    is_authority: bool


def certificates(situation: Situation) -> Iterator[Finding]:
    """The certificates of `[tls]`, and the listeners that show them."""
    tls = situation.options.get("tls")
    pairs = [(Path(chain), Path(key)) for chain, key in getattr(tls, "certificates", None) or ()]
    listeners = [one for one in situation.listeners if one.transport in SECURE]
    speaking = [one.name for one in listeners]
    control = situation.options.get("control") or ""
    if control.startswith("tls://"):
        speaking.append(f"the control port {control}")
    if speaking and not pairs:
        yield Finding(
            "problem",
            "certificate-missing",
            f"{', '.join(speaking)} speaks TLS, and there is no certificate to show.",
            "Give certificates in [tls], or --tls-certificate and --tls-key.",
        )
    usable = []
    for chain, key in pairs:
        try:
            usable.append(read(chain, key))
        except (OSError, ValueError) as error:
            yield _unusable(chain, key, error)
    for one in usable:
        yield from _dates(one, situation.now)
        yield from _private(one)
        yield from _kind(one)
        yield from _believed(one, tls)
    hosts = dict.fromkeys(one.advertised[0] for one in listeners if one.advertised is not None)
    for host in hosts if usable else ():
        if not any(covers(name, host) for one in usable for name in one.names):
            names = ", ".join(name for one in usable for name in one.names) or "no name at all"
            yield Finding(
                "problem",
                "certificate-name",
                f"{host} is advertised over TLS, and the certificates are for {names}: who connects to {host} and looks will "
                "refuse.",
                "Get a certificate for that name, or advertise a name that there is one for.",
            )


def read(chain: Path, key: Path) -> Certificate:
    """A certificate and its key; `OSError` for a file that cannot be read, `ValueError` for what cannot be used, and why."""
    server = _server(chain, key)
    first = re.search(
        r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", chain.read_text(), re.DOTALL
    )
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags = ssl.VerifyFlags(PARTIAL_CHAIN | NO_CHECK_TIME)
    client.load_verify_locations(cadata=first[0] if first else "")
    seen: Any = _shown(server, client, None)
    names = tuple(
        str(value) for kind, value in seen.get("subjectAltName", ()) if kind in ("DNS", "IP Address")
    )
    is_authority = bool(client.cert_store_stats()["x509_ca"])
    return Certificate(chain, key, names, seconds(seen["notBefore"]), seconds(seen["notAfter"]), is_authority)


def _server(chain: Path, key: Path) -> ssl.SSLContext:
    for path in (chain, key):
        path.read_bytes()  # says which file it is that cannot be read; OpenSSL does not
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(chain, key, password=lambda: "")
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            raise ValueError("the key is of another certificate") from None
        _refused(chain, key)
        raise ValueError(
            f"they are no certificate and its key without a password, in PEM ({error.reason or error})"
        ) from None
    _refused(chain, key)
    return server


def _refused(chain: Path, key: Path) -> None:
    """`ValueError` in the words of the server, where it would not use them."""
    try:
        _core.check_tls(Tls(certificates=[(chain, key)]))
    except ValueError as error:
        raise ValueError(str(error).removeprefix("TLS: ").removesuffix(".")) from None


def _shown(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> Any:
    """What a client sees of a server's certificate, both in memory; `ssl.SSLError` when it does not believe it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=name)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    pending = [one, other]
    for _ in range(10):
        for end in list(pending):
            try:
                end.do_handshake()
                pending.remove(end)
            except ssl.SSLWantReadError:
                continue
        if one not in pending:
            break
    return one.getpeercert()


def seconds(text: str) -> float:
    """A date as OpenSSL writes it, in seconds since the epoch."""
    return calendar.timegm(time.strptime(text, "%b %d %H:%M:%S %Y GMT"))


def day(moment: float) -> str:
    """The day of a moment, in seconds since the epoch."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def _unusable(chain: Path, key: Path, error: Exception) -> Finding:
    if isinstance(error, PermissionError):
        reason, advice = (
            f"this user (user {os.geteuid()}) may not read {error.filename}",
            "Let the group of the server read it: chgrp dracht FILE; chmod 640 FILE. Let's Encrypt's folders are root's alone.",
        )
    elif isinstance(error, OSError):
        reason, advice = (
            f"{error.filename}: {error.strerror}",
            "Correct the path; it is relative to the configuration file.",
        )
    else:
        reason, advice = (
            str(error),
            "Give the certificate chain first and then its own key, both in PEM, the key without a password.",
        )
    return Finding("problem", "certificate-file", f"{chain} and {key} cannot be used: {reason}.", advice)


def _dates(one: Certificate, now: float) -> Iterator[Finding]:
    if now > one.ends:
        yield Finding(
            "problem",
            "certificate-expired",
            f"{one.path} has expired on {day(one.ends)}: everybody who looks will refuse it.",
            "Renew it. A running server takes the new files by itself (or at SIGHUP), without closing a connection.",
        )
    elif now < one.begins:
        yield Finding(
            "problem",
            "certificate-early",
            f"{one.path} is valid from {day(one.begins)} on only, and the clock of this machine says {day(now)}.",
            "See whether the clock is right; else wait.",
        )
    elif one.ends - now < SOON:
        yield Finding(
            "warning",
            "certificate-expires",
            f"{one.path} expires on {day(one.ends)}, in {(one.ends - now) / 86_400:.0f} days.",
            "Renew it, and see why nothing did it by itself.",
        )


def _private(one: Certificate) -> Iterator[Finding]:
    if one.key.stat().st_mode & 0o004:
        yield Finding(
            "warning",
            "key-readable",
            f"Every user of this machine may read the key {one.key}.",
            f"chmod 640 {one.key}, and let its group be that of the server.",
        )


def _kind(one: Certificate) -> Iterator[Finding]:
    if one.is_authority:
        yield Finding(
            "warning",
            "certificate-authority",
            f"{one.path} is an authority's own certificate (CA:TRUE, as `openssl req -x509` makes them): peers that go by "
            "RFC 5280 §4.2.1.9, dracht among them, refuse it as a server's, trusted or not.",
            "Make one with -addext basicConstraints=critical,CA:FALSE, or one that this authority signs.",
        )


def _believed(one: Certificate, tls: object) -> Iterator[Finding]:
    """Whether a peer that trusts the usual authorities, and those that are configured, believes it; dates are another matter."""
    client = ssl.create_default_context()
    client.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    client.check_hostname = False
    for path in getattr(tls, "authorities", None) or ():
        try:
            client.load_verify_locations(path)
        except OSError as error:
            yield Finding(
                "problem",
                "authorities-file",
                f"The authorities in {path} cannot be read: {error.strerror or error}.",
                "Correct the path, or the file: certificates in PEM.",
            )
    try:
        _shown(_server(one.path, one.key), client, None)
    except ssl.SSLCertVerificationError as error:
        alone = error.verify_code in (18, 19)  # self-signed, by itself or at the end of the chain
        yield Finding(
            "warning",
            "certificate-chain",
            f"Who trusts the usual authorities does not believe {one.path}: {error.verify_message}.",
            "Right if every peer is told to trust it. Else get one from an authority (Let's Encrypt), as browsers and carriers "
            "want."
            if alone
            else "The file must hold the certificates of the authorities in between as well (Let's Encrypt: fullchain.pem). "
            "Right if it is from an authority of your own, which every peer is told to trust.",
        )


def covers(name: str, host: str) -> bool:
    """Whether a certificate's name is that of a host (RFC 5922 §7.2, RFC 6125 §6.4.3: `*` is one label, the first)."""
    address = address_of(host)
    if address is not None:
        return address_of(name) == address
    first, _, rest = host.lower().partition(".")
    return name.lower() in (host.lower(), f"*.{rest}" if first and rest else host.lower())
