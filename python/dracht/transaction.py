"""`ClientTransaction`: a request of ours, from sending to its final response.

What the application sees as one request may be several transactions on the wire: `attempting` sends it, and sends it again.
Retransmissions and the ACK of a failed INVITE are the engine's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dracht.attempting import Attempts
from dracht.dialogid import DialogHandle
from dracht.errors import CommandFailed, DrachtError, RequestTimeout
from dracht.incoming import IncomingResponse
from dracht.link.base import DialogId, DialogReference, Origin, TransactionId
from dracht.message import HeadersInput, header_list
from dracht.retrying import Attempt, Retries, places_after, places_before
from dracht.sending import SentRequest

if TYPE_CHECKING:
    from dracht._core import Message
    from dracht.digest import Credentials
    from dracht.dispatch import Dispatcher

__all__ = ["ClientTransaction", "IncomingResponse"]

# 64*T1: how long another fork may answer after the first; seconds (RFC 3261 §13.2.2.4).
_FORK_LIMIT = 32.0


def _is_gone(method: str, status: int) -> bool:
    """Whether this response to a request within a call says that the peer knows it no more (RFC 3261 §12.2.1.2, RFC 5057 §5)."""
    if method in ("INVITE", "UPDATE", "INFO"):
        return status in (408, 481)
    return method == "OPTIONS" and status == 481


class ClientTransaction(Attempts):
    """A request of ours.

    Iterating gives every response from the first one on, however late the iteration begins, and ends with the final one.
    As a context manager it sends CANCEL when the block is left before a final response to an INVITE.
    """

    __slots__ = (
        "__weakref__",
        "_keep_forks",
        "_taken",
        "forks",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        method: str,
        uri: str,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        dialog: DialogReference | None = None,
        next_hop: str | None = None,
        auth: Credentials | None = None,
        timeout: float | None = None,
        retry_glare: bool = True,
        retry_interval: bool = True,
        keep_forks: bool = False,
        session_timer: bool = True,
    ) -> None:
        super().__init__(
            dispatcher,
            method,
            uri,
            headers,
            body,
            dialog=dialog,
            next_hop=next_hop,
            retries=Retries(auth, glare=retry_glare, interval=retry_interval),
            timeout=timeout,
            session_timer=session_timer,
        )
        self._keep_forks = keep_forks
        self._taken = 0
        self.forks: list[IncomingResponse] = []
        """The 2xx of further forks of an INVITE: calls of their own, which the agent ends unless it is to keep them."""

    # ---- what the application does

    @property
    def request(self) -> SentRequest:
        """The request as put on the wire; the one with credentials when it was challenged."""
        sent = SentRequest(self._dispatcher, self.method)
        sent._message = self.msg
        sent.path = self.path
        return sent

    @property
    def dialog_id(self) -> DialogHandle | None:
        """The dialog of the latest response that belongs to one."""
        for response in reversed(self.responses):
            if response._dialog is not None:
                return response.dialog_id
        return None

    async def start(self) -> Self:
        """Sends it; returns once it is on the wire. `Agent.request` does this."""
        self._dispatcher.check()
        if self._retries.ring is not None and not _authorized(self._headers):
            places = places_before(self._dispatcher, self._uri, self._headers, self._dialog)
            self._retries.begin(self.method, self._uri, self._body, places)
        self._send()
        try:
            await self._until(lambda: self._message is not None)
        except asyncio.CancelledError:
            self.abandon()
            raise
        return self

    async def final(self, *, timeout: float | None = None) -> IncomingResponse:
        """Waits for the final response.

        Args:
            timeout: seconds from now; the timeout of the request when None.

        Raises:
            RequestTimeout: it did not come in time. An INVITE was cancelled.
            ConnectionLost: the connection to the server is gone.
            CommandFailed: the request could not be sent again (a re-INVITE after a 491: the call has ended meanwhile).
        """
        deadline = self._deadline if timeout is None else self._dispatcher.loop.time() + timeout
        try:
            await self._until(lambda: self.final_response is not None, deadline)
        except asyncio.CancelledError:
            self.abandon()
            raise
        if self.final_response is None:
            raise DrachtError("the request has no final response")
        return self.final_response

    async def __aiter__(self) -> AsyncIterator[IncomingResponse]:
        at = 0
        while True:
            if at == len(self.responses):
                if self.final_response is not None:
                    return
                try:
                    await self._until(self._has(at), self._deadline)
                except asyncio.CancelledError:
                    self.abandon()
                    raise
            yield self.responses[at]
            at += 1

    async def next_fork(self, *, timeout: float = _FORK_LIMIT) -> IncomingResponse:
        """Waits for the 2xx of a further fork (RFC 3261 §13.2.2.4), each once; needs `keep_forks=True`.

        Args:
            timeout: seconds from now. An engine takes none that come later than 32 s after the first.

        Raises:
            DrachtError: the forks of this request are not kept.
            RequestTimeout: there was none in time.
        """
        if not self._keep_forks:
            raise DrachtError("the forks of this request are not kept: send it with keep_forks=True")
        at = self._taken
        await self._until(lambda: len(self.forks) > at, self._dispatcher.loop.time() + timeout)
        self._taken += 1
        return self.forks[at]

    async def cancel(self, *, headers: HeadersInput | None = None) -> SentRequest | None:
        """Cancels an INVITE (RFC 3261 §9.1): the final response, 487 as a rule, comes as any other.

        Args:
            headers: header fields to add: Reason (RFC 3326).

        Returns:
            The CANCEL as sent; None when the final response came before it could be sent, when the INVITE is just being sent
            again and will be cancelled as soon as it is out, or when it waited to be sent again (after a 491, which is then
            its final response).

        Raises:
            DrachtError: it is not an INVITE.
            CommandFailed, ConnectionLost: it could not be sent.
        """
        if self.method != "INVITE":
            raise DrachtError(f"only an INVITE can be cancelled, not {self.method} (RFC 3261 §9.1)")
        if self.final_response is not None or self._error is not None:
            return None
        fields = header_list(headers)
        self._cancelled = fields
        if self._transaction is None or self._end_pause():
            return None
        self._dispatcher.check()
        try:
            return await self._cancel(self._transaction, fields)
        except CommandFailed:
            # A CANCEL waits for a provisional response (RFC 3261 §9.1); the final one came without.
            if self.final_response is not None:
                return None
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Gives up: an INVITE is cancelled, and should it be answered all the same, the call is ended."""
        if self.final_response is not None or self._abandoned or self._error is not None:
            return
        self._abandoned = True
        if self._end_pause():
            return
        if self.method != "INVITE":
            # There is nothing to cancel (RFC 3261 §9.1); the engine ends the transaction by itself.
            if self._transaction is not None:
                self._dispatcher.clients.pop(self._transaction, None)
            return
        if self._cancelled is None and self._transaction is not None:
            self._cancelled = []
            if self._dispatcher.link.ready:
                self._cancel(self._transaction, [])._seen = True

    # ---- what the link tells

    def sent(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message | bytes, path: Origin
    ) -> None:
        """The link's word that it is on the wire."""
        self._transaction = transaction
        self.attempts.append(Attempt(*self._cause, message))
        if not (self._abandoned and self.method != "INVITE"):
            self._dispatcher.clients[transaction] = self
        if self._abandoned and self._cancelled is None:
            self._cancelled = []
        if self._cancelled is not None:
            self._cancel(transaction, self._cancelled)._seen = True
        if self.method == "BYE":
            # A server does not repeat which dialog a request of ours is in.
            self._ended(dialog if dialog is not None or isinstance(self._dialog, tuple) else self._dialog)
        super().sent(transaction, dialog, message, path)

    def failed(self, error: Exception) -> None:
        """The link's word that it is not."""
        if self._transaction is not None:
            self._dispatcher.clients.pop(self._transaction, None)
        elif self._led is not None and self._cause[0] == "glare" and _is_pending(error):
            self._wait_again(*self._led)
            return
        # An error of a request that nobody waits for any more concerns nobody.
        self._seen = self._seen or self._abandoned
        super().failed(error)

    def lost(self, error: Exception) -> None:
        """The link is gone."""
        self._seen = True
        if self._pause is not None:
            self._pause[1].cancel()
            self._pause = None
        super().failed(error)

    def response_received(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message, origin: Origin | None
    ) -> None:
        """A response."""
        response = IncomingResponse(self, dialog, message, origin)
        status = message.status
        if status >= 200:
            if self.method == "BYE" and dialog is not None and status not in (401, 407):
                self._dispatcher.dialog_over(dialog)
                self._ended(dialog)
            elif dialog is not None and self._dialog is not None and _is_gone(self.method, status):
                # A server says no more of it than this response.
                self._dispatcher.dialog_over(dialog)
                self._ended(dialog)
            if self._goes_again(transaction, response):
                return
            del self._dispatcher.clients[transaction]
        if self._retries.fields and origin is not None:
            places = places_after(self._dispatcher, self.msg, self._dialog, dialog)
            response.server_authenticated = self._retries.accepted(self._asked(), message, places)
        if status >= 200:
            self.final_response = response
            if status < 300 and self.method == "INVITE":
                self._dispatcher.confirm(transaction, dialog, self)
                if self._abandoned and dialog is not None:
                    self._dispatcher.end_stray(dialog)
                elif dialog is not None:
                    if self._dialog is None:
                        self._dispatcher.initiated.add(dialog)
                    if self._dispatcher.agent.calls is not None:
                        self._dispatcher.agent.calls.confirmed(
                            self._dispatcher, dialog, self._message, message.to.tag
                        )
        self._append(response)

    def fork_answered(self, dialog: DialogId, message: Message, origin: Origin | None) -> None:
        """A 2xx of another fork than the first."""
        if any(fork._dialog == dialog for fork in self.forks):
            return
        self.forks.append(IncomingResponse(self, dialog, message, origin))
        if not self._keep_forks or self._abandoned:
            self._dispatcher.end_stray(dialog)
            return
        self._dispatcher.established.add(dialog)
        self._dispatcher.initiated.add(dialog)
        if self._waiters is not None:
            self._wake()

    # ---- inside

    def _ended(self, dialog: DialogId | None) -> None:
        if self._dispatcher.agent.calls is not None:
            self._dispatcher.agent.calls.ended(self._dispatcher, dialog)

    def _has(self, at: int) -> _Reached:
        return lambda: len(self.responses) > at

    def _cancel(self, transaction: TransactionId, fields: list[tuple[str, str]]) -> SentRequest:
        sent = SentRequest(self._dispatcher, "CANCEL")
        self._dispatcher.link.cancel(transaction, fields, sent)
        return sent

    def _wait_again(self, transaction: TransactionId, response: IncomingResponse) -> None:
        """The engine could not send it again yet, as another request of the dialog is under way (RFC 3261 §14.1): it waits once
        more, as often as after a 491 in all; then the 491 is the final response."""
        self._transaction = transaction
        again = None
        if self._cancelled is None and not self._abandoned and self._dispatcher.link.ready:
            again = self._retries.after(self._asked(), response.msg, self._body)
        if again is not None and not self._is_too_late(again.delay):
            self._dispatcher.clients[transaction] = self
            self._wait_before(again, transaction, response)
        else:
            self.final_response = response
            self._append(response)

    async def _until(self, reached: _Reached, deadline: float | None = None) -> None:
        """Waits until `reached()`; raises what failed, and RequestTimeout at the deadline (a time of the loop)."""
        if deadline is None:
            deadline = self._deadline
        timer: asyncio.TimerHandle | None = None
        try:
            while not reached():
                if self._error is not None:
                    self._seen = True
                    raise self._error
                if deadline is not None:
                    if self._dispatcher.loop.time() >= deadline:
                        self.abandon()
                        raise RequestTimeout(f"{self.method} {self._uri} got no final response in time")
                    if timer is None:
                        timer = self._dispatcher.loop.call_at(deadline, self._wake)
                await self._wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _what(self) -> str:
        return f"{self.method} {self._uri}"

    def __repr__(self) -> str:
        latest = self.responses[-1].status if self.responses else "no response yet"
        return f"<ClientTransaction {self.method} {self._uri}: {latest}>"


def _is_pending(error: Exception) -> bool:
    return isinstance(error, CommandFailed) and error.code == "request-pending"


def _authorized(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() in ("authorization", "proxy-authorization") for name, _ in headers)


if TYPE_CHECKING:
    from collections.abc import Callable

    _Reached = Callable[[], bool]
