"""A cable between an application and a server's control port, which a test can hold, and cut."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Self

__all__ = ["Cable"]


class Cable:
    """Carries the bytes of control connections both ways."""

    def __init__(self, to: tuple[str, int]) -> None:
        self.to = to
        self.connections = 0
        """How many there were."""
        self._held = False
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._ends: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._forgotten: set[asyncio.StreamWriter] = set()
        self._carriers: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, to: tuple[str, int], tls: ssl.SSLContext | None = None) -> Self:
        """A cable to an address; with a context, applications speak TLS with it."""
        cable = cls(to)
        cable._server = await asyncio.start_server(cable._accepted, "127.0.0.1", 0, ssl=tls)
        return cable

    @property
    def address(self) -> tuple[str, int]:
        """Where applications connect."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def hold(self) -> None:
        """From now on nothing comes back from the server; what the application says still arrives."""
        self._open.clear()

    def release(self) -> None:
        """What was held arrives."""
        self._open.set()

    def cut(self) -> None:
        """Both ends see the connection break; new ones are carried again. What was held is lost."""
        ends, self._ends = self._ends, []
        for application, server in ends:
            application.transport.abort()
            server.transport.abort()
        self._open.set()

    def forget(self) -> None:
        """The applications see their connections break; the server is told nothing, and what it sends there goes nowhere."""
        ends, self._ends = self._ends, []
        for application, server in ends:
            self._forgotten.add(server)
            application.transport.abort()

    async def close(self) -> None:
        self.cut()
        for server in self._forgotten:
            server.transport.abort()
        if self._server is not None:
            self._server.close()
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(*self.to)
        except OSError:
            writer.close()
            return
        self.connections += 1
        self._ends.append((writer, to_server))
        for source, sink, held in ((reader, to_server, False), (from_server, writer, True)):
            self._carriers.add(asyncio.create_task(self._carry(source, sink, held)))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, held: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if held:
                    await self._open.wait()
                if not sink.is_closing():
                    sink.write(data)
        if sink not in self._forgotten:
            sink.close()
