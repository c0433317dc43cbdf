"""`Request`: a request that came in. What can be done with it besides answering it: proxy it, or drop it.

It holds no state of its transaction beyond what the application must be told: the engine does.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from dracht.dialogid import DialogHandle
from dracht.link.base import DialogId, Origin, ProxyOptions, TransactionId
from dracht.message import HeadersInput, RequestView, header_list
from dracht.proxy import Proxying, ProxyResult, seconds

if TYPE_CHECKING:
    import asyncio

    from dracht._core import Message, Uri
    from dracht.agent import Agent
    from dracht.dispatch import Dispatcher
    from dracht.response import Response

__all__ = ["Request"]


class Request(RequestView):
    """A request from the network.

    `msg` is the SIP message; `method`, `uri`, `headers`, `body`, `from_`, `to`, `contacts`, `via`, `cseq`, `call_id` are its
    parts. `res` is how it is answered. `state` is room for whatever middleware and handlers want to keep with it.
    """

    __slots__ = (
        "_cancel",
        "_dialog",
        "_dispatcher",
        "_started",
        "_state",
        "_task",
        "_transaction",
        "_uri",
        "generated",
        "msg",
        "origin",
        "proxied",
        "res",
    )

    res: Response
    msg: Message

    def __init__(
        self,
        dispatcher: Dispatcher,
        transaction: TransactionId,
        dialog: DialogId | None,
        msg: Message,
        origin: Origin,
        generated: bool = False,
    ) -> None:
        self._dispatcher = dispatcher
        self._transaction = transaction
        self._dialog = dialog
        self.msg = msg
        self.origin = origin
        self.generated = generated
        """Whether the engine made it: a BYE with which it ended a dialog itself. Answering it does nothing."""
        self.proxied = False
        """Whether it was proxied or dropped."""
        self._cancel: Message | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = False
        self._uri: Uri | None = None
        self._state: SimpleNamespace | None = None

    @property
    def agent(self) -> Agent:
        """The agent that received it."""
        return self._dispatcher.agent

    @property
    def uri(self) -> Uri:
        """The request-URI. Raises UriError when it cannot be read; `msg.uri` is its text."""
        uri = self._uri
        if uri is None:
            uri = self._uri = super().uri
        return uri

    @property
    def state(self) -> SimpleNamespace:
        """Room for middleware and handlers."""
        state = self._state
        if state is None:
            state = self._state = SimpleNamespace()
        return state

    @property
    def user(self) -> Any:
        """Who sent it, where a layer has found out: with `DigestAuth` a `dracht.digest.Identity`; else None. `state.user`."""
        return None if self._state is None else getattr(self._state, "user", None)

    @property
    def dialog_id(self) -> DialogHandle | None:
        """The dialog it belongs to, for `agent.request(dialog=...)`; None for a request outside a dialog.

        After the first response to an INVITE or SUBSCRIBE was sent, the dialog that it created.
        """
        return None if self._dialog is None else DialogHandle(self._dispatcher, self._dialog)

    @property
    def source(self) -> tuple[str, int]:
        """Address and port it came from."""
        return self.origin.peer

    @property
    def transport(self) -> str:
        """The transport it came by: `udp`, `tcp`, `tls`, `ws` or `wss`."""
        return self.origin.transport

    @property
    def cancelled(self) -> bool:
        """Whether the caller sent CANCEL before a final response."""
        return self._cancel is not None

    @property
    def cancel_message(self) -> Message | None:
        """The CANCEL, with its Reason header field perhaps (RFC 3326)."""
        return self._cancel

    @property
    def is_new_invite(self) -> bool:
        """Whether it is an INVITE outside a dialog (RFC 3261 §12.2.2: no tag in To)."""
        return self.msg.method == "INVITE" and self.msg.to.tag is None

    @property
    def handled(self) -> bool:
        """Whether nothing more is to be done: a final response was sent, it was proxied or dropped, or the caller cancelled."""
        return self.proxied or self._cancel is not None or self.generated or self.res.final

    def drop(self) -> None:
        """Forgets it: the caller gets no answer. For what should not be answered at all (scanners)."""
        self.proxied = True
        self._dispatcher.forget(self)
        self._dispatcher.link.drop(self._transaction)

    async def proxy(
        self,
        targets: str | Uri | Sequence[str | Uri] = (),
        *,
        headers: HeadersInput | None = None,
        record_route: bool = False,
        forking: Literal["serial", "simultaneous"] = "serial",
        follow_redirects: bool = False,
        provisional_timeout: float | str | None = None,
        final_timeout: float | str | None = None,
        type: Literal["stateful", "stateless"] = "stateful",
    ) -> ProxyResult:
        """Proxies it (RFC 3261 §16); returns when a final response was chosen and sent upstream.

        From then on the call is the engine's: CANCEL, PRACK, BYE and whatever follows in its dialog pass without the
        application. A request is proxied before it is answered, and once.

        Args:
            targets: where to, in order of preference; a target without scheme gets `sip:`; none: the request-URI.
            headers: header fields to add to what is forwarded.
            record_route: stay in the path of the dialog; for REGISTER add Path (RFC 3327).
            forking: one target after the other, or all at once.
            follow_redirects: try the Contacts of a 3xx as further targets.
            provisional_timeout: give up a target without a provisional response; seconds, or `"2s"`, `"100ms"`.
            final_timeout: give up a target without a final response; seconds, or a text as above.
            type: `"stateless"` forwards without transaction state (RFC 3261 §16.11), and returns at once.

        Raises:
            ValueError: an option or a time cannot be used.
            HeaderError: a header field cannot be sent.
            CommandFailed: it was not proxied: `already-proxied`, `invalid-uri`, `too-many-hops` (the caller got 483), ...
            ConnectionLost: the connection to the server is gone.
        """
        many = [targets] if isinstance(targets, str) or not isinstance(targets, Sequence) else targets
        options = ProxyOptions(
            record_route=record_route,
            simultaneous=forking == "simultaneous",
            follow_redirects=follow_redirects,
            provisional_timeout=seconds(provisional_timeout),
            final_timeout=seconds(final_timeout),
            stateless=type == "stateless",
        )
        if forking not in ("serial", "simultaneous"):
            raise ValueError(f"forking is 'serial' or 'simultaneous', not {forking!r}")
        if type not in ("stateful", "stateless"):
            raise ValueError(f"type is 'stateful' or 'stateless', not {type!r}")
        fields = header_list(headers)
        proxying = Proxying(self._dispatcher.loop)
        self.proxied = True
        self._dispatcher.forget(self)
        self._dispatcher.link.proxy(
            self._transaction, [_target(one) for one in many], options, fields, proxying
        )
        try:
            return await proxying.finished
        finally:
            if proxying.refused:
                self.proxied = False

    def __repr__(self) -> str:
        return f"<Request {self.msg.method} {self.msg.uri} {self.msg.call_id}>"


def _target(target: str | Uri) -> str:
    text = str(target).strip()
    if text.startswith("<") or text.lower().startswith(("sip:", "sips:", "tel:")):
        return text
    return f"sip:{text}"
