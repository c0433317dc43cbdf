"""The test phone: a SIP element as plain as can be, on real sockets. It sends what a test says, and keeps what comes.

It decides nothing by itself, except to leave repetitions out of what a test waits for. `Leg` writes the header fields that one
side of a call has to keep, and knows no more of it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import NamedTuple, Self

from tests.conformance.sip import Fields, Sip, cut, uri_of, written

__all__ = ["LIMIT", "Leg", "Phone", "Received"]

LIMIT = 10.0  # seconds until a test says that what it waits for does not come
_number = itertools.count(1)


class Received(Sip):
    """A message that came, and the way back."""

    def __init__(self, data: bytes, back: Callable[[bytes], None], source: tuple[str, int]) -> None:
        super().__init__(data)
        self.back = back
        self.source = source


class Entry(NamedTuple):
    """A line of the phone's record."""

    sent: bool
    message: Sip
    repeated: bool
    peer: tuple[str, int]


class Phone(asyncio.DatagramProtocol):
    """A phone on one address; UDP and TCP, on the same port. What it sends goes by `transport`."""

    transport: str

    def __init__(self, host: str, transport: str) -> None:
        self.transport = transport
        self.host = host
        self.port = 0
        self.record: list[Entry] = []
        """Everything that was sent and came, in order."""
        self.drop: Callable[[Sip], bool] = lambda message: False
        """What of the incoming messages is lost: neither recorded nor waited for."""
        self.dropped: list[Sip] = []
        self._waiting: list[Received] = []
        self._seen: set[bytes] = set()
        self._wake = asyncio.Event()
        self._udp: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._streams: dict[tuple[str, int], asyncio.StreamWriter] = {}
        self._readers: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, host: str = "127.0.0.1", transport: str = "udp") -> Self:
        """A phone on a port that is free for UDP and TCP: what is free for one may be somebody's for the other."""
        for _ in range(20):
            phone = cls(host, transport)
            try:
                await phone._take_port()
                return phone
            except OSError:
                await phone.close()
        raise OSError(f"no port of {host} is free for UDP and TCP")

    async def _take_port(self) -> None:
        self._server = await asyncio.start_server(self._accepted, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        here = (self.host, self.port)
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=here)

    async def close(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._server is not None:
            self._server.close()
        for writer in self._streams.values():
            writer.close()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    @property
    def address(self) -> str:
        """`HOST:PORT` as it stands in a URI."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def uri(self) -> str:
        return f"sip:phone@{self.address}" + (";transport=tcp" if self.transport == "tcp" else "")

    # ---- what comes

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        def back(answer: bytes) -> None:
            assert self._udp is not None
            self._udp.sendto(answer, addr)

        self._came(data, back, addr)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams[writer.get_extra_info("peername")[:2]] = writer
        self._read(reader, writer)

    def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = writer.get_extra_info("peername")[:2]

        async def read() -> None:
            buffer = bytearray()
            while data := await reader.read(65536):
                buffer += data
                for message in cut(buffer):
                    self._came(message, writer.write, source)
            writer.close()

        task = asyncio.create_task(read())
        self._readers.add(task)

    def _came(self, data: bytes, back: Callable[[bytes], None], source: tuple[str, int]) -> None:
        if not data.strip():
            return
        message = Received(data, back, source[:2])
        if self.drop(message):
            self.dropped.append(message)
            return
        repeated = data in self._seen
        self._seen.add(data)
        self.record.append(Entry(False, message, repeated, source[:2]))
        if not repeated:
            self._waiting.append(message)
        self._wake.set()

    async def expect(self, *what: str | int, of: str | None = None) -> Received:
        """The first message, not yet taken, that is such a request or status; 100s and others that come before stay.

        Args:
            what: methods and statuses, any of which will do.
            of: the method that a status answers.
        """
        try:
            async with asyncio.timeout(LIMIT):
                while True:
                    for message in self._waiting:
                        key = message.method if message.is_request else message.status
                        if key in what and (of is None or message.method == of):
                            self._waiting.remove(message)
                            return message
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            raise AssertionError(f"no {what} came; the record:\n" + "\n".join(self.ladder)) from None

    async def repetitions(self, label: str, count: int) -> None:
        """Waits until a message has come that often, repetitions included."""
        async with asyncio.timeout(LIMIT):
            while self.count(label) < count:
                self._wake.clear()
                await self._wake.wait()

    def unexpected(self) -> list[str]:
        """What came, was not taken, and is no 100."""
        return [message.label for message in self._waiting if message.status != 100]

    @property
    def ladder(self) -> list[str]:
        """The record in short, without repetitions and 100s: `> INVITE` was sent, `< 200` came."""
        return [
            f"{'>' if entry.sent else '<'} {entry.message.label}"
            for entry in self.record
            if not entry.repeated and entry.message.status != 100
        ]

    def count(self, label: str) -> int:
        """How often such a message came, repetitions included."""
        return sum(not entry.sent and entry.message.label == label for entry in self.record)

    # ---- what is sent

    async def send(self, data: bytes, to: tuple[str, int]) -> Sip:
        """Sends bytes to an address, by the phone's transport."""
        if self.transport == "udp":
            assert self._udp is not None
            self._udp.sendto(data, to)
        else:
            if to not in self._streams or self._streams[to].is_closing():
                reader, self._streams[to] = await asyncio.open_connection(*to)
                self._read(reader, self._streams[to])
            self._streams[to].write(data)
        message = Sip(data)
        self.record.append(Entry(True, message, self._repeats(data), to))
        return message

    def reply(
        self,
        request: Received,
        status: int,
        *fields: tuple[str, str],
        reason: str = "Reason",
        body: bytes = b"",
        tag: str = "",
        contact: bool = True,
    ) -> Sip:
        """Answers a request."""
        to = request["To"]
        if "tag=" not in to and status > 100:
            to = f"{to};tag={tag or f'callee{self.port}'}"
        echoed = [("Via", via) for via in request.all("Via")]
        if status > 100:
            echoed += [("Record-Route", route) for route in request.all("Record-Route")]
        echoed += [(name, request[name]) for name in ("From", "Call-ID", "CSeq")] + [("To", to)]
        if contact and not any(name == "Contact" for name, _ in fields):
            echoed.append(("Contact", f"<{self.uri}>"))
        data = written(f"SIP/2.0 {status} {reason}", [*echoed, *fields], body)
        request.back(data)
        message = Sip(data)
        self.record.append(Entry(True, message, self._repeats(data), request.source))
        return message

    def _repeats(self, data: bytes) -> bool:
        repeated = data in self._seen
        self._seen.add(data)
        return repeated

    def leg(self, server: tuple[str, int], uri: str | None = None) -> Leg:
        """The caller's end of a call, or of anything else that begins with a request of ours."""
        return Leg(self, server, uri or f"sip:service@{_hostport(server)}")


def _hostport(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


class Leg:
    """One end of a dialog, or of a request outside one."""

    def __init__(self, phone: Phone, server: tuple[str, int], uri: str) -> None:
        self.phone = phone
        self.server = server
        self.target = uri
        self.call_id = f"call{next(_number)}@phone"
        self.local = f"<sip:phone@{phone.address}>;tag=phone{next(_number)}"
        self.remote = f"<{uri}>"
        self.routes: list[str] = []
        self.cseq = 0

    @classmethod
    def answering(cls, phone: Phone, invite: Received, answer: Sip) -> Leg:
        """The callee's end, after its answer."""
        leg = cls(phone, invite.source, uri_of(invite["Contact"]))
        leg.call_id, leg.local, leg.remote = invite["Call-ID"], answer["To"], invite["From"]
        leg.routes = invite.values("Record-Route")
        return leg

    def learn(self, response: Sip) -> None:
        """Takes the remote tag, target and routes from a response that creates a dialog."""
        self.remote = response["To"]
        if response.get("Contact"):
            self.target = uri_of(response["Contact"])
        self.routes = response.values("Record-Route")[::-1]

    async def send(
        self,
        method: str,
        *fields: tuple[str, str],
        body: bytes = b"",
        cseq: int | None = None,
        branch: str | None = None,
        uri: str | None = None,
        forwards: int | None = 70,
        contact: bool = True,
    ) -> Sip:
        """Sends a request of this end."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        via = f"SIP/2.0/{self.phone.transport.upper()} {self.phone.address}"
        own: list[tuple[str, str]] = [
            ("Via", f"{via};branch={branch or f'z9hG4bK{next(_number)}'};rport"),
            *(("Route", route) for route in self.routes),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
        ]
        if forwards is not None:
            own.append(("Max-Forwards", str(forwards)))
        if contact and method in ("INVITE", "SUBSCRIBE", "UPDATE", "REFER", "REGISTER"):
            own.append(("Contact", f"<{self.phone.uri}>"))
        data = written(f"{method} {uri or self.target} SIP/2.0", [*own, *fields], body)
        return await self.phone.send(data, self.server)

    async def again(self, request: Sip) -> None:
        """Sends the same bytes once more."""
        await self.phone.send(request.data, self.server)

    async def ack(self, response: Sip, *, body: bytes = b"", fields: Fields = ()) -> Sip:
        """Acknowledges a 2xx, and takes what it says of the dialog."""
        self.learn(response)
        given = [*fields, *([("Content-Type", "application/sdp")] if body else [])]
        return await self.send("ACK", *given, body=body, cseq=response.cseq)

    async def refused(self, invite: Sip, response: Sip) -> Sip:
        """Acknowledges a failed INVITE (RFC 3261 §17.1.1.3)."""
        held, self.remote = self.remote, response["To"]
        ack = await self.send("ACK", cseq=invite.cseq, branch=invite.branch, uri=invite.uri)
        self.remote = held
        return ack

    async def cancel(self, invite: Sip, *fields: tuple[str, str]) -> Sip:
        """Sends the CANCEL of an INVITE (RFC 3261 §9.1)."""
        return await self.send("CANCEL", *fields, cseq=invite.cseq, branch=invite.branch, uri=invite.uri)
