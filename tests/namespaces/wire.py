"""What crosses a segment: SIP messages as they are on the wire there, with the addresses of the packets that carry them.

A packet socket sees the frames of an interface. Messages of a test are short, so that a TCP segment is one of them: nothing is
put together again.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import NamedTuple

from tests.conformance.sip import Sip
from tests.namespaces.places import entered

__all__ = ["Frame", "Wire"]

_ALL = 3  # ETH_P_ALL
_UDP, _TCP = 17, 6


class Frame(NamedTuple):
    """A message in its packet; addresses as `host:port`."""

    source: str
    target: str
    transport: str
    message: Sip


class Wire:
    """Listens on an interface of a namespace; without one, to what comes in on all. `messages` gives what crossed so far."""

    def __init__(self, namespace: str, interface: str | None = None) -> None:
        with entered(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if interface is not None:
            self._socket.bind((interface, _ALL))
        self._is_hub = interface is None  # what it passes on goes out as well
        self._socket.setblocking(False)
        self._seen: list[Frame] = []

    def close(self) -> None:
        self._socket.close()

    def clear(self) -> None:
        """Forgets what came so far."""
        self.messages()
        self._seen.clear()

    def messages(self) -> list[Frame]:
        """Every message that crossed so far, in order."""
        while True:
            try:
                data, where = self._socket.recvfrom(65536)
            except BlockingIOError:
                return self._seen
            if self._is_hub and where[2] == socket.PACKET_OUTGOING:
                continue
            frame = _read(data)
            if frame is not None:
                self._seen.append(frame)


def _read(data: bytes) -> Frame | None:
    """The message in an Ethernet frame; None where there is none."""
    kind = struct.unpack_from("!H", data, 12)[0]
    if kind == 0x0800:
        length, protocol = (data[14] & 15) * 4, data[23]
        source, target = data[26:30], data[30:34]
    elif kind == 0x86DD:
        length, protocol = 40, data[20]
        source, target = data[22:38], data[38:54]
    else:
        return None
    if protocol not in (_UDP, _TCP):
        return None
    start = 14 + length
    ports = struct.unpack_from("!HH", data, start)
    header = 8 if protocol == _UDP else (data[start + 12] >> 4) * 4
    body = data[start + header :]
    if b"SIP/2.0" not in body[:200] or b"\r\n\r\n" not in body:
        return None
    names = [_named(address, port) for address, port in zip((source, target), ports, strict=True)]
    return Frame(names[0], names[1], "udp" if protocol == _UDP else "tcp", Sip(body))


def _named(address: bytes, port: int) -> str:
    host = ipaddress.ip_address(address)
    return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"
