"""Certificates are replaced on disk while 200 calls a second come over TLS and WSS, on ever new connections: none fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.soak.calls import answered
from bench.soak.generator import Generator
from bench.soak.running import Server, serving
from tests.interop.peers.process import LIMIT
from tests.interop.tls_probe import handshake

pytestmark = pytest.mark.peer("openssl")

RATE = 200.0
RENEWALS = 3


def shown(server: Server) -> str:
    """The certificate that a new connection is shown, in text; it must be one that the authority vouches for."""
    options = ("-CAfile", str(server.authority.file), "-showcerts")
    result = handshake(server.addresses["tls"], *options, name="localhost")
    assert result.verified, result.said
    return result.subject


@pytest.mark.parametrize("way", ["embedded", "connected"])
async def test_no_call_fails_while_certificates_are_renewed(tmp_path: Path, way: str) -> None:
    async with serving(tmp_path, ("tls", "wss"), way, "sip:127.0.0.1:9") as server:
        generator = Generator(
            server.addresses, server.authority.context(), kinds=((1, answered),), opened_anew=5
        )
        renewed = asyncio.Event()
        calling = asyncio.create_task(until(renewed, generator))
        before = await asyncio.to_thread(shown, server)
        for _ in range(RENEWALS):
            # As certbot does: each file is replaced whole, first one, then the other.
            for new, old in zip(server.authority.issue("localhost", "127.0.0.1"), server.issued, strict=True):
                new.replace(old)
            async with asyncio.timeout(LIMIT):
                while (now := await asyncio.to_thread(shown, server)) == before:
                    assert not calling.done()
            before = now
        renewed.set()
        calls = await calling
        await generator.close()
    assert not generator.failures, generator.failures
    assert sum(generator.done.values()) == calls
    assert calls >= RENEWALS * RATE
    assert generator.connections > calls / 10, (
        "most of the calls were on connections older than the certificate"
    )
    print(f"{calls} calls on {generator.connections} connections, {RENEWALS} renewals")


async def until(ended: asyncio.Event, generator: Generator) -> int:
    """Makes calls until then; how many."""
    calls = 0
    while not ended.is_set() or calls < RENEWALS * RATE:
        await generator.run(int(RATE), RATE)
        calls += int(RATE)
    return calls
