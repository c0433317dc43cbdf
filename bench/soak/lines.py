"""Lines: what a generator sends and receives messages by. UDP, TCP, TLS and secure WebSocket behave alike.

A stream can be reset, as by a phone that loses its network.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["TRANSPORTS", "Datagrams", "Line", "Receiver", "Transport", "open_line"]

Transport = Literal["udp", "tcp", "tls", "wss"]
TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp", "tls", "wss")
Receiver: TypeAlias = Callable[["Line", bytes], None]
_LINGER_RESET = struct.pack("ii", 1, 0)
_number = itertools.count(1)


class Line:
    """One UDP socket or one connection.

    `receive` is called with each message that comes.
    """

    transport: Transport
    sent_by: str
    """What stands in Via and Contact: address and port, or for WebSocket a name that nobody resolves (RFC 7118 §5)."""

    def __init__(self, receive: Receiver) -> None:
        self.receive = receive
        self.open = True

    @property
    def reliable(self) -> bool:
        """Whether nothing needs to be repeated."""
        return self.transport != "udp"

    @property
    def contact(self) -> str:
        """The URI at which its user is called."""
        parameter = {"udp": "", "wss": ";transport=ws"}.get(self.transport, f";transport={self.transport}")
        return f"sip:soak@{self.sent_by}{parameter}"

    def send(self, message: bytes) -> None:
        """Sends a message. On a line that is gone it is lost."""
        raise NotImplementedError

    def reset(self) -> None:
        """Ends it as a crash of the phone would: with RST, nothing said before."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ends it in good order."""
        raise NotImplementedError


class Datagrams:
    """A UDP socket on a port of 127.0.0.1 of its own.

    It takes all that has come in one pass of the loop: asyncio's own endpoint takes one datagram, and falls behind on a busy
    machine until what waits there is too old.
    """

    def __init__(self, receive: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._receive = receive
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                self._receive(*self._socket.recvfrom(65536))

    def send(self, message: bytes, to: tuple[str, int]) -> None:
        """Sends a datagram; one for which there is no room is lost."""
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            self._socket.sendto(message, to)

    def close(self) -> None:
        """Ends it."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


class _UdpLine(Line):
    transport: Transport = "udp"

    def __init__(self, receive: Receiver, server: tuple[str, int]) -> None:
        super().__init__(receive)
        self._server = server
        self._datagrams = Datagrams(lambda data, _: self.receive(self, data))
        self.sent_by = f"127.0.0.1:{self._datagrams.port}"

    def send(self, message: bytes) -> None:
        if self.open:
            self._datagrams.send(message, self._server)

    def reset(self) -> None:
        """There is nothing to reset."""

    async def close(self) -> None:
        if self.open:
            self.open = False
            self._datagrams.close()


class _StreamLine(Line, asyncio.Protocol):
    def __init__(self, receive: Receiver, transport: Transport) -> None:
        super().__init__(receive)
        self.transport = transport
        self._buffer = bytearray()
        self._gone = asyncio.get_running_loop().create_future()

    async def start(self, server: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        self._transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: self, *server, ssl=tls, server_hostname="localhost" if tls else None
        )
        self.sent_by = "{}:{}".format(*self._transport.get_extra_info("sockname"))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while True:
            while buffer.startswith(b"\r\n"):
                del buffer[:2]
            head = buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            at = buffer.lower().find(b"\r\ncontent-length:", 0, head)
            length = int(buffer[at + 17 : buffer.index(b"\r\n", at + 2)]) if at >= 0 else 0
            end = head + 4 + length
            if len(buffer) < end:
                return
            message = bytes(buffer[:end])
            del buffer[:end]
            self.receive(self, message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if not self._gone.done():
            self._gone.set_result(None)

    def send(self, message: bytes) -> None:
        if self.open:
            self._transport.write(message)

    def reset(self) -> None:
        self.open = False
        endpoint: socket.socket = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self._transport.abort()

    async def close(self) -> None:
        self.open = False
        self._transport.close()
        await self._gone


class _WebSocketLine(Line):
    transport: Transport = "wss"
    _socket: ClientConnection

    async def start(self, server: tuple[str, int], tls: ssl.SSLContext) -> None:
        from websockets.asyncio.client import connect
        from websockets.typing import Subprotocol

        self._socket = await connect(
            f"wss://localhost:{server[1]}/",
            host=server[0],
            port=server[1],
            ssl=tls,
            subprotocols=[Subprotocol("sip")],
            compression=None,
            ping_interval=None,
            proxy=None,
        )
        self.sent_by = f"soak{next(_number)}.invalid"
        self._reading = asyncio.create_task(self._read())
        self._sending: set[asyncio.Task[None]] = set()

    async def _read(self) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            async for message in self._socket:
                self.receive(self, message.encode() if isinstance(message, str) else message)
        self.open = False

    def send(self, message: bytes) -> None:
        if self.open:
            task = asyncio.create_task(self._send(message))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, message: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(message.decode())

    def reset(self) -> None:
        self.open = False
        endpoint: socket.socket = self._socket.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self._socket.transport.abort()

    async def close(self) -> None:
        self.open = False
        await self._socket.close()
        await asyncio.gather(self._reading, return_exceptions=True)


async def open_line(
    transport: Transport, server: tuple[str, int], receive: Receiver, tls: ssl.SSLContext | None = None
) -> Line:
    """Opens a line to a server; OSError when it cannot be.

    Args:
        tls: what the server's certificate is checked with, for TLS and WSS. The name asked for is `localhost`.
    """
    if transport == "udp":
        return _UdpLine(receive, server)
    if transport == "wss":
        assert tls is not None
        web_socket = _WebSocketLine(receive)
        await web_socket.start(server, tls)
        return web_socket
    stream = _StreamLine(receive, transport)
    await stream.start(server, tls if transport == "tls" else None)
    return stream
