"""`Response`: how a request is answered. `SentResponse`: one answer, from `send` to its ACK or PRACK.

That a request is answered once is kept here, so that a mistake shows where it is made; the engine would refuse it as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from dracht.errors import CommandFailed, ConnectionLost, RequestTimeout, check_reason
from dracht.link.base import DialogId, Origin, TransactionId
from dracht.message import Body, DraftHeaders, HeadersInput, MessageView, body_bytes, header_list
from dracht.request import Request
from dracht.sending import Sending

if TYPE_CHECKING:
    from dracht._core import Message
    from dracht.dispatch import Dispatcher

__all__ = ["Response", "SentResponse"]

log = logging.getLogger("dracht")

# Called just before a response goes out: with its status and the header fields that will be added to it.
BeforeSend: TypeAlias = Callable[[int, DraftHeaders], None]
# A final response to an INVITE is acknowledged within 64*T1, or the engine gives up (RFC 3261 §13.3.1.4); with a margin.
_ACK_LIMIT = 40.0


class Response:
    """How a request is answered. What was sent is kept with the request: every `Response` of one knows the same."""

    __slots__ = ("req",)

    def __init__(self, req: Request) -> None:
        self.req = req

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Response) and other.req is self.req

    def __hash__(self) -> int:
        return hash(self.req)

    @property
    def status(self) -> int:
        """The status sent last; 0 before any."""
        return self.req._status

    @property
    def final(self) -> bool:
        """Whether a final response was sent."""
        return self.req._final

    @property
    def headers(self) -> DraftHeaders:
        """Header fields that every response from now on carries besides its own; for middleware."""
        headers = self.req._answer_headers
        if headers is None:
            headers = self.req._answer_headers = DraftHeaders()
        return headers

    def before_send(self, hook: BeforeSend) -> BeforeSend:
        """Calls `hook(status, headers)` before each response goes out; it may change the header fields. Also a decorator."""
        if self.req._before_send is None:
            self.req._before_send = []
        self.req._before_send.append(hook)
        return hook

    def send(
        self,
        status: int,
        reason: str | None = None,
        *,
        headers: HeadersInput | None = None,
        body: Body | None = None,
        reliable: bool = False,
        session_timer: bool = True,
    ) -> SentResponse:
        """Answers the request, provisionally or finally.

        The response is on its way when this returns; `await` it to have it as put on the wire, or the error. Via, To tag,
        Contact, Record-Route and Content-Length are the engine's to write; the Content-Type of an SDP body too.

        Args:
            status: 101 to 699.
            reason: the reason phrase; the standard one when None.
            headers: header fields to add; a Contact or a To with a tag given here is used.
            body: the body; text is sent as UTF-8.
            reliable: send a provisional response reliably (RFC 3262); `await sent.acked()` waits for its PRACK.
            session_timer: False in a 2xx to an INVITE or UPDATE has the call go on without a session timer, whatever the peer
                asked for (RFC 4028). A drachtio-server does not know this.

        Raises:
            ValueError: the status is out of range, or the reason has a line break.
            TypeError: an argument is of another kind: the status a text, the body a dictionary. The request is still to be
                answered.
            HeaderError: a header field cannot be sent.
            CommandFailed: a final response was sent already; awaited: the engine could not send it (`no-100rel`,
                `no-contact`, ...).
            ConnectionLost: awaited: the connection to the server is gone.
        """
        if not isinstance(status, int):
            raise TypeError(f"a response has a status that is a number, as 200, not {status!r}")
        if not 101 <= status <= 699:
            raise ValueError(f"a response has a status from 101 to 699, not {status}")
        req = self.req
        if req._final or req.proxied:
            self._refuse()
        if reason is not None:
            check_reason(reason)
        fields = header_list(headers)
        content = body_bytes(body)  # before anything is noted of an answer that is none yet
        if req._answer_headers or req._before_send or reliable:
            fields = self._complete(status, fields, reliable)
        dispatcher = req._dispatcher
        sent = SentResponse(dispatcher, self, status)
        if req.generated or req._cancel is not None:
            sent.moot()
            return sent
        req._status = status
        if status >= 200:
            req._final = True
            dispatcher.final_given(req, status)
        link = dispatcher.link
        link.respond(req._transaction, req.msg, status, reason or "", fields, content, sent, session_timer)
        return sent

    def _refuse(self) -> None:
        if self.req.proxied:
            raise CommandFailed(
                "already-proxied", f"{self.req!r} was proxied or dropped; it cannot be answered as well"
            )
        raise CommandFailed("already-answered", f"{self.req!r} got its final response, {self.status}")

    def _complete(self, status: int, fields: list[tuple[str, str]], reliable: bool) -> list[tuple[str, str]]:
        headers = self.req._answer_headers
        draft = DraftHeaders(headers.items() if headers else None)
        for name, _ in fields:
            if name in draft:
                del draft[name]
        for name, value in fields:
            draft.add(name, value)
        if reliable:
            if status >= 200:
                raise ValueError(f"reliable= is for provisional responses (RFC 3262 §3), not for {status}")
            if not any("100rel" in value for value in draft.getall("Require")):
                draft.add("Require", "100rel")
        for hook in self.req._before_send or ():
            hook(status, draft)
        return draft.items()

    def __repr__(self) -> str:
        return f"<Response to {self.req.msg.method}: {self.status or 'none yet'}>"


Request._answering = Response


class SentResponse(Sending, MessageView):
    """A response that was given to `send`: once awaited, `msg` is the response as put on the wire."""

    __slots__ = ("_ack", "_dialog", "_ended", "res", "status")

    def __init__(self, dispatcher: Dispatcher, res: Response, status: int) -> None:
        super().__init__(dispatcher)
        self.res = res
        self.status = status
        self._dialog: DialogId | None = None
        self._ack: tuple[TransactionId, DialogId | None, Message, Origin] | None = None
        self._ended = False

    def sent(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message | bytes, path: Origin
    ) -> None:
        """The link's word that it is on the wire."""
        req = self.res.req
        if dialog is not None:
            req._dialog = self._dialog = dialog
        self._message = message
        self.path = path
        status = self.status
        if status < 200:
            if req.msg.method == "INVITE" and dialog is not None:
                self._dispatcher.provisional_sent(self, dialog)
        elif status < 300 and req.msg.method == "INVITE":
            self._dispatcher.answer_sent(self, dialog)
        if self._waiters is not None:
            self._wake()

    def failed(self, error: Exception) -> None:
        """The link's word that it is not."""
        self._ended = True
        if getattr(error, "code", "") == "no-contact":
            # The engine answered in its place, be it a provisional one.
            self._dispatcher.final_failed(self.res.req)
            self.res.req._final = self.res.req._refused = True
            # The peer's fault, and no line for each that nobody awaits.
            self._seen = True
        elif self.status >= 200:
            self._dispatcher.final_failed(self.res.req)
            if self.res.status == self.status and not isinstance(error, ConnectionLost):
                # The engine did not take it, so that another can be sent (an invalid header field, say).
                self.res.req._final = getattr(error, "code", "") in (
                    "unknown-transaction",
                    "already-answered",
                )
        if self.res.req.cancelled or self._message is not None:
            # It was overtaken by the engine's own answer: to a CANCEL, or because the application took too long.
            self._seen = True
        super().failed(error)

    def moot(self) -> None:
        """Completes it without sending: the caller cancelled, or the engine made the request itself."""
        self._ended = True
        self._message = self.res.req.msg

    def acknowledged(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message, origin: Origin
    ) -> None:
        """The ACK or PRACK came."""
        self._ack = (transaction, dialog, message, origin)
        if self._waiters is not None:
            self._wake()

    def unacknowledged(self) -> None:
        """It will not come: the engine gave up, or the link is gone."""
        self._ended = True
        if self._waiters is not None:
            self._wake()

    async def acked(self, *, timeout: float = _ACK_LIMIT) -> Request:
        """Waits for the ACK of a 2xx to an INVITE, or the PRACK of a reliable provisional response; returns it.

        Args:
            timeout: seconds.

        Raises:
            RequestTimeout: it did not come; a call whose ACK is lost was ended by the engine.
            ConnectionLost, CommandFailed: the response did not go out.
        """
        if self._ack is None:
            try:
                async with asyncio.timeout(timeout):
                    await self
                    while self._ack is None and not self._ended:
                        await self._wait()
            except TimeoutError:
                pass
        if self._ack is None:
            if (
                self._error is not None
            ):  # after it was said to be on the wire: the engine had answered meanwhile
                self._seen = True
                raise self._error
            if not self._dispatcher.link.ready:
                raise ConnectionLost(f"the connection to {self._dispatcher.link.name} is gone")
            raise RequestTimeout(f"the {self.status} was not acknowledged")
        return Request(self._dispatcher, *self._ack)

    def _what(self) -> str:
        return f"the {self.status} to {self.res.req!r}"
