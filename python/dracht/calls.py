"""The calls an agent takes part in, from the 2xx to the BYE: what a drain waits for, and the SDP this side gave last.

It records and answers questions; ending calls is for who asks. An entry leaves at the BYE of either side, when the engine ends
the dialog, when the link is lost, and at the latest after twelve hours without a change, as the engine's own dialogs do.
"""

from __future__ import annotations

import asyncio
from collections import deque
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
# How many of the calls that ended last are kept in mind, for an INVITE that is to replace one (RFC 3891 §3), and for how long.
_ENDED, _ENDED_FOR = 256, 32.0


class _Call(NamedTuple):
    since: float
    dispatcher: Dispatcher
    local: Message | bytes | None
    """The last message of ours that held an SDP, as the link gave it: read only when it is asked for."""
    remote_tag: str | None
    """Of a call of ours, whose INVITE does not have it."""

    def names(self) -> tuple[str, str | None, str | None] | None:
        """Call-ID, our tag and the peer's."""
        local = self.local
        if local is None:
            return None
        if isinstance(local, bytes):
            from dracht._core import Message

            local = Message.parse(local)
        sender, receiver = local.from_.tag, local.to.tag
        if local.is_request:
            return local.call_id, sender, receiver or self.remote_tag
        return local.call_id, receiver, sender


class Calls:
    """The table of calls. `Dispatcher` keeps it up to date."""

    __slots__ = ("_calls", "_ended", "_looked", "_names", "_waiters")

    def __init__(self) -> None:
        self._calls: dict[tuple[int, DialogReference], _Call] = {}
        self._looked = 0.0
        # By Call-ID, once somebody has asked for a call by its names: most applications never do.
        self._names: dict[str, set[tuple[int, DialogReference]]] | None = None
        self._ended: deque[tuple[float, _Call]] = deque(maxlen=_ENDED)
        self._waiters: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[DialogHandle]:
        """The dialogs of the calls, the oldest first."""
        return iter([DialogHandle(call.dispatcher, dialog) for (_, dialog), call in self._calls.items()])

    def confirmed(
        self,
        dispatcher: Dispatcher,
        dialog: DialogId,
        local: Message | bytes | None,
        remote_tag: str | None = None,
    ) -> None:
        """A 2xx to an INVITE went out or came in, or to an UPDATE; `local` is our message with the SDP, if there is one."""
        calls = self._calls
        now = dispatcher.loop.time()
        key = (id(dispatcher), dialog)
        held = calls.pop(key, None)
        if local is None and held is not None:
            local = held.local
        if remote_tag is None and held is not None:
            remote_tag = held.remote_tag
        call = calls[key] = _Call(now, dispatcher, local, remote_tag)
        if self._names is not None:
            self._name(key, call)
        if now - self._looked > _ROUND:
            # Not each time: finding the first entry of a dict passes over all that were deleted before it.
            self._looked = now
            for idle in [key for key, call in calls.items() if call.since < now - _IDLE]:
                self._forget(idle, calls.pop(idle))

    def ended(self, dispatcher: Dispatcher, dialog: DialogId | None) -> None:
        """A BYE ended the dialog, or the engine did."""
        if dialog is None or (call := self._calls.pop((id(dispatcher), dialog), None)) is None:
            return
        self._forget((id(dispatcher), dialog), call)
        self._ended.append((dispatcher.loop.time(), call))
        if not self._calls:
            self._wake()

    def lost(self, dispatcher: Dispatcher) -> None:
        """The link is gone, and its dialogs with it."""
        for key in [key for key in self._calls if key[0] == id(dispatcher)]:
            self._forget(key, self._calls.pop(key))
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

    def find(self, call_id: str, local_tag: str, remote_tag: str) -> DialogHandle | None:
        """The dialog of a call by its names; None where there is none."""
        if self._names is None:
            self._names = {}
            for key, call in self._calls.items():
                self._name(key, call)
        for key in list(self._names.get(call_id, ())):
            held = self._calls.get(key)
            if held is not None and held.names() == (call_id, local_tag, remote_tag):
                return DialogHandle(held.dispatcher, key[1])
        return None

    def has_ended(self, call_id: str, local_tag: str, remote_tag: str) -> bool:
        """Whether a call of these names ended half a minute ago at most."""
        wanted = (call_id, local_tag, remote_tag)
        return any(
            call.names() == wanted and call.dispatcher.loop.time() - at <= _ENDED_FOR
            for at, call in self._ended
        )

    def forget_ended(self) -> None:
        """Gives back what is not needed: the room of a table that is empty, and the calls that ended long ago."""
        if not self._calls:
            self._calls.clear()
        while self._ended and self._ended[0][1].dispatcher.loop.time() - self._ended[0][0] > _ENDED_FOR:
            self._ended.popleft()

    def _name(self, key: tuple[int, DialogReference], call: _Call) -> None:
        names = call.names()
        if names is not None and self._names is not None:
            self._names.setdefault(names[0], set()).add(key)

    def _forget(self, key: tuple[int, DialogReference], call: _Call) -> None:
        names = call.names() if self._names is not None else None
        if names is not None:
            self._unname(names[0], key)

    def _unname(self, call_id: str, key: tuple[int, DialogReference]) -> None:
        if self._names is not None and (keys := self._names.get(call_id)) is not None:
            keys.discard(key)
            if not keys:
                del self._names[call_id]

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
