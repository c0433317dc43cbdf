"""`IncomingResponse`: one response to a request of ours, and its ACK or PRACK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dracht.dialogid import DialogHandle
from dracht.errors import DrachtError
from dracht.link.base import DialogId, Origin
from dracht.message import Body, HeadersInput, MessageView, body_bytes, header_list
from dracht.sending import SentRequest

if TYPE_CHECKING:
    from dracht._core import Message
    from dracht.transaction import ClientTransaction

__all__ = ["IncomingResponse"]


class IncomingResponse(MessageView):
    """A response to a request of ours.

    `msg` is the SIP message; `status`, `reason`, `headers`, `body`, `to`, `contacts` and so on are its parts.
    """

    __slots__ = ("_dialog", "msg", "origin", "server_authenticated", "transaction")

    msg: Message

    def __init__(
        self, transaction: ClientTransaction, dialog: DialogId | None, msg: Message, origin: Origin | None
    ) -> None:
        self.transaction = transaction
        self._dialog = dialog
        self.msg = msg
        self.origin = origin
        """Where it came from; None when the engine made it (408, 503: RFC 3261 §8.1.3.1)."""
        self.server_authenticated: bool | None = None
        """Whether the server has shown that it knows the password as well (`rspauth`, RFC 7616 §3.5); None: it did not try."""

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
        credentials = self.transaction._retries.fields
        if credentials:
            # RFC 3261 §13.2.2.4, §22.1: the ACK has the credentials of the INVITE, for nobody can challenge it.
            given = {name.lower() for name, _ in fields}
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
        transaction = type(self.transaction)(
            self.transaction._dispatcher,
            "PRACK",
            "",
            [("RAck", rack), *header_list(headers)],
            body_bytes(body),
            dialog=self._dialog,
            auth=self.transaction._retries.ring,
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
