"""TLS for SIP over TLS and WSS, and for the control port: certificates, whom to ask for one, whom to trust.

A plain description: the Rust half reads the files, chooses the certificate, verifies the peers, and reads the files again when they change.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["Tls"]

ClientCertificates = Literal["no", "asked", "demanded"]
"""Whether those who connect show a certificate: they are not asked; they are asked and may have none; without one they are refused."""
MinimumVersion = Literal["1.2", "1.3"]

Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How TLS is spoken: given as `tls=` to `App.run`, `Agent.run`, `ServerConfig` and `Engine.start`.

    Args:
        certificates: pairs of files, certificate chain and private key, both PEM: the server's own certificate comes first in its file,
            followed by those that lead to its authority. A client that asks for a name (SNI) gets the first certificate for it, and
            any other one the first of all, which is also the one that we show to a server that asks for ours. Without certificates
            connections are opened over TLS, and none is accepted.
        client_certificates: `"no"`: those who connect are not asked for a certificate. `"asked"`: they are, and may have none; one
            that cannot be trusted is refused. `"demanded"`: without one that can be trusted they are refused. The verified names are
            in `req.peer_certificate`.
        authorities: files with the certificates, PEM, of those who may have issued a peer's certificate. Empty: the system's.
        verify: whether a server that we connect to must show a certificate by a trusted authority, for the domain of the URI (RFC 5922
            §4). False is for tests: whoever is between us and the server reads and changes everything.
        minimum_version: `"1.2"` (and so 1.3 too), or `"1.3"` alone.
        reload_interval: how often the files are looked at, in seconds; 0: only when told (`reload_certificates`, SIGHUP). Connections
            that are open keep the certificate that they began with; files that cannot be used leave those in use as they are, and are
            logged.
        expiry_warning: how long before its end a certificate is warned of in the log, in seconds.

    Raises:
        ValueError: an argument cannot be used. A file that cannot is found when the listeners are opened (`ValueError` too).
    """

    certificates: Sequence[tuple[Path, Path]] = ()
    client_certificates: ClientCertificates = "no"
    authorities: Sequence[Path] = ()
    verify: bool = True
    minimum_version: MinimumVersion = "1.2"
    reload_interval: float = 5.0
    expiry_warning: float = 14 * 86_400.0

    def __post_init__(self) -> None:
        if isinstance(self.certificates, str | os.PathLike) or not all(
            isinstance(pair, tuple | list) and len(pair) == 2 for pair in self.certificates
        ):
            raise ValueError(
                'Tls: certificates is a list of pairs of files, as [("chain.pem", "key.pem")], '
                f"not {self.certificates!r}"
            )
        if isinstance(self.authorities, str | os.PathLike):
            raise ValueError(f'Tls: authorities is a list of files, as ["ca.pem"], not {self.authorities!r}')
        object.__setattr__(self, "certificates", tuple((chain, key) for chain, key in self.certificates))
        object.__setattr__(self, "authorities", tuple(self.authorities))
        for name, allowed in (
            ("client_certificates", get_args(ClientCertificates)),
            ("minimum_version", get_args(MinimumVersion)),
        ):
            given = getattr(self, name)
            if given not in allowed:
                raise ValueError(f"Tls: {name} is one of {', '.join(map(repr, allowed))}, not {given!r}")
        for name in ("reload_interval", "expiry_warning"):
            seconds = getattr(self, name)
            if not 0 <= seconds < math.inf:
                raise ValueError(f"Tls: {name} is a number of seconds from 0, not {seconds!r}")
