"""`ConnectionLink`: what links over control connections have in common: they give their commands to the one they have.

How that connection comes about, and what happens when it is gone, is for `control` and `accept`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dracht._core import Message
from dracht.errors import ConnectionLost
from dracht.link.base import (
    Completion,
    DialogId,
    DialogReference,
    Flow,
    HeaderList,
    Origin,
    ProxyCompletion,
    ProxyOptions,
    TransactionId,
)
from dracht.link.connection import ControlConnection
from dracht.link.moving import failed
from dracht.link.wire import WirePath

__all__ = ["ConnectionLink"]


class ConnectionLink:
    """A link over the control connection that it has at the moment."""

    def __init__(self) -> None:
        self._connection: ControlConnection | None = None

    # ---- how it is

    @property
    def name(self) -> str:
        """Where it leads."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether commands can be given."""
        return self._connection is not None and self._connection.ready

    @property
    def pending(self) -> int:
        """How many commands have not been completed."""
        return self._connection.pending if self._connection is not None else 0

    @property
    def hostports(self) -> list[str]:
        """The server's listeners as `proto/host:port`."""
        return self._connection.hostports if self._connection is not None else []

    @property
    def version(self) -> str:
        """What the server says it is."""
        return self._connection.version if self._connection is not None else ""

    # ---- commands

    def forget_written(self) -> None:
        """Nothing is kept: the engine says of each response what became of it."""

    def respond(
        self,
        transaction: TransactionId,
        request: Message,
        status: int,
        reason: str,
        headers: HeaderList,
        body: bytes,
        completion: Completion,
        session_timer: bool = True,
    ) -> None:
        """Answers a request."""
        connection = self._connection
        if connection is None or not connection.ready:
            completion.failed(self._lost())
        else:
            connection.respond(transaction, request, status, reason, headers, body, completion, session_timer)

    def request(
        self,
        method: str,
        uri: str,
        headers: HeaderList,
        body: bytes,
        dialog: DialogReference | None,
        next_hop: str | None,
        completion: Completion,
        session_timer: bool = True,
    ) -> None:
        """Sends a request."""
        connection = self._connection
        if connection is None or not connection.ready:
            completion.failed(self._lost())
        else:
            connection.request(method, uri, headers, body, dialog, next_hop, completion, session_timer)

    def cancel(self, transaction: TransactionId, headers: HeaderList, completion: Completion) -> None:
        """Cancels an INVITE."""
        connection = self._connection
        if connection is None or not connection.ready:
            completion.failed(self._lost())
        else:
            connection.cancel(transaction, headers, completion)

    def proxy(
        self,
        transaction: TransactionId,
        targets: Sequence[str],
        options: ProxyOptions,
        headers: HeaderList,
        completion: ProxyCompletion,
    ) -> None:
        """Proxies a request. A drachtio-server knows stateful proxies only, tries targets in groups by q one after the other,
        and adds Path to every REGISTER."""
        connection = self._connection
        if connection is None or not connection.ready:
            completion.failed(self._lost())
        else:
            connection.proxy(transaction, targets, options, headers, completion)

    def cancel_proxy(self, transaction: TransactionId, status: int, reason: str | None) -> None:
        """Gives up a request that is being proxied: a word of dracht's own server; drachtio's has none, and goes on."""
        connection = self._connection
        if connection is not None and connection.ready:
            connection.cancel_proxy(transaction, status, reason)

    def drop(self, transaction: TransactionId) -> None:
        """Forgets a request: a word of dracht's own server; a drachtio-server waits for an answer as long as it does, and
        gives one."""
        connection = self._connection
        if connection is not None and connection.ready:
            connection.drop(transaction)

    def ban(self, network: str, seconds: float | None) -> None:
        """Bans a network, or lifts that: a word of dracht's own server."""
        connection = self._connection
        if connection is not None and connection.ready:
            connection.ban(network, seconds)

    def flow(self, request: Message, origin: Origin) -> Flow:
        """The way back to the sender of a request: a dracht server says it with the request, a drachtio-server does not."""
        return origin.flow if isinstance(origin, WirePath) else Flow(None, False)

    def export_dialog(self, dialog: DialogReference, release: bool) -> asyncio.Future[str]:
        """Asks for a dialog as a value; a server that is not dracht's knows no such thing."""
        connection = self._connection
        return failed(self._lost()) if connection is None else connection.export_dialog(dialog, release)

    def import_dialog(self, value: str, age: float) -> asyncio.Future[DialogId]:
        """Takes a dialog over; a server that is not dracht's knows no such thing."""
        connection = self._connection
        return failed(self._lost()) if connection is None else connection.import_dialog(value, age)

    def _lost(self) -> ConnectionLost:
        error = self._connection.error if self._connection is not None else None
        return ConnectionLost(str(error) if error is not None else f"there is no connection to {self.name}")
