"""REFER (RFC 3515, with RFC 4488 and RFC 7647): `Referral` asks another party to call somebody and follows how that goes;
`accept_refer` is the other end.

How the reference goes comes in NOTIFYs that carry a status line (message/sipfrag, RFC 3420). Making the call that was asked for
is the application's.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import unquote

from dracht._core import Replaces, Uri, reason_phrase
from dracht.dialogid import DialogHandle
from dracht.digest import Credentials
from dracht.errors import DrachtError, HeaderError, ParseError, RequestRefused, RequestTimeout, SipError
from dracht.link.base import DialogReference
from dracht.message import HeadersInput, header_list
from dracht.notification import Asking, Notification, Watcher
from dracht.transaction import ClientTransaction

if TYPE_CHECKING:
    from dracht.dispatch import Dispatcher
    from dracht.request import Request
    from dracht.response import Response

__all__ = ["Outcome", "Referral", "Referred", "accept_refer"]

# Timer N, 64*T1 (RFC 6665 §4.1.2.4), with a margin; seconds.
_NOTIFY_LIMIT = 40.0
# How long a reference may go on whose NOTIFYs do not say, as the engine has it (an INVITE that rings); seconds.
_LIFE = 3600.0
_LINGER = 64.0
_STATUS_LINE = re.compile(rb"\s*SIP/2\.0\s+([1-6]\d\d)(?:[ \t]+([^\r\n]*))?", re.IGNORECASE)


class Outcome(NamedTuple):
    """How a reference goes, or went."""

    status: int
    """The status of the call that was asked for, 100 to 699."""
    reason: str
    """Its reason phrase."""
    notification: Notification
    """The NOTIFY that said so."""

    @property
    def final(self) -> bool:
        """Whether nothing more follows."""
        return self.status >= 200

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return 200 <= self.status < 300


class Referral(Watcher):
    """A REFER of ours; `agent.refer` makes it.

    `await` it, or enter it as a context manager, to send it; that returns when it was accepted. Iterating gives each `Outcome`
    up to the final one; `outcome()` waits for that. Leaving the block before gives the reference up: its NOTIFYs get 481.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        dialog: DialogReference | None,
        uri: str,
        refer_to: str,
        *,
        headers: HeadersInput | None = None,
        subscribe: bool = True,
        auth: Credentials | None = None,
        next_hop: str | None = None,
    ) -> None:
        super().__init__()
        target = refer_to.strip()
        fields = [("Refer-To", target if target.startswith("<") or '"' in target else f"<{target}>")]
        if not subscribe:
            fields += [("Refer-Sub", "false"), ("Supported", "norefersub")]
        self.followed = subscribe
        """Whether NOTIFYs come; after it was accepted, what the recipient decided (RFC 4488)."""
        self.ended: str | None = None
        """Why no more NOTIFY comes: the recipient's word (`noresource`, ...), `no-notify`, `expired`, `given-up`; None before."""
        self._asking = Asking(
            dispatcher, "REFER", uri, [*fields, *header_list(headers)], b"",
            dialog=dialog, next_hop=next_hop, auth=auth,
        )  # fmt: skip
        self._asking.watcher = self
        self._within = dialog
        self._id = ""
        self._first = True
        self._outcomes: deque[Outcome] = deque(maxlen=100)
        self._latest: Outcome | None = None
        self._news = asyncio.Event()
        self._error: Exception | None = None
        self._started = False
        self._timer: asyncio.TimerHandle | None = None

    # ---- what the application does

    async def start(self) -> Self:
        """Sends the REFER; returns when it was accepted. Awaiting the referral does this.

        Raises:
            RequestRefused: the recipient does not want to.
            RequestTimeout, CommandFailed, ConnectionLost: it could not be asked.
        """
        if self._started:
            return self
        self._started = True
        try:
            await self._asking.start()
            response = await self._asking.final(timeout=_NOTIFY_LIMIT)
        except BaseException:
            self._end("given-up")
            raise
        if not response.ok:
            self._end("given-up")
            raise RequestRefused(response)
        self.accepted(response)
        if response.refer_sub is False:
            self.followed = False
            self._end("no-subscription")
        else:
            self.followed = True
            if self._latest is None and self.ended is None:
                self._wait_at_most(_NOTIFY_LIMIT, "no-notify")
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self.start().__await__()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_up()

    def give_up(self) -> None:
        """Follows it no longer: the next NOTIFY gets 481, which ends the subscription (RFC 6665 §4.2.2)."""
        if self.ended is None:
            watched = self._watched
            self._end("given-up")
            if watched is not None:
                # Stays for the NOTIFY that is to be refused.
                self._watched = watched
                watched[0].watchers.setdefault(watched[1], []).append(self)
                self._timer = watched[0].loop.call_later(_LINGER, self.unwatch)

    async def outcome(self, *, timeout: float | None = None) -> Outcome:
        """Waits for the end of the reference: a final status, or the last that was told before the NOTIFYs ended.

        Args:
            timeout: seconds to wait at most.

        Raises:
            RequestTimeout: it did not come in time, or no NOTIFY came at all.
            DrachtError: there is no subscription (`followed` is False), so that nothing is told.
            ConnectionLost: the connection to the server is gone.
        """
        if not self.followed:
            raise DrachtError("this REFER has no subscription (Refer-Sub: false): nothing tells how it goes")
        try:
            async with asyncio.timeout(timeout):
                while (self._latest is None or not self._latest.final) and self.ended is None:
                    self._raise_lost()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise RequestTimeout("the outcome of the REFER did not come in time") from None
        self._raise_lost()
        if self._latest is None:
            raise RequestTimeout(f"no NOTIFY told how the REFER went: {self.ended}")
        return self._latest

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        while not self._outcomes:
            self._raise_lost()
            if self.ended is not None or (self._latest is not None and self._latest.final):
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._outcomes.popleft()

    @property
    def dialog_id(self) -> DialogHandle | None:
        """The dialog it is in, or made."""
        if self._dialog is None:
            return None
        return DialogHandle(self._asking._dispatcher, self._dialog)

    # ---- what comes

    def asked(self, dispatcher: Dispatcher, msg: Any) -> None:
        """It is on the wire; its CSeq number tells its NOTIFYs apart (RFC 3515 §2.4.6)."""
        self._id = str(msg.cseq.number)
        super().asked(dispatcher, msg)

    def claims(self, package: str, event_id: str) -> bool:
        """Whether a NOTIFY with this Event is for it; without an `id` it is for the first that is open."""
        return package == "refer" and event_id in ("", self._id)

    def notified(self, request: Request) -> None:
        """A NOTIFY."""
        if self.ended is not None:
            request.res.send(481)
            self.unwatch()
            return
        if not self.accept(request):
            return
        request.res.send(200)
        notification = Notification(request)
        if found := _STATUS_LINE.match(notification.body):
            status = int(found[1])
            reason = (found[2] or b"").decode("utf-8", "replace").strip()
            self._latest = Outcome(status, reason, notification)
            self._outcomes.append(self._latest)
        if notification.state == "terminated":
            self._end(notification.reason or "terminated")
        else:
            life = _LIFE if notification.expires_in is None else notification.expires_in
            self._wait_at_most(life + _NOTIFY_LIMIT, "expired")
        self._news.set()

    def engine_ended(self, reason: str) -> None:
        """The engine gave it up."""
        self._end(reason)

    def link_lost(self, error: Exception) -> None:
        """The link is gone."""
        self._watched = None
        if self.ended is None:
            self._error = error
        self._end("link-lost")

    # ---- inside

    def _raise_lost(self) -> None:
        if self._error is not None and (self._latest is None or not self._latest.final):
            raise self._error

    def _wait_at_most(self, seconds: float, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._asking._dispatcher.loop.call_later(seconds, self._end, reason)

    def _end(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.unwatch()
        if self.ended is None:
            self.ended = reason
        self._news.set()

    def __repr__(self) -> str:
        how = self._latest.status if self._latest is not None else "nothing known"
        return f"<Referral: {how}{f', {self.ended}' if self.ended else ''}>"


class Referred:
    """A REFER that was accepted: whom to call, and how to tell how that goes."""

    def __init__(self, request: Request, target: Uri, *, followed: bool, expires: int) -> None:
        self.request = request
        """The REFER."""
        self.followed = followed
        """Whether the referrer is told; when not, `notify` does nothing (RFC 4488)."""
        self.expires = expires
        """How long the subscription lives after each NOTIFY; seconds."""
        self.target = str(target).partition("?")[0]
        """The URI to call."""
        self.replaces: Replaces | None = Replaces.from_uri(target)
        """The dialog that the new call is to replace (RFC 3891): send it as `Replaces`."""
        fields = [(unquote(name), unquote(value)) for name, value in target.headers]
        self.headers = header_list([one for one in fields if one[0].lower() != "replaces"])
        """The other header fields that the referrer wants in the new request (RFC 3261 §19.1.5: not all are to be trusted)."""
        self._over = not followed

    @property
    def referred_by(self) -> str | None:
        """The value of Referred-By (RFC 3892), which the new request is to repeat."""
        return self.request.headers.get("Referred-By")

    async def notify(
        self, status: int, reason: str | None = None, *, headers: HeadersInput | None = None
    ) -> ClientTransaction | None:
        """Tells the referrer how the call goes; a final status ends the subscription (RFC 3515 §2.4.5).

        Args:
            status: 100 to 699, of the call that was asked for.
            reason: its reason phrase; the standard one when None.
            headers: header fields to add to the NOTIFY.

        Returns:
            The transaction; None when nothing is to be told any more.

        Raises:
            CommandFailed: the dialog is over.
            ConnectionLost: the connection to the server is gone.
        """
        if not 100 <= status <= 699:
            raise ValueError(f"a status is 100 to 699, not {status}")
        if self._over:
            return None
        self._over = status >= 200
        state = "terminated;reason=noresource" if self._over else f"active;expires={self.expires}"
        fields = [
            ("Event", f"refer;id={self.request.cseq.number}"),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag;version=2.0"),
            *header_list(headers),
        ]
        line = f"SIP/2.0 {status} {reason if reason is not None else reason_phrase(status)}\r\n"
        return await self.request.agent.request(
            method="NOTIFY", dialog=self.request.dialog_id, headers=fields, body=line
        )

    def __repr__(self) -> str:
        return f"<Referred to {self.target}>"


async def accept_refer(req: Request, res: Response, *, status: int = 202, expires: int = 180) -> Referred:
    """Accepts a REFER: answers it and sends the first NOTIFY, 100 (RFC 3515 §2.4.4). Use the result to tell the rest.

    A referrer that wants no subscription (`Refer-Sub: false`, RFC 4488) gets none.

    Args:
        req: the REFER.
        res: its response.
        status: 200 or 202; RFC 6665 knows no difference, older phones expect 202.
        expires: how long the subscription lives after each NOTIFY; seconds. The engine ends it after that.

    Raises:
        SipError: 400: there is not exactly one Refer-To that can be read. A handler that lets it pass answers with it.
        CommandFailed, ConnectionLost: the answer or the NOTIFY could not be sent.
    """
    followed = req.refer_sub is not False
    try:
        refer_to = req.refer_to
        if refer_to is None:
            raise HeaderError("there is no Refer-To")
        referred = Referred(req, refer_to.uri, followed=followed, expires=expires)
    except ParseError as error:
        raise SipError(400, "One Refer-To Is Wanted") from error
    await res.send(status, headers=None if followed else {"Refer-Sub": "false"})
    await referred.notify(100)
    return referred
