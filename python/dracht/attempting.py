"""`Attempts`: a request of ours on its way to the link, and to it again where a rule says so (`retrying` has the rules).

It knows when the next attempt is made, and which response is the final one if it is not; what comes in, and what the application
does, is `transaction`'s.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dracht.incoming import IncomingResponse
from dracht.link.base import DialogReference, TransactionId
from dracht.retrying import Again, Asked, Attempt, Retries, again_headers, pinned_hop
from dracht.sending import Sending

if TYPE_CHECKING:
    from dracht.dispatch import Dispatcher

__all__ = ["Attempts"]


class Attempts(Sending):
    """The attempts at one request.

    Arguments: those of the link's `request`, `retries`, and `timeout`, the seconds after which nobody waits any more.
    """

    __slots__ = (
        "_abandoned",
        "_body",
        "_cancelled",
        "_cause",
        "_deadline",
        "_dialog",
        "_headers",
        "_led",
        "_next_hop",
        "_pause",
        "_retries",
        "_session_timer",
        "_transaction",
        "_uri",
        "attempts",
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
        dialog: DialogReference | None,
        next_hop: str | None,
        retries: Retries,
        timeout: float | None,
        session_timer: bool,
    ) -> None:
        super().__init__(dispatcher)
        self.method = method
        self._uri = uri
        self._headers = headers
        self._body = body
        self._dialog = dialog
        self._next_hop = next_hop
        self._session_timer = session_timer
        self._deadline = None if timeout is None else dispatcher.loop.time() + timeout
        self._transaction: TransactionId | None = None
        self._cancelled: list[tuple[str, str]] | None = None
        self._abandoned = False
        self._retries = retries
        self._cause = ("first", 0)
        # What led to the attempt under way: the transaction before, and its response.
        self._led: tuple[TransactionId, IncomingResponse] | None = None
        # Between two attempts: the response that led to the next, and the timer that begins it.
        self._pause: tuple[IncomingResponse, asyncio.TimerHandle] | None = None
        self.responses: list[IncomingResponse] = []
        """Every response so far, those excepted after which it was sent again."""
        self.final_response: IncomingResponse | None = None
        self.attempts: list[Attempt] = []
        """Every time it was put on the wire: why, the request as sent, and the status that led to it."""

    def _append(self, response: IncomingResponse) -> None:
        self.responses.append(response)
        if self._waiters is not None:
            self._wake()

    def _send(self) -> None:
        headers = [*self._headers, *self._retries.fields]
        self._dispatcher.link.request(
            self.method,
            self._uri,
            headers,
            self._body,
            self._dialog,
            self._next_hop,
            self,
            self._session_timer,
        )

    def _asked(self) -> Asked:
        return Asked(self.msg, self._dialog, self._dispatcher.owns)

    def _goes_again(self, transaction: TransactionId, response: IncomingResponse) -> bool:
        """Sends the request again where a rule says so, at once or after a pause; says whether it does."""
        dispatcher = self._dispatcher
        if (
            response.status < 400
            or self._cancelled is not None
            or self._abandoned
            or not dispatcher.link.ready
        ):
            return False
        try:
            again = self._retries.after(self._asked(), response.msg, self._body)
        except Exception as error:
            # The application's choice of credentials failed, or what it chose cannot be written: whoever waits is told.
            self.failed(error)
            return True
        if again is None or self._is_too_late(again.delay):
            return False
        if again.delay:
            self._wait_before(again, transaction, response)
        else:
            self._send_again(transaction, response, again)
        return True

    def _is_too_late(self, delay: float) -> bool:
        """Whether it would not be sent before the application has given up."""
        return self._deadline is not None and self._dispatcher.loop.time() + delay >= self._deadline

    def _wait_before(self, again: Again, transaction: TransactionId, response: IncomingResponse) -> None:
        # It stays in the table, so that it is told when the link is lost, and a drain waits for it.
        timer = self._dispatcher.loop.call_later(again.delay, self._send_again, transaction, response, again)
        self._pause = (response, timer)

    def _send_again(self, transaction: TransactionId, response: IncomingResponse, again: Again) -> None:
        self._pause = None
        self._dispatcher.clients.pop(transaction, None)
        self._led = (transaction, response)
        asked = self.msg
        if again.cause == "challenge" and self._dialog is None and self._next_hop is None:
            self._next_hop = pinned_hop(asked, response.origin)
        self._headers = again_headers(asked, self._headers, again, self._dialog is not None)
        self._cause = (again.cause, response.status)
        self._transaction = None
        self._send()

    def _end_pause(self) -> bool:
        """Does not send it again after all: what led to it is the final response. Says whether it waited for that."""
        if self._pause is None or self._transaction is None:
            return False
        response, timer = self._pause
        self._pause = None
        timer.cancel()
        self._dispatcher.clients.pop(self._transaction, None)
        self.final_response = response
        self._append(response)
        return True
