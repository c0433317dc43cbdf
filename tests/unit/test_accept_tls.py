"""Where servers bring calls over TLS (`accept=tls://`): the certificate is renewed with its files, and whom to trust is said."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from pathlib import Path
from typing import Any, Literal
from unittest.mock import Mock

import pytest
from dracht import Tls
from dracht.link.accept import AcceptedLink, Acceptor

from tests.interop.certificates import Authority, Issued


async def shown(address: str) -> bytes | None:
    """The certificate that a server is shown which connects there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = int(address.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        found: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return found.getpeercert(binary_form=True)
    finally:
        writer.transport.abort()


def put(issued: Issued, folder: Path, at: int) -> tuple[str, str]:
    """Its files under names of their own, as they stand at a moment of their own."""
    names = []
    for file, name in ((issued.certificate, "own.pem"), (issued.key, "own.key")):
        shutil.copy(file, folder / name)
        os.utime(folder / name, (at, at))
        names.append(str(folder / name))
    return names[0], names[1]


def begin(_: AcceptedLink) -> Any:
    """Whoever connects here says nothing, and nobody listens."""
    return Mock(), lambda: True


async def until(said: str, caplog: pytest.LogCaptureFixture) -> None:
    """Waits for a line of the log."""
    async with asyncio.timeout(10):
        while said not in caplog.text:  # noqa: ASYNC110 - the log has no event
            await asyncio.sleep(0.01)


async def test_a_renewed_certificate_is_shown_and_one_that_cannot_be_used_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    first, second = authority.issue("localhost"), authority.issue("localhost")
    caplog.set_level("INFO")
    tls = Tls(certificates=[put(first, tmp_path, 1)], reload_interval=0.02)
    acceptor = Acceptor("tls://127.0.0.1:0", secret="x", tls=tls, tags=(), begin=begin, end=lambda _: None)
    await acceptor.open()
    try:
        before = await shown(acceptor.address)
        put(second, tmp_path, 2)
        await until("a new certificate is shown", caplog)
        after = await shown(acceptor.address)
        assert after != before
        # A key of another certificate.
        shutil.copy(first.key, tmp_path / "own.key")
        await until("cannot be used", caplog)
        assert await shown(acceptor.address) == after
    finally:
        await acceptor.close()


def test_without_authorities_those_of_the_system_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    # What the system's authorities are, OpenSSL lets the environment say.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    own = [authority.issue("localhost").pair]
    kinds: tuple[Literal["asked", "demanded"], ...] = ("asked", "demanded")
    for asked in kinds:
        context = Tls(certificates=own, client_certificates=asked).server_context()
        assert context.cert_store_stats()["x509_ca"] > 0
    assert Tls(certificates=own).server_context().cert_store_stats()["x509_ca"] == 0
