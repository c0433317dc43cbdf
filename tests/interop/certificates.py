"""Certificates of tests: an authority of one's own, and what it issues."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import NamedTuple

__all__ = ["Authority", "Issued"]


class Issued(NamedTuple):
    """A certificate with its chain, and its key, as files."""

    certificate: Path
    key: Path

    @property
    def pair(self) -> tuple[str, str]:
        return str(self.certificate), str(self.key)


class Authority:
    """A certificate authority.

    Args:
        folder: where its files go.
        name: of it, in file names.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        import trustme

        self._folder = folder
        self._name = name
        self._authority = trustme.CA()
        self._count = 0
        self.file = folder / f"{name}.pem"
        """Its own certificate."""
        self.file.write_bytes(self._authority.cert_pem.bytes())

    def issue(self, *names: str, days: int = 30, begun: int = 1, rsa: bool = False) -> Issued:
        """A certificate for DNS names and addresses.

        Args:
            days: from now until it expires; below zero it has.
            begun: days since it is valid.
            rsa: with an RSA key, else one of a curve.
        """
        import trustme

        now = datetime.datetime.now(datetime.UTC)
        issued = self._authority.issue_cert(
            *names,
            not_before=now - datetime.timedelta(days=max(begun, 1 - days)),
            not_after=now + datetime.timedelta(days=days),
            key_type=trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA,
        )
        self._count += 1
        stem = f"{self._name}-{self._count}"
        certificate, key = self._folder / f"{stem}.pem", self._folder / f"{stem}-key.pem"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        key.chmod(0o600)
        return Issued(certificate, key)

    def context(self) -> ssl.SSLContext:
        """What a client checks servers with that this authority vouches for."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context
