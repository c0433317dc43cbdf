"""The calls an agent takes part in, from the 2xx to the BYE: what a drain waits for, and the SDP this side gave last.

It records and answers questions; ending calls is for who asks. An entry leaves at the BYE of either side, when the engine ends
the dialog, when the link is lost, and at the latest after twelve hours without a change, as the engine's own dialogs do.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from dracht.dialogid import DialogHandle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dracht._core import Message
    from dracht.dispatch import Dispatcher
    from dracht.link.base import DialogId, DialogReference
    from dracht.request import Request

__all__ = ["Calls"]

_IDLE = 12 * 3600.0
# How often they are looked for; seconds.
_ROUND = 60.0


class _Call(NamedTuple):
    since: float
    dispatcher: Dispatcher
    local: Message | bytes | None
    """The last message of ours that held an SDP, as the link gave it: read only when it is asked for."""


class Calls:
    """The table of calls. `Dispatcher` keeps it up to date."""

    __slots__ = ("_calls", "_looked", "_waiters")

    def __init__(self) -> None:
        self._calls: dict[tuple[int, DialogReference], _Call] = {}
        self._looked = 0.0
        self._waiters: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[DialogHandle]:
        """The dialogs of the calls, the oldest first."""
        return iter([DialogHandle(call.dispatcher, dialog) for (_, dialog), call in self._calls.items()])

    def confirmed(self, dispatcher: Dispatcher, dialog: DialogId, local: Message | bytes | None) -> None:
        """A 2xx to an INVITE went out or came in, or to an UPDATE; `local` is our message with the SDP, if there is one."""
        calls = self._calls
        now = dispatcher.loop.time()
        key = (id(dispatcher), dialog)
        held = calls.pop(key, None)
        if local is None and held is not None:
            local = held.local
        calls[key] = _Call(now, dispatcher, local)
        if now - self._looked > _ROUND:
            # Not each time: finding the first entry of a dict passes over all that were deleted before it.
            self._looked = now
            for idle in [key for key, call in calls.items() if call.since < now - _IDLE]:
                del calls[idle]

    def ended(self, dispatcher: Dispatcher, dialog: DialogId | None) -> None:
        """A BYE ended the dialog, or the engine did."""
        if (
            dialog is not None
            and self._calls.pop((id(dispatcher), dialog), None) is not None
            and not self._calls
        ):
            self._wake()

    def lost(self, dispatcher: Dispatcher) -> None:
        """The link is gone, and its dialogs with it."""
        for key in [key for key in self._calls if key[0] == id(dispatcher)]:
            del self._calls[key]
        if not self._calls:
            self._wake()

    def local_sdp(self, request: Request) -> bytes | None:
        """The SDP that this side gave last in the dialog of `request`; None where there is none."""
        handle = request.dialog_id
        return None if handle is None else self.sdp_of(handle.dispatcher, handle.reference)

    def sdp_of(self, dispatcher: Dispatcher, dialog: DialogReference) -> bytes | None:
        """The SDP that this side gave last in a dialog; None where there is none."""
        call = self._calls.get((id(dispatcher), dialog))
        if call is None or call.local is None:
            return None
        body = call.local.partition(b"\r\n\r\n")[2] if isinstance(call.local, bytes) else call.local.body
        return body if body.startswith(b"v=") else None

    async def none_left(self) -> None:
        """Waits until there is no call."""
        while self._calls:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
