"""linphonec, linphone's command line client: driven by its standard input, its log at level 6 is the record.

It plays and records files instead of sound hardware (`soundcard use files`).
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from bench.processes import free_port
from tests.conformance.sip import Sip
from tests.interop.peers.process import Entry, Peer, Peers

_BLOCK = re.compile(
    rb"channel \[0x[0-9a-f]+\]: "
    rb"(?:message (sent) to \[\S+\], size: \[(\d+)\] bytes\n|received \[(\d+)\] new bytes from \[\S+\]:\n)"
)
_CONFIGURATION = """\
[sip]
sip_port={port}
sip_tcp_port=0
sip_tls_port={secure}
{authority}
default_proxy=0
[rtp]
audio_rtp_port={media}
[proxy_0]
reg_proxy=<sip:{registrar};transport={transport}>
reg_identity=sip:{user}@{registrar}
reg_expires={expires}
reg_sendregister=1
publish=0
[auth_info_0]
username={user}
passwd={password}
"""


def available() -> bool:
    """Whether linphonec is installed."""
    return shutil.which("linphonec") is not None


class Linphone(Peer):
    """A phone."""

    port: int
    user: str

    async def ready(self) -> None:
        await self.until(lambda: "linphonec>" in self.output(), "its prompt")
        await self.says("soundcard use files", "Using wav files instead of soundcard")

    def type(self, line: str) -> None:
        """Types a line at its prompt."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    async def says(self, line: str, answer: str) -> None:
        """Types a line, and waits until it writes an answer that it had not written before."""
        before = self.output().count(answer)
        self.type(line)
        await self.writes(answer, before + 1)

    async def writes(self, text: str, count: int = 1) -> None:
        """Waits until it wrote a text that often."""
        await self.until(lambda: self.output().count(text) >= count, f"{text!r} written {count} times")

    def record(self) -> list[Entry]:
        log = self.folder / "linphone.log"
        data = log.read_bytes() if log.exists() else b""
        found = []
        for block in _BLOCK.finditer(data):
            message = data[block.end() : block.end() + int(block[2] or block[3])]
            if message.strip():
                found.append(Entry(block[1] is not None, Sip(message)))
        return found


async def start(
    peers: Peers,
    user: str,
    registrar: str,
    *,
    password: str = "",
    expires: int = 60,
    transport: str = "udp",
    authority: Path | None = None,
) -> Linphone:
    """A phone of `user` that registers at `registrar` (HOST:PORT).

    Args:
        transport: `udp` or `tls`.
        authority: whose certificates it believes.
    """
    folder, port = peers.folder(f"linphone-{user}"), free_port()
    (folder / ".local" / "share" / "linphone").mkdir(parents=True)
    (folder / "rc").write_text(
        _CONFIGURATION.format(
            port=port,
            media=free_port() & ~1,
            registrar=registrar,
            user=user,
            password=password,
            expires=expires,
            transport=transport,
            secure=-1 if transport == "tls" else 0,
            authority=f"root_ca={authority}\nverify_server_certs=1\nverify_server_cn=1" if authority else "",
        )
    )
    command = ["stdbuf", "-o0", "linphonec", "-c", "rc", "-d", "6", "-l", "linphone.log", "-S"]
    peer = Linphone(f"linphone {user}", command, folder, {"HOME": str(folder), "TERM": "dumb"})
    peer.port, peer.user = port, user
    return await peers.start(peer)
