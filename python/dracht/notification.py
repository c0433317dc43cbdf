"""NOTIFYs: what one says (`Notification`), and how the object that asked for it gets it before any handler (`Watcher`).

A SUBSCRIBE or REFER is watched by its Call-ID and our tag, which every NOTIFY that answers to it has (RFC 6665 §4.4.1): one that
overtakes the response, and one from another place to which a proxy forked the request. Nothing is decided here about a
subscription's life: that is `subscription` and `referral`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dracht.errors import HeaderError
from dracht.link.base import DialogId, DialogReference, Origin, TransactionId
from dracht.message import MessageView
from dracht.transaction import ClientTransaction

if TYPE_CHECKING:
    from dracht._core import Message
    from dracht.dispatch import Dispatcher
    from dracht.incoming import IncomingResponse
    from dracht.request import Request

__all__ = ["Asking", "Notification", "Watcher"]


class Notification(MessageView):
    """A NOTIFY: `state` and what goes with it, and the message (`body`, `content_type`, `headers`)."""

    __slots__ = ("expires_in", "msg", "reason", "request", "retry_in", "state")

    msg: Message

    def __init__(self, request: Request) -> None:
        self.request = request
        """The request; it has been answered."""
        self.msg = request.msg
        try:
            state = self.msg.subscription_state
        except HeaderError:
            state = None
        self.state = state.state if state is not None else "active"
        """`active`, `pending` or `terminated` (RFC 6665 §4.1.3)."""
        self.expires_in = state.expires if state is not None else None
        """How long the subscription lives yet, in seconds, where it says."""
        self.reason = state.reason if state is not None else None
        """Why it ended: `deactivated`, `probation`, `rejected`, `timeout`, `giveup`, `noresource`, `invariant`, ..."""
        self.retry_in = state.retry_after if state is not None else None
        """Seconds to wait before subscribing again, where it says."""

    def __repr__(self) -> str:
        return f"<Notification {self.msg.header('Event')} {self.state}>"


class Watcher:
    """Whoever waits for the NOTIFYs of a SUBSCRIBE or REFER."""

    def __init__(self) -> None:
        self._watched: tuple[Dispatcher, tuple[str, str]] | None = None
        self._peer: str | None = None
        self._dialog: DialogReference | None = None

    def claims(self, package: str, event_id: str) -> bool:
        """Whether a NOTIFY with this Event is for it."""
        raise NotImplementedError

    def notified(self, request: Request) -> None:
        """It came; it is answered here."""
        raise NotImplementedError

    def engine_ended(self, reason: str) -> None:
        """The engine in this process ended the subscription, for want of a message."""
        raise NotImplementedError

    def link_lost(self, error: Exception) -> None:
        """The link is gone, and all its dialogs."""
        raise NotImplementedError

    def asked(self, dispatcher: Dispatcher, msg: Message) -> None:
        """The request is on the wire: NOTIFYs may come from now on."""
        if self._watched is None and self._dialog is None:
            key = msg.call_id, msg.from_.tag or ""
            self._watched = dispatcher, key
            dispatcher.watchers.setdefault(key, []).append(self)

    def unwatch(self) -> None:
        """No NOTIFY concerns it any more."""
        if self._watched is None:
            return
        (dispatcher, key), self._watched = self._watched, None
        watchers = dispatcher.watchers.get(key, [])
        if self in watchers:
            watchers.remove(self)
        if not watchers:
            dispatcher.watchers.pop(key, None)

    def accept(self, request: Request) -> bool:
        """Notes the dialog of a NOTIFY. Another fork's is refused: one subscription has one notifier (RFC 6665 §4.1.2.4)."""
        peer = request.from_.tag or ""
        if self._peer is None:
            self._peer = peer
        if self._peer != peer:
            request.res.send(481)
            return False
        if self._dialog is None:
            self._dialog = request._dialog
        return True

    def accepted(self, response: IncomingResponse) -> None:
        """Notes the dialog of a 2xx, unless a NOTIFY has made another one."""
        if self._peer is None:
            self._peer = response.to.tag or ""
        if self._peer == (response.to.tag or "") and response._dialog is not None:
            self._dialog = response._dialog


class Asking(ClientTransaction):
    """A SUBSCRIBE or REFER: the dispatcher knows who waits for its NOTIFYs before any can come."""

    __slots__ = ("watcher",)

    watcher: Watcher

    def sent(
        self, transaction: TransactionId, dialog: DialogId | None, message: Message | bytes, path: Origin
    ) -> None:
        """The link's word that it is on the wire."""
        super().sent(transaction, dialog, message, path)
        self.watcher.asked(self._dispatcher, self.msg)
