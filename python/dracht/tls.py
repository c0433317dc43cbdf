"""TLS for SIP over TLS and WSS, and for the control port: certificates, whom to ask for one, whom to trust.

A plain description: the Rust half reads the files, chooses the certificate, verifies the peers, and reads the files again when
they change. The links over which an application reaches a server are Python's, and have their SSL contexts from here.
"""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dracht.optiontypes import check_fields

__all__ = ["Tls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How TLS is spoken: `tls=` of `App.run`, `Agent.run`, `ServerConfig` and `Engine.start`. Times are in seconds.

    Without certificates connections are opened over TLS, and none is accepted.

    Raises:
        ValueError: an argument cannot be used. A file that cannot is found when the listeners are opened (`ValueError` too).
        TypeError: an argument is of another kind.
    """

    certificates: Sequence[tuple[os.PathLike[str] | str, os.PathLike[str] | str]] = ()
    """Pairs of PEM files: certificate chain (the server's own certificate first) and private key. A client that asks for a
    name (SNI) gets the first certificate for it, any other one the first of all, which we also show to a server
    that asks for ours."""
    client_certificates: Literal["no", "asked", "demanded"] = "no"
    """Whether those who connect show a certificate: they are not asked; they are, and may have none; without one they are
    refused. One that cannot be trusted is always refused. The verified names are in `req.peer_certificate`."""
    authorities: Sequence[os.PathLike[str] | str] = ()
    """PEM files with the certificates of those who may have issued a peer's certificate; empty: the authorities of the
    system."""
    verify: bool = True
    """Whether a server that we connect to must show a certificate by a trusted authority, for the domain of the URI (RFC
    5922 §4). False is for tests: whoever is between us and the server reads and changes everything."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest TLS version spoken: `1.2` (and so 1.3 too), or `1.3` alone."""
    reload_interval: float = 5.0
    """How often the files are looked at; 0: only when told (`reload_certificates`, SIGHUP). Open connections keep their
    certificate; files that cannot be used leave those in use as they are, and are logged."""
    expiry_warning: float = 1_209_600.0
    """How long before its end a certificate is warned of in the log: 14 days."""

    def __post_init__(self) -> None:
        if (
            not isinstance(self.certificates, Iterable)
            or isinstance(self.certificates, str | bytes)
            or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in self.certificates)
        ):
            raise ValueError(
                'Tls: certificates is a list of pairs of files, as [("chain.pem", "key.pem")], '
                f"not {self.certificates!r}"
            )
        if isinstance(self.authorities, str | os.PathLike):
            raise ValueError(f'Tls: authorities is a list of files, as ["ca.pem"], not {self.authorities!r}')
        check_fields(self)
        object.__setattr__(self, "certificates", tuple((chain, key) for chain, key in self.certificates))
        object.__setattr__(self, "authorities", tuple(self.authorities))
        for name, allowed in (
            ("client_certificates", ("no", "asked", "demanded")),
            ("minimum_version", ("1.2", "1.3")),
        ):
            given = getattr(self, name)
            if given not in allowed:
                raise ValueError(f"Tls: {name} is one of {', '.join(map(repr, allowed))}, not {given!r}")
        for name in ("reload_interval", "expiry_warning"):
            seconds = getattr(self, name)
            if not 0 <= seconds < math.inf:
                raise ValueError(f"Tls: {name} is a number of seconds from 0, not {seconds!r}")

    def client_context(self) -> ssl.SSLContext:
        """What connects to a server's control port: verified by its name, with our first certificate where one is asked for.

        Raises:
            OSError: a file cannot be read.
        """
        context = ssl.create_default_context()
        if self.authorities:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            for path in self.authorities:
                context.load_verify_locations(path)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return self._completed(context)

    def server_context(self) -> ssl.SSLContext:
        """What servers connect to that bring calls (`accept=`): shows our first certificate.

        Raises:
            OSError: a file cannot be read.
            ValueError: there is no certificate.
        """
        if not self.certificates:
            raise ValueError("Tls: accepting tls:// needs a certificate: certificates=[(chain, key)]")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if self.client_certificates != "no":
            is_demanded = self.client_certificates == "demanded"
            context.verify_mode = ssl.CERT_REQUIRED if is_demanded else ssl.CERT_OPTIONAL
            for path in self.authorities:
                context.load_verify_locations(path)
            if not self.authorities:
                context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return self._completed(context)

    def renew(self, context: ssl.SSLContext) -> None:
        """Has a context of `server_context` show what is in the files now to new connections.

        Raises:
            OSError: a file cannot be used (`ssl.SSLError` is one): what the context showed stays.
        """
        # What does not belong together must not get into the context that is in use.
        self.server_context()
        for chain, key in self.certificates[:1]:
            context.load_cert_chain(chain, key)

    def file_times(self) -> list[int]:
        """When the files of the first certificate were changed last, in nanoseconds; 0 of one that is not there."""
        times = []
        for path in (one for pair in self.certificates[:1] for one in pair):
            try:
                times.append(os.stat(path).st_mtime_ns)
            except OSError:
                times.append(0)
        return times

    def _completed(self, context: ssl.SSLContext) -> ssl.SSLContext:
        only_newest = self.minimum_version == "1.3"
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if only_newest else ssl.TLSVersion.TLSv1_2
        for chain, key in self.certificates[:1]:
            context.load_cert_chain(chain, key)
        return context
