"""Kamailio with a configuration of `tests/interop/kamailio`. What its `sipdump` module writes is the record."""

from __future__ import annotations

import re
from pathlib import Path

from bench import kamailio
from bench.processes import free_port
from tests.conformance.sip import Sip
from tests.interop.peers.process import Entry, Peer, Peers

CONFIGURATIONS = Path(__file__).resolve().parent.parent / "kamailio"
_BLOCK = re.compile(rb"^={10,}\ntag: (rcv|snd)\n.*?~{10,}\n(.*?)\|{10,}\n", re.MULTILINE | re.DOTALL)

available = kamailio.program


class Kamailio(Peer):
    """A Kamailio."""

    port: int

    @property
    def address(self) -> str:
        """`HOST:PORT`."""
        return f"127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        """It as a loose route."""
        return f"sip:{self.address};lr"

    def record(self) -> list[Entry]:
        found = []
        for log in sorted(self.folder.glob("*sipdump*.data")):
            for block in _BLOCK.finditer(log.read_bytes()):
                found.append(Entry(block[1] == b"snd", Sip(block[2])))
        return found

    async def ready(self) -> None:
        wanted = f"0100007F:{self.port:04X}"
        await self.until(lambda: wanted in Path("/proc/net/udp").read_text(), "its socket")


async def start(peers: Peers, configuration: str, **values: object) -> Kamailio:
    """Kamailio with `kamailio/base.cfg` and `kamailio/CONFIGURATION.cfg`.

    Args:
        values: `@NAME@` in the configuration, and what stands there.
    """
    folder, port = peers.folder(f"kamailio-{configuration}"), free_port()
    text = "".join((CONFIGURATIONS / f"{part}.cfg").read_text() for part in ("base", configuration))
    filled = {
        "target": "",
        "algorithm": "",
        "PORT": port,
        "MODULES": kamailio.modules(),
        "FOLDER": folder,
        **values,
    }
    for name, value in filled.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    (folder / "kamailio.cfg").write_text(text)
    program = kamailio.program()
    assert program is not None
    command = [program, "-f", "kamailio.cfg", "-DD", "-E", "-m", "64", "-M", "8", "-Y", str(folder)]
    peer = Kamailio(f"Kamailio {configuration}", [*command, "-P", str(folder / "pid")], folder)
    peer.port = port
    return await peers.start(peer)


def relayed(labels: str) -> list[str]:
    """The ladder of a proxy that relays these, one after the other: `"BYE 200"`."""
    return [f"{way} {label}" for label in labels.split() for way in "<>"]
