"""stunnel: carries the TCP connections of a peer without TLS (Debian's SIPp) as TLS by OpenSSL, and checks the server's name."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.processes import free_port
from tests.interop.peers.process import Peer, Peers

_CONFIGURATION = """\
foreground = yes
pid =
debug = notice
syslog = no
[sip]
client = yes
accept = 127.0.0.1:{port}
connect = {host}:{server}
sni = {name}
CAfile = {authority}
verifyChain = yes
checkHost = {name}
TIMEOUTclose = 0
"""


def available() -> bool:
    """Whether stunnel is installed."""
    return shutil.which("stunnel4") is not None


class Stunnel(Peer):
    """A tunnel."""

    port: int
    """Where it takes TCP."""

    async def ready(self) -> None:
        wanted = f"0100007F:{self.port:04X}"
        await self.until(lambda: wanted in Path("/proc/net/tcp").read_text(), "its socket")

    def __str__(self) -> str:
        return f"---- {self.name} wrote:\n{self.output()[-3000:]}"


async def start(peers: Peers, to: tuple[str, int], authority: Path, name: str = "localhost") -> Stunnel:
    """A tunnel to a server that shows a certificate of this authority for this name."""
    folder, port = peers.folder("stunnel"), free_port()
    configuration = folder / "stunnel.conf"
    configuration.write_text(
        _CONFIGURATION.format(port=port, host=to[0], server=to[1], name=name, authority=authority)
    )
    peer = Stunnel("stunnel", ["stunnel4", configuration], folder)
    peer.port = port
    return await peers.start(peer)
