"""Many datagrams a second from any loopback address: `sendmmsg` with a source address for each (Linux).

A process of its own: `python -m bench.hostile.datagrams KIND PORT RATE SECONDS`, with `garbage` or `invites` as KIND. Prints
one JSON line at its end: how many datagrams the kernel took, in how many seconds, and what it took of a processor. Datagrams are
laid out once, in batches; a batch costs one system call, and an INVITE the writing of what is new in it.
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

__all__ = ["Batch", "Sender", "garbage", "invites"]

_BATCH = 128
_SOURCES = 20_000
# What stands in an INVITE until its own is written over it.
_HOST, _UNIQUE = b"127.100.100.100", b"00000000"
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


class Batch:
    """Datagrams to one port of 127.0.0.1 as the kernel wants them, each from an address of its own.

    Args:
        port: the port.
        datagrams: their bytes, which may be changed in place.
    """

    def __init__(self, port: int, datagrams: Sequence[bytearray]) -> None:
        name = struct.pack("=HHI8x", socket.AF_INET, socket.htons(port), socket.htonl(0x7F000001))
        self._name = ctypes.create_string_buffer(name, len(name))
        self.datagrams = datagrams
        self._controls = [ctypes.create_string_buffer(32) for _ in datagrams]
        self._vectors = (_Vector * len(datagrams))()
        self.headers = (_Header * len(datagrams))()
        for index, datagram in enumerate(datagrams):
            vector = self._vectors[index]
            vector.base = ctypes.addressof((ctypes.c_char * len(datagram)).from_buffer(datagram))
            vector.length = len(datagram)
            header = self.headers[index]
            header.name = ctypes.addressof(self._name)
            header.name_length = len(name)
            header.vector = ctypes.addressof(vector)
            header.vectors = 1
            header.control = ctypes.addressof(self._controls[index])
            header.control_length = 32

    def comes_from(self, index: int, source: int) -> None:
        """Gives a datagram its source address, a 32-bit number."""
        # cmsghdr (length 28, IPPROTO_IP, IP_PKTINFO), in_pktinfo with the source in ipi_spec_dst.
        struct.pack_into("=QiiiII", self._controls[index], 0, 28, 0, 8, 0, socket.htonl(source), 0)


class Sender:
    """A socket that sends batches."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("0.0.0.0", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.port = int(self._socket.getsockname()[1])

    def send(self, batch: Batch) -> int:
        """How many of its datagrams the kernel took."""
        count = len(batch.datagrams)
        return max(0, int(_LIBC.sendmmsg(self._socket.fileno(), ctypes.byref(batch.headers), count, 0)))


def garbage(target: int) -> Callable[[], Batch]:
    """Bytes that are no SIP message, or begin like one and go on otherwise, from 40 sources; made once."""
    dice = random.Random(7)
    kinds = [dice.randbytes(length) for length in (20, 200, 900)]
    kinds += [b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", b"INVITE sip:a@b\r\n" + b"A" * 300]
    kinds += [b"\x16\x03\x01" + dice.randbytes(200), b"A" * 1300 + b"\r\n\r\n"]
    batches = []
    for _ in range(16):
        batch = Batch(target, [bytearray(dice.choice(kinds)) for _ in range(_BATCH)])
        for index in range(_BATCH):
            # 127.1.0.1 and on: not the address from which the calls beside it come.
            batch.comes_from(index, 0x7F010001 + dice.randrange(40))
        batches.append(batch)
    return lambda: dice.choice(batches)


def _source(number: int) -> tuple[int, bytes]:
    """One of many addresses whose texts have the same length."""
    high, middle, low = 100 + number // 10_000, 100 + number // 100 % 100, 100 + number % 100
    return 0x7F000000 | high << 16 | middle << 8 | low, b"127.%d.%d.%d" % (high, middle, low)


def _places(text: bytes, part: bytes) -> list[slice]:
    found, at = [], text.find(part)
    while at >= 0:
        found.append(slice(at, at + len(part)))
        at = text.find(part, at + len(part))
    return found


def invites(target: int, own: int) -> Callable[[], Batch]:
    """INVITEs, each of a call of its own, from 20,000 sources in turn; nobody will acknowledge their answers."""
    host, unique = _HOST.decode(), _UNIQUE.decode()
    text = (
        f"INVITE sip:service@127.0.0.1:{target} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{own};branch=z9hG4bK{own}x{unique}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:flood@{host}>;tag={own}x{unique}\r\nTo: <sip:service@127.0.0.1:{target}>\r\n"
        f"Call-ID: {own}x{unique}@{host}\r\nCSeq: 1 INVITE\r\nContact: <sip:flood@{host}:{own}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    hosts, uniques = _places(text, _HOST), _places(text, _UNIQUE)
    batch = Batch(target, [bytearray(text) for _ in range(_BATCH)])
    number = 0

    def following() -> Batch:
        nonlocal number
        for index, datagram in enumerate(batch.datagrams):
            number += 1
            address, written = _source(number % _SOURCES)
            batch.comes_from(index, address)
            for place in hosts:
                datagram[place] = written
            for place in uniques:
                datagram[place] = b"%08x" % number
        return batch

    return following


def main(kind: str, port: int, rate: float, seconds: float) -> None:
    """Sends for so long, evenly."""
    sender = Sender()
    following = garbage(port) if kind == "garbage" else invites(port, sender.port)
    begun, cpu, sent = time.monotonic(), time.process_time(), 0
    while (now := time.monotonic() - begun) < seconds:
        if sent > now * rate:
            time.sleep((sent - now * rate) / rate)
            continue
        sent += sender.send(following())
    took = time.monotonic() - begun
    share = (time.process_time() - cpu) / took
    print(json.dumps({"sent": sent, "seconds": took, "rate": sent / took, "processor": share}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
