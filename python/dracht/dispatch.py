"""`Dispatcher`: matches what one link delivers with what the application holds. One for each link of an agent.

Its tables, and when an entry leaves each of them:

    clients    client transactions      at the final response, at a timeout of the application, when the link is lost
    invites    INVITEs that came in     at a final response other than 2xx, when proxied or dropped, at the ACK
    answers    2xx awaiting their ACK   at the ACK, at a BYE of the peer, when the engine ends the dialog, or after 64 s
    reliable   1xx awaiting a PRACK     at the PRACK, at a final response other than 2xx, at the ACK
    confirmed  INVITEs that got a 2xx   after 64 s: a 2xx of another fork is recognised by it
    established  dialogs of answered INVITEs  at a BYE, when the engine ends the dialog
    initiated  those of our own INVITEs       the same
    watchers   who waits for NOTIFYs    at the last NOTIFY, at a refusal, when given up and 64 s later, when the link is lost

It keeps no state of dialogs: in-dialog requests are new requests to the handler.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from itertools import takewhile
from typing import TYPE_CHECKING

from dracht import _core
from dracht.errors import ConnectionLost, DrachtError
from dracht.link.base import CdrKind, DialogId, DialogReference, Link, Origin, TransactionId
from dracht.message import event_of
from dracht.request import Request
from dracht.response import SentResponse
from dracht.sending import SentRequest

if TYPE_CHECKING:
    from dracht._core import Message
    from dracht.agent import Agent
    from dracht.notification import Watcher
    from dracht.transaction import ClientTransaction

__all__ = ["Dispatcher"]

log = logging.getLogger("dracht")

# 64*T1 doubled: the longest that an engine retransmits a 2xx and waits for its ACK, with a margin; seconds.
_LINGER = 64.0
# How often what lingered so long is looked for; seconds. Not with each call: finding the first entry of a dict passes over all
# that were deleted before it.
_ROUND = 1.0
# How many dialogs are a crowd, with how many left it has gone, and how long after that memory is given back, seconds: when the
# last handlers have ended, and when the calls that ended last need not be known any longer.
_CROWD, _LEFT = 1024, 128
_GIVE_BACK = (2.0, 8.0, 35.0)


class Dispatcher:
    """The receiver of one link."""

    __slots__ = (
        "agent",
        "answers",
        "clients",
        "confirmed",
        "crowded",
        "established",
        "initiated",
        "invites",
        "link",
        "looked",
        "loop",
        "reliable",
        "watchers",
    )

    def __init__(self, agent: Agent, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self.agent = agent
        self.link = link
        self.loop = loop
        self.clients: dict[TransactionId, ClientTransaction] = {}
        self.invites: dict[TransactionId, Request] = {}
        self.answers: dict[DialogId, tuple[float, SentResponse]] = {}
        self.reliable: dict[tuple[DialogId, str], SentResponse] = {}
        self.confirmed: dict[
            TransactionId, tuple[float, DialogId | None, weakref.ref[ClientTransaction]]
        ] = {}
        self.established: set[DialogId] = set()
        self.watchers: dict[tuple[str, str], list[Watcher]] = {}
        self.initiated: set[DialogId] = set()
        self.looked = 0.0
        self.crowded = False

    # ---- what the link tells

    def link_ready(self, link: Link) -> None:
        """The link works (again)."""
        self.agent._link_ready(self)

    def link_lost(self, link: Link, error: Exception) -> None:
        """The link is gone: everything that waits for it is told."""
        clients, self.clients = self.clients, {}
        for client in clients.values():
            client.lost(error)
        answers, self.answers = self.answers, {}
        for _, sent in answers.values():
            sent.unacknowledged()
        reliable, self.reliable = self.reliable, {}
        for sent in reliable.values():
            sent.unacknowledged()
        self.invites.clear()
        self.confirmed.clear()
        self.established.clear()
        watchers, self.watchers = self.watchers, {}
        for watcher in [one for some in watchers.values() for one in some]:
            watcher.link_lost(error)
        self.initiated.clear()
        if self.agent.calls is not None:
            self.agent.calls.lost(self)
        self.agent._link_lost(self, error)

    def request_received(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message, origin: Origin
    ) -> None:
        """A request."""
        method = message.method
        if method == "ACK":
            self._ack_received(transaction, dialog, message, origin)
            if "ack" not in self.agent.routes:
                return
        elif method == "CANCEL":
            self._cancel_received(transaction, message)
            if "cancel" not in self.agent.routes:
                return
        elif method == "PRACK" and self._prack_received(transaction, dialog, message, origin):
            return
        request = Request(self, transaction, dialog, message, origin, method in ("ACK", "CANCEL"))
        if method == "NOTIFY" and self.watchers and self._notify_received(request):
            return
        if method == "INVITE":
            self.invites[transaction] = request
        elif method == "BYE" and dialog is not None:
            self.call_over(dialog)
        self.agent._handle(request)

    def response_received(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message, origin: Origin | None
    ) -> None:
        """A response to a request of ours."""
        client = self.clients.get(transaction)
        if client is not None:
            client.response_received(transaction, dialog, message, origin)
        elif 200 <= message.status < 300 and message.method == "INVITE" and dialog is not None:
            known = self.confirmed.get(transaction)
            first = known[2]() if known is not None else None
            if known is not None and known[1] == dialog:
                return
            if first is not None:
                first.fork_answered(dialog, message, origin)
            else:
                self.end_stray(dialog)

    def dialog_ended(self, dialog: DialogId, message: Message, origin: Origin) -> None:
        """The engine ended a dialog itself: the handler is told with the BYE."""
        self.call_over(dialog)
        request = Request(self, "", dialog, message, origin, True)
        self.agent._handle(request)

    def subscription_ended(self, dialog: DialogId, event: str, is_notifier: bool, reason: str) -> None:
        """The engine ended a subscription for want of a message."""
        watchers = [one for some in self.watchers.values() for one in some if one._dialog == dialog]
        for watcher in watchers if not is_notifier else ():
            if watcher.claims(*event_of(event)):
                watcher.engine_ended(reason)
        self.agent._subscription_ended(self, dialog, event, is_notifier, reason)

    def cdr(self, kind: CdrKind, source: str, time: str, detail: str, message: Message) -> None:
        """A call detail record."""
        self.agent._cdr(kind, source, time, detail, message)

    def owns(self, dialog: DialogReference) -> bool:
        """Whether a dialog began with an INVITE of ours, answered or under way (RFC 3261 §14.1: who owns the Call-ID)."""
        return dialog in self.initiated or any(
            client._dialog is None and any(response._dialog == dialog for response in client.responses)
            for client in self.clients.values()
        )

    def dialog_over(self, dialog: DialogId) -> None:
        """A BYE of ours was answered."""
        self.established.discard(dialog)
        self.initiated.discard(dialog)
        held = len(self.established)
        if held >= _CROWD:
            self.crowded = True
        elif self.crowded and held < _LEFT:
            self.crowded = False
            for after in _GIVE_BACK:
                self.loop.call_later(after, self._give_back)

    def _give_back(self) -> None:
        """Gives back what a crowd of calls took: empty tables keep their room, what little stays much memory."""
        for table in (self.established, self.initiated, self.answers, self.invites, self.confirmed):
            if not table:
                table.clear()
        self.link.forget_written()
        if self.agent.calls is not None:
            self.agent.calls.forget_ended()
        if not self.established:
            # The interpreter's lists of free objects keep pages until a full collection, which is to delay nobody's call.
            gc.collect()
        _core.give_back_memory()

    def call_over(self, dialog: DialogId) -> None:
        """The call of a dialog is over, or has moved to another engine."""
        self.dialog_over(dialog)
        held = self.answers.pop(dialog, None)
        if held is not None:  # an ACK that has not come by now is lost
            held[1].unacknowledged()
            self.invites.pop(held[1].res.req._transaction, None)
        if self.agent.calls is not None:
            self.agent.calls.ended(self, dialog)

    # ---- requests that belong to an INVITE

    def _ack_received(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message, origin: Origin
    ) -> None:
        # A drachtio-server names the INVITE's transaction in the first ACK of a dialog only, so the dialog decides.
        held = self.answers.pop(dialog, None) if dialog is not None else None
        self.invites.pop(transaction, None)
        if self.reliable:
            self._forget_reliable(dialog)
        if held is not None:
            self.invites.pop(held[1].res.req._transaction, None)
            held[1].acknowledged(transaction, dialog, message, origin)

    def _cancel_received(self, transaction: TransactionId, message: Message) -> None:
        request = self.invites.pop(transaction, None)
        if request is None or request.proxied:
            return
        # An engine tells of a CANCEL when it has answered the INVITE with 487: an answer given meanwhile does not go out.
        self._forget_answer(request)
        self._forget_reliable(request._dialog)
        request._cancel = message
        self.agent._cancelled(request)

    def _prack_received(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message, origin: Origin
    ) -> bool:
        rack = (message.header("RAck") or "").split()
        held = self.reliable.pop((dialog, rack[0]), None) if dialog is not None and rack else None
        if held is not None:
            held.acknowledged(transaction, dialog, message, origin)
        if "prack" in self.agent.routes:
            return False
        # RFC 3262 §3: a PRACK that matches gets a 2xx, one that does not 481. An engine that matches itself only passes
        # on what does, so that what is unknown here was sent reliably without this agent's knowledge.
        request = Request(self, transaction, dialog, message, origin)
        request.res.send(200)
        return True

    def _notify_received(self, request: Request) -> bool:
        """Gives a NOTIFY to whoever asked for it; says whether somebody did."""
        message = request.msg
        name = message.call_id, message.to.tag or ""
        event = event_of(message.header("Event") or "")
        for watcher in self.watchers.get(name, ()):
            if watcher.claims(*event):
                watcher.notified(request)
                return True
        return False

    # ---- what responses leave behind

    def provisional_sent(self, sent: SentResponse, dialog: DialogId) -> None:
        """A provisional response to an INVITE is on the wire; a reliable one awaits its PRACK."""
        message = sent._message
        # Most are not, and reading them for that would cost as much as sending them.
        is_plain = b"100rel" not in message if isinstance(message, bytes) else not sent.msg.header("Require")
        if is_plain or sent.res.final:
            return
        number = sent.msg.header("RSeq")
        if number is not None:
            self.reliable[dialog, number.strip()] = sent
        elif any("100rel" in value for value in sent.headers.getall("Require")):
            # It went out without a number, so that no PRACK can come; waiting for one would only end at its timeout.
            sent.unacknowledged()

    def final_given(self, request: Request, status: int) -> None:
        """A final response is on its way."""
        method = request.msg.method
        if method == "BYE" and status in (401, 407) and request._dialog is not None:
            # The call goes on until the BYE comes again with credentials.
            self.established.add(request._dialog)
            if self.agent.calls is not None:
                self.agent.calls.confirmed(self, request._dialog, None)
        if method != "INVITE":
            return
        # A 2xx may wait for the PRACK of what was sent before (RFC 3262 §3).
        if self.reliable and status >= 300:
            self._forget_reliable(request._dialog)
        if status >= 300:
            self.invites.pop(request._transaction, None)

    def final_failed(self, request: Request) -> None:
        """A final response did not go out."""
        self.invites.pop(request._transaction, None)
        self._forget_reliable(request._dialog)
        self._forget_answer(request)

    def answer_sent(self, sent: SentResponse, dialog: DialogId | None) -> None:
        """A 2xx to an INVITE is on the wire; it awaits its ACK."""
        if dialog is None:
            self.invites.pop(sent.res.req._transaction, None)
            return
        if self.agent.calls is not None:
            self.agent.calls.confirmed(self, dialog, sent._message)
        now = self.loop.time()
        if now - self.looked > _ROUND:
            self._forget_lingering(now)
        answers = self.answers
        answers.pop(dialog, None)
        answers[dialog] = (now, sent)
        self.established.add(dialog)

    def forget(self, request: Request) -> None:
        """A request was proxied or dropped: CANCEL and ACK of it are the engine's."""
        self.invites.pop(request._transaction, None)

    def _forget_answer(self, request: Request) -> None:
        """A 2xx did not go out, although the link said so: the engine had given another final response before."""
        dialog = request._dialog
        held = self.answers.get(dialog) if dialog is not None else None
        if dialog is None or held is None or held[1].res.req is not request:
            return
        del self.answers[dialog]
        held[1].unacknowledged()
        if request.msg.to.tag is None:
            self.established.discard(dialog)
            if self.agent.calls is not None:
                self.agent.calls.ended(self, dialog)

    def _forget_reliable(self, dialog: DialogId | None) -> None:
        for key in [key for key in self.reliable if key[0] == dialog]:
            self.reliable.pop(key).unacknowledged()

    # ---- what requests of ours leave behind

    def confirm(self, transaction: TransactionId, dialog: DialogId | None, client: ClientTransaction) -> None:
        """An INVITE of ours got its first 2xx."""
        now = self.loop.time()
        if now - self.looked > _ROUND:
            self._forget_lingering(now)
        self.confirmed[transaction] = (now, dialog, weakref.ref(client))
        if dialog is not None:
            self.established.add(dialog)

    def _forget_lingering(self, now: float) -> None:
        """Forgets what should have been followed by something long ago."""
        self.looked = now
        for transaction in list(
            takewhile(lambda one: self.confirmed[one][0] <= now - _LINGER, self.confirmed)
        ):
            del self.confirmed[transaction]
        for dialog in list(takewhile(lambda one: self.answers[one][0] <= now - _LINGER, self.answers)):
            _, lost = self.answers.pop(dialog)
            self.invites.pop(lost.res.req._transaction, None)
            lost.unacknowledged()

    def end_stray(self, dialog: DialogId) -> None:
        """Ends a call that nobody wants: a 2xx of another fork, or one that came after the application gave up.

        It must be acknowledged before it is ended (RFC 3261 §13.2.2.4, §15).
        """
        for method in ("ACK", "BYE"):
            stray = SentRequest(self, method)
            stray._seen = True
            self.link.request(method, "", (), b"", dialog, None, stray)

    @property
    def idle(self) -> bool:
        """Whether nothing is awaited: no command, no final response, no ACK or PRACK."""
        return not (self.link.pending or self.clients or self.answers or self.reliable)

    def lost_error(self) -> ConnectionLost:
        """What is raised when the link cannot be used."""
        return ConnectionLost(f"there is no connection to {self.link.name}")

    def check(self) -> None:
        """Raises ConnectionLost or DrachtError when commands cannot be given."""
        if not self.link.ready:
            raise self.lost_error()
        if asyncio.get_running_loop() is not self.loop:
            raise DrachtError("an agent is used from the loop that opened it")
