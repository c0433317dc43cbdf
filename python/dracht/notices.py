"""What an agent is told beside requests and responses: a server's call detail records, subscriptions that ended of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dracht.dialogid import DialogHandle
from dracht.link.base import CdrKind

if TYPE_CHECKING:
    from dracht._core import Message

__all__ = ["Cdr", "SubscriptionEnd"]


class Cdr(NamedTuple):
    """A call detail record, as a server gives it over a control connection."""

    kind: CdrKind
    """`attempt`, `start` or `stop`."""
    source: str
    """`network` or `application`: where the message came from."""
    time: str
    """The server's time of day, UTC: `HH:MM:SS.uuuuuu`."""
    role: str | None
    """Of a start: `uac`, `uas`, `proxy-uac` or `proxy-uas`."""
    reason: str | None
    """Of a stop: `call-rejected`, `call-canceled`, `normal-release`, `session-expired`, ..."""
    msg: Message
    """The INVITE, its 200, or the message that ended the attempt or the call."""


class SubscriptionEnd(NamedTuple):
    """The end of a subscription for want of a message (RFC 6665 §4.1.2.4, §4.2.2)."""

    dialog: DialogHandle
    """The dialog it was in; it is over as well if it was for nothing else."""
    event: str
    """The event package, with `;id=` where there is one; of a REFER `refer;id=` and its CSeq number."""
    is_notifier: bool
    """Whether this side was the one who notifies; the engine has sent the last NOTIFY then."""
    reason: str
    """`expired`: nobody refreshed it; `no-notify`: no NOTIFY came, or was sent after a REFER was accepted, in time."""
