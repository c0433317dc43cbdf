"""The doctor's look at certificates, with real ones: dates, names, keys, chains."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from dracht.doctor import Situation
from dracht.doctor.certificates import certificates, read

Pair = tuple[Path, Path]


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, file: str, *names: str, days: float = 365.0) -> Pair:
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        made = self._ca.issue_cert(*names, not_after=ends)
        chain, key = self._folder / f"{file}.pem", self._folder / f"{file}.key"
        chain.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(key))
        key.chmod(0o640)
        return chain, key


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def found(
    authority: Authority | None, *pairs: Pair, listen: str = "sip:*:5061;transport=tls"
) -> dict[str, str]:
    """What the check says, by its name."""
    authorities = () if authority is None else (authority.file,)
    tls = SimpleNamespace(certificates=pairs, authorities=authorities)
    here = Situation({"listen": (listen,), "tls": tls})
    return {one.check: one.seen for one in certificates(here)}


def test_a_certificate_is_read_with_its_names_and_dates(authority: Authority) -> None:
    one = read(*authority.issue("one", "sip.example.com", "*.example.org", "203.0.113.7"))
    assert one.names == ("sip.example.com", "*.example.org", "203.0.113.7")
    assert one.begins < one.ends


def test_an_authority_s_own_certificate_is_no_server_s(authority: Authority, tmp_path: Path) -> None:
    key = tmp_path / "authority.key"
    authority._ca.private_key_pem.write_to_path(str(key))
    key.chmod(0o640)
    said = found(authority, (authority.file, key))
    assert "CA:TRUE" in said["certificate-authority"]


def test_nothing_is_said_of_a_certificate_that_is_right(authority: Authority) -> None:
    pair = authority.issue("one", "sip.example.com", "*.example.org", "203.0.113.7")
    for host in ("", ";advertise=sip.example.com", ";advertise=sip.example.org", ";advertise=203.0.113.7"):
        assert found(authority, pair, listen=f"sip:*:5061;transport=tls{host}") == {}


def test_a_chain_that_cannot_be_read_is_told_with_the_place_of_the_certificate(authority: Authority) -> None:
    chain, key = authority.issue("one", "a.example")
    junk = "-----BEGIN CERTIFICATE-----\nAAECAwQF\n-----END CERTIFICATE-----\n"
    chain.write_text(chain.read_text() + junk)
    said = found(authority, (chain, key))
    assert "one.pem: certificate 2 of the 2 in it cannot be read" in said["certificate-file"]
    chain.write_text(junk[:40])
    said = found(authority, (chain, key))
    assert "one.pem: ends in the middle" in said["certificate-file"]


def test_dates_are_looked_at(authority: Authority) -> None:
    assert set(found(authority, authority.issue("old", "a.example", days=-1))) == {"certificate-expired"}
    assert set(found(authority, authority.issue("soon", "a.example", days=3))) == {"certificate-expires"}


def test_names_are_compared_with_what_is_advertised(authority: Authority) -> None:
    pair = authority.issue("one", "sip.example.com", "*.example.org")
    for host in ("example.com", "a.b.example.org", "203.0.113.7"):
        said = found(authority, pair, listen=f"sip:*:5061;transport=tls;advertise={host}")
        assert f"{host} is advertised over TLS" in said["certificate-name"]


def test_a_key_of_another_certificate_or_in_everybodys_sight_is_told(authority: Authority) -> None:
    one, other = authority.issue("one", "a.example"), authority.issue("other", "a.example")
    assert "the key is of another certificate" in found(authority, (one[0], other[1]))["certificate-file"]
    one[1].chmod(0o644)
    assert set(found(authority, one)) == {"key-readable"}


def test_files_that_cannot_be_used_are_told(authority: Authority, tmp_path: Path) -> None:
    _, key = authority.issue("one", "a.example")
    missing = found(authority, (tmp_path / "missing.pem", key))["certificate-file"]
    assert "missing.pem: No such file" in missing
    (tmp_path / "text.pem").write_text("hello")
    said = found(authority, (tmp_path / "text.pem", key))["certificate-file"]
    assert "text.pem: holds no certificate: a PEM file is wanted" in said
    assert "certificate-missing" in found(authority)


def test_a_control_port_over_tls_without_a_certificate_is_told() -> None:
    here = Situation({"listen": ("sip:*:5060",), "control": "tls://10.0.0.5:9023"})
    (only,) = certificates(here)
    assert only.check == "certificate-missing"
    assert only.seen.startswith("the control port tls://10.0.0.5:9023 speaks TLS")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_key_that_may_not_be_read_is_told(authority: Authority) -> None:
    chain, key = authority.issue("one", "a.example")
    key.chmod(0o000)
    assert "may not read" in found(authority, (chain, key))["certificate-file"]


def test_a_chain_that_peers_do_not_believe_is_told(authority: Authority) -> None:
    pair = authority.issue("one", "a.example")
    assert set(found(None, pair)) == {"certificate-chain"}
    assert set(found(authority, pair)) == set()
