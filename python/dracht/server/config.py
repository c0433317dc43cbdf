"""What a server is told at start, checked before anything is opened.

It reads no file and no environment: the command line does, and passes what it found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server's configuration; `ValueError` for one that cannot work.

    Arguments: `listen`, the SIP listeners as `sip:HOST:PORT[;transport=udp,tcp]`; `control`, `HOST:PORT` for applications;
    `secret`, what they authenticate with; `shards`, engines with a thread each (1 to 255); `advertise`, `HOST[:PORT]` that peers
    are to see instead of the bound address; `drachtio_compatible`, behave as drachtio-server where it differs;
    `session_timers`, `session_expires`, `min_se`, `session_refresher`: session timers (RFC 4028), as `Engine.start` has them.
    """

    listen: tuple[str, ...]
    control: str
    secret: str
    shards: int = 1
    advertise: str | None = None
    drachtio_compatible: bool = False
    session_timers: bool = True
    session_expires: int | None = None
    min_se: int = 90
    session_refresher: Literal["uac", "uas"] | None = None

    def __post_init__(self) -> None:
        if not self.listen:
            raise ValueError("no SIP listener: give at least one, as sip:127.0.0.1:5060;transport=udp,tcp")
        host_and_port(self.control)
        if not self.secret:
            raise ValueError("no secret: applications must authenticate, so a server needs one")
        if not 1 <= self.shards <= 255:
            raise ValueError(f"{self.shards} shards: 1 to 255 are possible")


def host_and_port(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` (IPv6 in brackets, which are taken off); `ValueError` for anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT, as 127.0.0.1:9022 or [::1]:9022")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise ValueError(f"{text!r} is not HOST:PORT; an IPv6 address stands in brackets, as [::1]:9022")
    return host.strip("[]"), int(port)
