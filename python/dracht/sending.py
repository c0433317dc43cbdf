"""`Sending`: a message on its way out, from the command to the engine's word that it is on the wire.

Awaiting it gives itself, complete; not awaiting it is allowed, and then a failure is only logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from typing import TYPE_CHECKING

from dracht.errors import DrachtError
from dracht.link.base import DialogId, Origin, TransactionId
from dracht.message import RequestView

if TYPE_CHECKING:
    from typing import Self

    from dracht._core import Message
    from dracht.dispatch import Dispatcher

__all__ = ["Sending", "SentRequest"]

log = logging.getLogger("dracht")


class Sending:
    """A message on its way out; the completion of one command."""

    __slots__ = ("_dispatcher", "_error", "_message", "_seen", "_waiters", "path")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._message: Message | bytes | None = None
        self._error: Exception | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._seen = False
        self.path: Origin | None = None
        """Which way it went, once it did."""

    @property
    def msg(self) -> Message:
        """The message exactly as put on the wire.

        Raises:
            DrachtError: it is not on the wire yet; await it first.
        """
        message = self._message
        if message is None:
            raise DrachtError("the message is not on the wire yet: await what send() returned")
        if isinstance(message, bytes):
            from dracht._core import Message

            message = self._message = Message.parse(message)
        return message

    @property
    def done(self) -> bool:
        """Whether it is known what became of it."""
        return self._message is not None or self._error is not None

    def sent(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message | bytes, path: Origin
    ) -> None:
        """The link's word that it is on the wire."""
        self._message = message
        self.path = path
        if self._waiters is not None:
            self._wake()

    def failed(self, error: Exception) -> None:
        """The link's word that it is not."""
        self._error = error
        if self._waiters is not None:
            self._wake()
        elif not self._seen:
            # Whoever awaits it in this turn of the loop is told; else nobody would be.
            self._dispatcher.loop.call_soon(self._complain)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _wait(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = self._dispatcher.loop.create_future()
        if self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)
        return waiter

    def __await__(self) -> Generator[object, None, Self]:
        while self._message is None and self._error is None:
            yield from self._wait()
        if self._error is not None:
            self._seen = True
            raise self._error
        return self

    def _complain(self) -> None:
        if not self._seen:
            log.warning("%s, which nobody awaited, failed: %s", self._what(), self._error)

    def __repr__(self) -> str:
        fate = (
            "on the wire"
            if self._message is not None
            else "under way"
            if self._error is None
            else self._error
        )
        return f"<{type(self).__name__} {self._what()}: {fate}>"

    def _what(self) -> str:
        return "a message"


class SentRequest(Sending, RequestView):
    """An ACK, PRACK or CANCEL that was sent: `msg` is the request as put on the wire, once awaited."""

    __slots__ = ("_name",)

    def __init__(self, dispatcher: Dispatcher, name: str) -> None:
        super().__init__(dispatcher)
        self._name = name

    def _what(self) -> str:
        return f"the {self._name}"
