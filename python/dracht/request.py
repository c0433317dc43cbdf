"""`Request`: a request that came in. What can be done with it besides answering it: proxy it, or drop it.

It holds no state of its transaction beyond what the application must be told: the engine does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from dracht.dialogid import DialogHandle
from dracht.link.base import DialogId, Forking, Origin, PathPolicy, ProxyOptions, TransactionId
from dracht.message import DraftHeaders, HeadersInput, RequestView, header_list
from dracht.proxy import REQUEST_URI, Proxying, ProxyResult, check_words, seconds, target_texts

if TYPE_CHECKING:
    from dracht._core import Message, Uri
    from dracht.agent import Agent
    from dracht.dispatch import Dispatcher
    from dracht.proxy import Target
    from dracht.replaces import Replaced
    from dracht.response import Response

__all__ = ["Request"]


class PeerCertificate(NamedTuple):
    """A certificate that is trusted, and whose owner is at the other end of the connection."""

    names: tuple[str, ...]
    """Its subject alternative names, as written: domains, URIs (`sip:example.com`, RFC 5922 §7.1), addresses."""
    subject: str
    """Its subject, as text: `CN=sip.example.com, O=Example`."""


class Request(RequestView):
    """A request from the network.

    `msg` is the SIP message; `method`, `uri`, `headers`, `body`, `from_`, `to`, `contacts`, `via`, `cseq`, `call_id` are its
    parts. `res` is how it is answered. `state` is room for whatever middleware and handlers want to keep with it.
    """

    __slots__ = (
        "_answer_headers",
        "_before_send",
        "_cancel",
        "_consumed",
        "_dialog",
        "_dispatcher",
        "_final",
        "_refused",
        "_started",
        "_state",
        "_status",
        "_task",
        "_transaction",
        "_uri",
        "generated",
        "msg",
        "origin",
        "proxied",
    )

    # Set by `dracht.response`, which needs this module.
    _answering: ClassVar[type[Response]]
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
        self._consumed: tuple[int, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._started = False
        self._uri: Uri | None = None
        self._state: SimpleNamespace | None = None
        self._status = 0
        self._final = self._refused = False
        self._answer_headers: DraftHeaders | None = None
        self._before_send: list[Callable[[int, DraftHeaders], None]] | None = None

    @property
    def res(self) -> Response:
        """How it is answered."""
        # Not kept: two objects that hold one another stay until the garbage collector comes by, which in a process that has
        # become quiet after a flood it does not, and with them their messages.
        return self._answering(self)

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

    def consume_credentials(self, field: int) -> None:
        """Says that credentials were for this proxy: `proxy` leaves them out of what it forwards (RFC 3261 §22.3), and keeps
        those for others. `dracht.digest.Challenger(proxy=True)` and `DigestAuth(proxy=True)` say it of those that they accept.

        Args:
            field: the number of their Proxy-Authorization header field, from 0 on.

        Raises:
            ValueError: there is no such header field.
        """
        if not 0 <= field < len(self.headers.getall("Proxy-Authorization")):
            raise ValueError(f"the request has no Proxy-Authorization header field number {field}")
        self._consumed = tuple(sorted({*self._consumed, field}))

    @property
    def dialog_id(self) -> DialogHandle | None:
        """The dialog it belongs to, for `agent.request(dialog=...)`; None for a request outside a dialog.

        After the first response to an INVITE or SUBSCRIBE was sent, the dialog that it created.
        """
        return None if self._dialog is None else DialogHandle(self._dispatcher, self._dialog)

    @property
    def replaced(self) -> Replaced | None:
        """The call that this INVITE is to replace (RFC 3891); None when it has no Replaces.

        Raises:
            SipError: the caller is to be told so: 400, 481, 486 or 603. A handler that lets it pass answers with it.
        """
        from dracht.replaces import replaced

        return replaced(self)

    @property
    def source(self) -> tuple[str, int]:
        """Address and port it came from."""
        return self.origin.peer

    @property
    def transport(self) -> str:
        """The transport it came by: `udp`, `tcp`, `tls`, `ws` or `wss`."""
        return self.origin.transport

    @property
    def flow(self) -> str | None:
        """The flow that it came over (RFC 5626): a text that leads back to its sender, whatever lies between.

        For a registrar to keep with the Contact: `app.request(contact, flow=...)` and `req.proxy(contact, flow=...)` go down
        it while the sender's connection is open (`flow-failed` after that), or, by UDP, to where the request came from. None
        with a server that does not tell (drachtio's).
        """
        return self._dispatcher.link.flow(self.msg, self.origin).token

    @property
    def behind_nat(self) -> bool:
        """Whether its sender is not to be reached by its Contact, by the rules of `Network.nat`; False with a drachtio-server."""
        return self._dispatcher.link.flow(self.msg, self.origin).behind_nat

    @property
    def peer_certificate(self) -> PeerCertificate | None:
        """What the peer proved to be by a certificate of its own, over TLS and WSS (`Tls(client_certificates=...)`); else None.

        It is of whoever sent the request here: a proxy before us proves itself, not the phone behind it. Through a server of
        drachtio's there is never one.
        """
        proved = self.origin.peer_certificate
        return None if proved is None else PeerCertificate(tuple(proved[0]), proved[1])

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
        return self.proxied or self._cancel is not None or self.generated or self._final

    def drop(self) -> None:
        """Forgets it: the caller gets no answer, and neither do its repetitions. For what should not be answered at all.

        Over a connection to a drachtio-server, whose protocol has no word for it, the request stays unanswered until the
        server answers it itself. To refuse everything from where it came, see `Agent.ban`.
        """
        self.proxied = True
        self._dispatcher.forget(self)
        self._dispatcher.link.drop(self._transaction)

    async def proxy(
        self,
        targets: Target | Iterable[Target] = REQUEST_URI,
        *,
        headers: HeadersInput | None = None,
        record_route: bool = False,
        path: PathPolicy = "always",
        forking: Forking = "serial",
        follow_redirects: bool = False,
        provisional_timeout: float | str | None = None,
        final_timeout: float | str | None = None,
        type: Literal["stateful", "stateless"] = "stateful",
        flow: str | None = None,
        trusted: bool = True,
    ) -> ProxyResult:
        """Proxies it (RFC 3261 §16); returns when a final response was chosen and sent upstream.

        From then on the call is the engine's: CANCEL, PRACK, BYE and whatever follows in its dialog pass without the
        application. A request is proxied before it is answered, and once. Cancelling the task that waits here gives it up
        (`cancel_proxy`): the branches are cancelled, and the caller gets 487.

        Args:
            targets: where to, in order of preference; left out: the request-URI, which the caller chose. A target is a URI (one
                without scheme gets `sip:`), a URI with its q from 0 to 1 as `(uri, q)`, a `ProxyTarget`, or an `Address` as
                `msg.contacts` has it, whose `q` counts. An empty list leads nowhere, and is refused, as are more than 128.
            headers: header fields to add to what is forwarded. A Route given here stands before those of the request, and its
                first value is where the request is sent (RFC 3261 §16.6 item 6); a server that is compatible with drachtio's
                ignores it.
            record_route: stay in the path of the dialog; for REGISTER add Path (RFC 3327).
            path: what to do when a REGISTER to which Path is to be added comes from a user agent that does not list `path` in
                Supported: add it (`"always"`), leave it out (`"if_supported"`), or refuse with 421 (`"required"`).
            forking: one target after the other as given (`"serial"`), all at once (`"simultaneous"`), or those of equal q at
                once and the highest q first (`"by_q"`, RFC 3261 §16.6; one without q counts as 1).
            follow_redirects: try the Contacts of a 3xx as further targets, by their q, none twice and at most 16 of them.
            provisional_timeout: give up a target without a provisional response; seconds, or `"2s"`, `"100ms"`.
            final_timeout: give up a target without a final response; seconds, or a text as above.
            type: `"stateless"` forwards to the first target without transaction state (RFC 3261 §16.11), and returns at once. The
                handler sees repetitions of the request again, and must choose the same target for them; the CANCEL of an INVITE
                and the ACK of its refusal follow it by themselves.
            flow: the flow to take to each target that has none of its own (RFC 5626): the `req.flow` of its REGISTER. A flow
                that is gone counts as a target that answered 430 (Flow Failed).
            trusted: False when the targets are outside the trusted network (RFC 3325 §5): what `withheld_from_untrusted` names
                is left out. A drachtio-server does not know this, and leaves nothing out.

        Raises:
            ValueError: an option or a time cannot be used, or the list of targets is empty. The request is still to be answered.
            TypeError: a target is none, as None.
            HeaderError: a header field cannot be sent.
            CommandFailed: it was not proxied: `already-proxied`, `invalid-uri`, `too-many-hops` (the caller got 483),
                `limit` (more than 128 targets; the request is still to be answered), ...
            ConnectionLost: the connection to the server is gone.
        """
        chosen = target_texts(targets, flow)
        options = ProxyOptions(
            record_route=record_route,
            path=path,
            forking=forking,
            follow_redirects=follow_redirects,
            provisional_timeout=seconds(provisional_timeout),
            final_timeout=seconds(final_timeout),
            stateless=type == "stateless",
            trusted=trusted,
            consumed=self._consumed,
        )
        check_words(forking=forking, path=path, type=type)
        fields = header_list(headers)
        proxying = Proxying(self._dispatcher.loop)
        self.proxied = True
        self._dispatcher.forget(self)
        self._dispatcher.link.proxy(self._transaction, chosen, options, fields, proxying)
        try:
            return await proxying.finished
        except asyncio.CancelledError:
            # An agent that closes leaves what it had proxied to the server.
            if self.agent.is_open:
                self.cancel_proxy()
            raise
        finally:
            if proxying.refused:
                self.proxied = False

    def cancel_proxy(self, status: int = 487, reason: str | None = None) -> None:
        """Gives up what `proxy` does: every branch that has not answered is cancelled, and the caller gets `status`.

        `proxy` returns when that is done; a 2xx that crosses the CANCEL still wins (RFC 3261 §9.1). A request other than INVITE
        cannot be cancelled: its caller is answered at once, and what the targets answer goes nowhere. Nothing happens when the
        search is over. Over a connection to a drachtio-server the search goes on: its protocol has no word for this.

        Args:
            status: what the caller gets, 300 to 699.
            reason: the Reason value of each CANCEL (RFC 3326), such as `SIP;cause=480;text="Gone home"`.

        Raises:
            ValueError: no such status, or the reason has a line end in it.
        """
        if not 300 <= status <= 699:
            raise ValueError(f"the status for a request that is given up is from 300 to 699, not {status}")
        fields = header_list({"Reason": reason}) if reason is not None else []
        self._dispatcher.link.cancel_proxy(self._transaction, status, fields[0][1] if fields else None)

    def __repr__(self) -> str:
        return f"<Request {self.msg.method} {self.msg.uri} {self.msg.call_id}>"
