"""The test phone at another place: the same phone, its sockets in a namespace."""

from __future__ import annotations

import asyncio
import socket
from typing import Self

from tests.conformance.phone import Leg, Phone
from tests.conformance.sip import Sip
from tests.namespaces.places import entered

__all__ = ["DistantPhone"]


class DistantPhone(Phone):
    """A phone in a namespace, UDP and TCP on one port, that knows a server by one address."""

    def __init__(self, user: str, host: str, transport: str, namespace: str, server: tuple[str, int]) -> None:
        super().__init__(host, transport)
        self.user = user
        self.server = server
        self._namespace = namespace

    @classmethod
    async def at(
        cls, user: str, host: str, transport: str, namespace: str, server: tuple[str, int], port: int = 5060
    ) -> Self:
        """A phone on a port of its address there."""
        phone = cls(user, host, transport, namespace, server)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with entered(namespace):
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            datagrams.bind((host, port))
            streams = socket.create_server((host, port), family=family)
        phone.port = port
        phone._server = await asyncio.start_server(phone._accepted, sock=streams)
        loop = asyncio.get_running_loop()
        phone._udp, _ = await loop.create_datagram_endpoint(lambda: phone, sock=datagrams)
        return phone

    @property
    def uri(self) -> str:
        return super().uri.replace("sip:phone@", f"sip:{self.user}@")

    async def send(self, data: bytes, to: tuple[str, int]) -> Sip:
        if self.transport == "tcp" and (to not in self._streams or self._streams[to].is_closing()):
            with entered(self._namespace):
                connecting = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET)
            connecting.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connecting, to)
            reader, self._streams[to] = await asyncio.open_connection(sock=connecting)
            self._read(reader, self._streams[to])
        return await super().send(data, to)

    async def register(self) -> Sip:
        """Registers with the server; its answer, which is a 200."""
        leg = self.to(self.user)
        leg.remote = f"<sip:{self.user}@home.example>"
        leg.local = f"<sip:{self.user}@home.example>;tag=r{self.user}"
        await leg.send("REGISTER", ("Expires", "600"), uri="sip:home.example")
        return await self.expect(200, of="REGISTER")

    def to(self, user: str) -> Leg:
        """The beginning of a call to somebody who is registered."""
        return self.leg(self.server, f"sip:{user}@home.example")
