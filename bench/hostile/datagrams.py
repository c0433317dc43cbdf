"""Many datagrams a second from any loopback address: `sendmmsg` with a source address for each (Linux).

A process of its own: `python -m bench.hostile.datagrams KIND PORT RATE SECONDS`, with `garbage` or `invites` as KIND. Prints
one JSON line at its end: how many datagrams the kernel took, in how many seconds, and what it took of a processor.
"""

from __future__ import annotations

import ctypes
import json
import random
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence

__all__ = ["Sender", "garbage", "invite"]

_BATCH = 128
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vector", ctypes.c_void_p),
        ("vectors", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_int),
        ("sent", ctypes.c_uint32),
    )


class Sender:
    """Sends batches of datagrams to a port of 127.0.0.1, each from a loopback address of its own.

    Args:
        port: the port.
        sources: the addresses, 32-bit numbers, taken in turn.
    """

    def __init__(self, port: int, sources: Sequence[int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("0.0.0.0", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.port = int(self._socket.getsockname()[1])
        self._sources = sources
        self._next = 0
        name = struct.pack("=HHI8x", socket.AF_INET, socket.htons(port), socket.htonl(0x7F000001))
        self._name = ctypes.create_string_buffer(name, len(name))
        self._controls = [ctypes.create_string_buffer(32) for _ in range(_BATCH)]
        self._vectors = (_Vector * _BATCH)()
        self._headers = (_Header * _BATCH)()
        for index in range(_BATCH):
            header = self._headers[index]
            header.name = ctypes.addressof(self._name)
            header.name_length = len(name)
            header.vector = ctypes.addressof(self._vectors[index])
            header.vectors = 1
            header.control = ctypes.addressof(self._controls[index])
            header.control_length = 32

    def send(self, make: Callable[[int], bytes]) -> int:
        """Sends a batch, of which `make(source)` makes each; how many the kernel took."""
        kept = []
        for index in range(_BATCH):
            source = self._sources[self._next % len(self._sources)]
            self._next += 1
            data = make(source)
            kept.append(data)
            # cmsghdr (length 28, IPPROTO_IP, IP_PKTINFO), in_pktinfo with the source in ipi_spec_dst.
            struct.pack_into("=QiiiII", self._controls[index], 0, 28, 0, 8, 0, socket.htonl(source), 0)
            vector = self._vectors[index]
            vector.base = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
            vector.length = len(data)
        sent = _LIBC.sendmmsg(self._socket.fileno(), ctypes.byref(self._headers), _BATCH, 0)
        return max(0, int(sent))


def garbage() -> Callable[[int], bytes]:
    """Bytes that are no SIP message, or begin like one and go on otherwise; made once."""
    dice = random.Random(7)
    kinds = [dice.randbytes(length) for length in (20, 200, 900)]
    kinds += [b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", b"INVITE sip:a@b\r\n" + b"A" * 300]
    kinds += [b"\x16\x03\x01" + dice.randbytes(200), b"A" * 1300 + b"\r\n\r\n"]
    turn = iter(lambda: dice.choice(kinds), None)
    return lambda source: next(turn)


def invite(target: int, own: int) -> Callable[[int], bytes]:
    """INVITEs, each of a call of its own; nobody will acknowledge their answers."""
    number = 0

    def make(source: int) -> bytes:
        nonlocal number
        number += 1
        host = socket.inet_ntoa(struct.pack("!I", source))
        unique = f"{own}x{number}"
        return (
            f"INVITE sip:service@127.0.0.1:{target} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{own};branch=z9hG4bK{unique}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:flood@{host}>;tag={unique}\r\nTo: <sip:service@127.0.0.1:{target}>\r\n"
            f"Call-ID: {unique}@{host}\r\nCSeq: 1 INVITE\r\nContact: <sip:flood@{host}:{own}>\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    return make


def main(kind: str, port: int, rate: float, seconds: float) -> None:
    """Sends for so long, evenly."""
    count = 40 if kind == "garbage" else 20_000
    # 127.1.0.1 and on: not the address from which the calls beside it come.
    sender = Sender(port, [0x7F010001 + number for number in range(count)])
    make = garbage() if kind == "garbage" else invite(port, sender.port)
    begun, cpu, sent = time.monotonic(), time.process_time(), 0
    while (now := time.monotonic() - begun) < seconds:
        if sent > now * rate:
            time.sleep((sent - now * rate) / rate)
            continue
        sent += sender.send(make)
    took = time.monotonic() - begun
    share = (time.process_time() - cpu) / took
    print(json.dumps({"sent": sent, "seconds": took, "rate": sent / took, "processor": share}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
