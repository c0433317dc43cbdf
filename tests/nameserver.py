"""A name server that a test commands, by UDP and TCP: what it says to each question, and what it was asked.

Answers are made by dnslib, a library that shares nothing with the one under test. It serves in the loop of the test.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Literal, Self

import dnslib

__all__ = ["NameServer"]

Broken = Literal["silent", "fails"]


class NameServer(asyncio.DatagramProtocol):
    """Knows the names it was told; every other does not exist. A context manager."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        """Name and type of each question, in order."""
        self._records: dict[str, list[dnslib.RR]] = {}
        self._broken: dict[str, Broken] = {}
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._tcp.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.port))
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._udp is not None
        self._udp.close()
        assert self._tcp is not None
        self._tcp.close()

    @property
    def address(self) -> str:
        """`ADDRESS:PORT`, as `Dns(servers=[...])` takes it."""
        return f"127.0.0.1:{self.port}"

    # ---- what it knows

    def host(self, name: str, *addresses: str, ttl: int = 60) -> None:
        """The addresses of a host."""
        records: list[tuple[str, dnslib.RD]] = []
        for address in addresses:
            if ipaddress.ip_address(address).version == 4:
                records.append(("A", dnslib.A(address)))
            else:
                records.append(("AAAA", dnslib.AAAA(address)))
        self._set(name, records, ttl)

    def srv(self, name: str, *targets: tuple[int, int, int, str], ttl: int = 60) -> None:
        """The targets of a service: priority, weight, port and host each."""
        self._set(name, [("SRV", dnslib.SRV(*target)) for target in targets], ttl)

    def naptr(self, name: str, *rules: tuple[int, int, str, str], ttl: int = 60) -> None:
        """The services of a domain: order, preference, service and name each."""
        records = [
            ("NAPTR", dnslib.NAPTR(order, preference, "s", service, "", replacement))
            for order, preference, service, replacement in rules
        ]
        self._set(name, records, ttl)

    def broken(self, name: str, how: Broken) -> None:
        """From now on nothing is said about this name and what is below it, or that the server failed."""
        self._broken[name] = how

    def _set(self, name: str, records: list[tuple[str, dnslib.RD]], ttl: int) -> None:
        self._records[name] = [
            dnslib.RR(name, getattr(dnslib.QTYPE, kind), rdata=data, ttl=ttl) for kind, data in records
        ]

    # ---- what it says

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        udp = self._udp
        assert udp is not None
        self._answer(data, lambda answer: udp.sendto(answer, addr))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                data = await reader.readexactly(length)
                self._answer(data, lambda answer: writer.write(len(answer).to_bytes(2, "big") + answer))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, data: bytes, send: Callable[[bytes], None]) -> None:
        question = dnslib.DNSRecord.parse(data)
        name = str(question.q.qname).rstrip(".").lower()
        self.asked.append((name, dnslib.QTYPE[question.q.qtype]))
        answer = question.reply()
        how = next((how for end, how in self._broken.items() if f".{name}".endswith(f".{end}")), None)
        if how == "silent":
            return
        if how == "fails":
            answer.header.rcode = dnslib.RCODE.SERVFAIL
        else:
            for record in self._records.get(name, []):
                if record.rtype == question.q.qtype:
                    answer.add_answer(record)
            if name not in self._records:
                answer.header.rcode = dnslib.RCODE.NXDOMAIN
        send(answer.pack())
