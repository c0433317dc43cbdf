"""`ClientTransaction`: a request of ours, from sending to its final response. `IncomingResponse`: one response to it.

A challenge is answered here when credentials were given, so that what the application sees as one request may be several
transactions on the wire. Retransmissions and the ACK of a failed INVITE are the engine's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dracht.dialogid import DialogHandle
from dracht.digest import Credentials, Digest, pinned_hop
from dracht.errors import CommandFailed, DrachtError, HeaderError, RequestTimeout
from dracht.link.base import DialogId, DialogReference, Origin, TransactionId
from dracht.message import Body, HeadersInput, MessageView, body_bytes, header_list
from dracht.sending import Sending, SentRequest

if TYPE_CHECKING:
    from dracht._core import Message
    from dracht.dispatch import Dispatcher

__all__ = ["ClientTransaction", "IncomingResponse"]

log = logging.getLogger("dracht")


class IncomingResponse(MessageView):
    """A response to a request of ours.

    `msg` is the SIP message; `status`, `reason`, `headers`, `body`, `to`, `contacts` and so on are its parts.
    """

    __slots__ = ("_dialog", "msg", "origin", "transaction")

    msg: Message

    def __init__(
        self, transaction: ClientTransaction, dialog: DialogId | None, msg: Message, origin: Origin | None
    ) -> None:
        self.transaction = transaction
        self._dialog = dialog
        self.msg = msg
        self.origin = origin
        """Where it came from; None when the engine made it (408, 503: RFC 3261 §8.1.3.1)."""

    @property
    def status(self) -> int:
        """The status code."""
        return self.msg.status

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return self.msg.reason

    @property
    def final(self) -> bool:
        """Whether it is final."""
        return self.msg.status >= 200

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.msg.status < 300

    @property
    def dialog_id(self) -> DialogHandle | None:
        """The dialog it created or belongs to, for `agent.request(dialog=...)`."""
        if self._dialog is None:
            return None
        return DialogHandle(self.transaction._dispatcher, self._dialog)

    async def ack(self, *, headers: HeadersInput | None = None, body: Body | None = None) -> SentRequest:
        """Acknowledges a 2xx to an INVITE (RFC 3261 §13.2.2.4); returns the ACK as sent.

        Other final responses are acknowledged by the engine; for them, and for responses to other methods, this raises.

        Args:
            headers: header fields to add.
            body: the SDP answer, where the offer came with the 2xx.

        Raises:
            DrachtError: there is nothing to acknowledge.
            CommandFailed, ConnectionLost: it could not be sent.
        """
        if not self.ok or self.method != "INVITE":
            raise DrachtError(f"a {self.status} to {self.method} has no ACK of the application")
        fields = header_list(headers)
        if self.transaction._credentials:
            # RFC 3261 §13.2.2.4: the ACK has the credentials of the INVITE, for nobody can challenge it.
            given = {name.lower() for name, _ in fields}
            credentials = [(name, value) for (name, _), value in self.transaction._credentials.items()]
            fields = [*fields, *(one for one in credentials if one[0].lower() not in given)]
        return await self._within("ACK", fields, body_bytes(body))

    async def prack(
        self, *, headers: HeadersInput | None = None, body: Body | None = None, timeout: float | None = None
    ) -> ClientTransaction:
        """Acknowledges a reliable provisional response (RFC 3262 §4); returns the transaction of the PRACK.

        Args:
            headers: header fields to add; RAck is added here.
            body: the body, an SDP answer perhaps.
            timeout: seconds until a final response.

        Raises:
            DrachtError: it is not a reliable provisional response.
            CommandFailed, ConnectionLost: it could not be sent.
        """
        number = self.msg.header("RSeq")
        if number is None or self.final or self._dialog is None:
            raise DrachtError(f"this {self.status} was not sent reliably: it has no RSeq (RFC 3262 §3)")
        cseq = self.msg.cseq
        rack = f"{number.strip()} {cseq.number} {cseq.method}"
        transaction = ClientTransaction(
            self.transaction._dispatcher,
            "PRACK",
            "",
            [("RAck", rack), *header_list(headers)],
            body_bytes(body),
            dialog=self._dialog,
            auth=self.transaction._auth,
            timeout=timeout,
        )
        return await transaction.start()

    async def _within(self, method: str, headers: list[tuple[str, str]], body: bytes) -> SentRequest:
        dispatcher = self.transaction._dispatcher
        if self._dialog is None:
            raise DrachtError(f"this {self.status} belongs to no dialog; it has no Contact or no tag perhaps")
        dispatcher.check()
        sent = SentRequest(dispatcher, method)
        dispatcher.link.request(method, "", headers, body, self._dialog, None, sent)
        return await sent

    def __repr__(self) -> str:
        return f"<IncomingResponse {self.status} {self.reason} to {self.method}>"


class ClientTransaction(Sending):
    """A request of ours.

    Iterating gives every response from the first one on, however late the iteration begins, and ends with the final one.
    As a context manager it sends CANCEL when the block is left before a final response to an INVITE.
    """

    __slots__ = (
        "_abandoned",
        "_auth",
        "_body",
        "_cancelled",
        "_credentials",
        "_deadline",
        "_dialog",
        "_headers",
        "_next_hop",
        "_retried",
        "_transaction",
        "_uri",
        "final_response",
        "method",
        "responses",
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
    ) -> None:
        super().__init__(dispatcher)
        self.method = method
        self._uri = uri
        self._headers = headers
        self._body = body
        self._dialog = dialog
        self._next_hop = next_hop
        self._auth = Digest.of(auth)
        self._deadline = None if timeout is None else dispatcher.loop.time() + timeout
        self._transaction: TransactionId | None = None
        self._cancelled: list[tuple[str, str]] | None = None
        self._abandoned = False
        self._retried: dict[tuple[str, str], int] = {}
        self._credentials: dict[tuple[str, str], str] = {}
        self.responses: list[IncomingResponse] = []
        """Every response so far, challenges that were answered excepted."""
        self.final_response: IncomingResponse | None = None

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
            CommandFailed: the request could not be sent again with credentials.
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

    async def cancel(self, *, headers: HeadersInput | None = None) -> SentRequest | None:
        """Cancels an INVITE (RFC 3261 §9.1): the final response, 487 as a rule, comes as any other.

        Args:
            headers: header fields to add: Reason (RFC 3326).

        Returns:
            The CANCEL as sent; None when the final response came before it could be sent, or when the INVITE is just being
            sent again with credentials and will be cancelled as soon as it is out.

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
        if self._transaction is None:
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
        # An error of a request that nobody waits for any more concerns nobody.
        self._seen = self._seen or self._abandoned
        super().failed(error)

    def lost(self, error: Exception) -> None:
        """The link is gone."""
        self._seen = True
        super().failed(error)

    def response_received(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message, origin: Origin | None
    ) -> None:
        """A response."""
        status = message.status
        response = IncomingResponse(self, dialog, message, origin)
        if status >= 200:
            del self._dispatcher.clients[transaction]
            if self.method == "BYE" and dialog is not None and status not in (401, 407):
                self._dispatcher.established.discard(dialog)
                self._ended(dialog)
            if status in (401, 407) and self._auth is not None and self._answer_challenge(response):
                return
            self.final_response = response
            if status < 300 and self.method == "INVITE":
                self._dispatcher.confirm(transaction, dialog)
                if self._abandoned and dialog is not None:
                    self._dispatcher.end_stray(dialog)
                elif dialog is not None and self._dispatcher.agent.calls is not None:
                    self._dispatcher.agent.calls.confirmed(
                        self._dispatcher, dialog, self._message, message.to.tag
                    )
        self.responses.append(response)
        if self._waiters is not None:
            self._wake()

    # ---- inside

    def _ended(self, dialog: DialogId | None) -> None:
        if self._dispatcher.agent.calls is not None:
            self._dispatcher.agent.calls.ended(self._dispatcher, dialog)

    def _has(self, at: int) -> _Reached:
        return lambda: len(self.responses) > at

    def _send(self) -> None:
        self._dispatcher.link.request(
            self.method, self._uri, self._headers, self._body, self._dialog, self._next_hop, self
        )

    def _cancel(self, transaction: TransactionId, fields: list[tuple[str, str]]) -> SentRequest:
        sent = SentRequest(self._dispatcher, "CANCEL")
        self._dispatcher.link.cancel(transaction, fields, sent)
        return sent

    def _answer_challenge(self, response: IncomingResponse) -> bool:
        """Sends the request again with credentials, once for each challenger; says whether it did."""
        digest = self._auth
        if (
            digest is None
            or self._cancelled is not None
            or self._abandoned
            or not self._dispatcher.link.ready
        ):
            return False
        asked = self.msg
        try:
            answers = digest.answer(asked, response.msg, self._body, self._retried)
        except HeaderError as error:
            log.warning("the challenge of %r cannot be answered: %s", response, error)
            return False
        if not answers:
            return False
        self._credentials |= answers
        replaced = {"authorization", "proxy-authorization"}
        fresh: list[tuple[str, str]] = []
        if self._dialog is None:
            # RFC 3261 §22.2: the same Call-ID, From and To, the next CSeq.
            cseq = asked.cseq
            replaced |= {"from", "f", "call-id", "i", "cseq"}
            fresh = [
                ("From", asked.header("From") or ""),
                ("Call-ID", asked.call_id),
                ("CSeq", f"{cseq.number + 1} {cseq.method}"),
            ]
            if self._next_hop is None:
                self._next_hop = pinned_hop(asked, response.origin)
        kept = [item for item in self._headers if item[0].lower() not in replaced]
        given = [(header, value) for (header, _), value in self._credentials.items()]
        self._headers = [*fresh, *kept, *given]
        self._transaction = None
        self._send()
        return True

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


if TYPE_CHECKING:
    from collections.abc import Callable

    _Reached = Callable[[], bool]
