"""`Requesting`: the requests an application sends, and the dialogs it moves between engines.

Which link each goes over, and what is made of its responses, is for others; here is what may be asked for, and how.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias

from dracht.dialogid import DialogHandle
from dracht.digest import Credentials
from dracht.link.base import DialogReference
from dracht.message import Body, HeadersInput, body_bytes, header_list
from dracht.moving import export_dialog, import_dialog
from dracht.proxy import flow_token, seconds
from dracht.transaction import ClientTransaction

if TYPE_CHECKING:
    from dracht._core import Uri
    from dracht.dispatch import Dispatcher
    from dracht.publication import Publication
    from dracht.referral import Referral
    from dracht.subscription import Subscription

__all__ = ["Dialog", "Requesting"]

Dialog: TypeAlias = DialogHandle | tuple[str, str]


class Requesting(ABC):
    """The part of an `Agent` that sends requests."""

    @abstractmethod
    def _pick(self) -> Dispatcher:
        """The dispatcher of the link that the next new request goes over; `ConnectionLost` when there is none."""

    def _way(self, dialog: Dialog | None) -> tuple[Dispatcher, DialogReference | None]:
        if isinstance(dialog, DialogHandle):
            return dialog.dispatcher, dialog.reference
        return self._pick(), dialog

    async def request(
        self,
        uri: str | Uri | None = None,
        method: str = "OPTIONS",
        *,
        headers: HeadersInput | None = None,
        body: Body | None = None,
        auth: Credentials | None = None,
        dialog: Dialog | None = None,
        next_hop: str | None = None,
        flow: str | None = None,
        timeout: float | None = None,
        keep_forks: bool = False,
        retry_glare: bool = True,
        retry_interval: bool = True,
        session_timer: bool = True,
    ) -> ClientTransaction:
        """Sends a request, outside a dialog or within one; returns once it is on the wire.

        Args:
            uri: the request-URI; within a dialog its remote target when None.
            method: the method.
            headers: header fields to add. From, To, Call-ID, CSeq, Contact and Max-Forwards given here are used.
            body: the body; text is sent as UTF-8. The Content-Type of an SDP body is added.
            auth: user name and password, a `Digest`, a `Keyring`, a mapping from realm to one of these, or a function of the
                realm: the challenges of every realm for which there are credentials are answered. A `Digest` or `Keyring`
                that is given again uses nonces again, so that the next request is not challenged.
            dialog: `req.dialog_id` or `res.dialog_id`, or (Call-ID, From tag of the request that created the dialog).
            next_hop: a URI to send to instead of the request-URI.
            flow: the flow to take instead (RFC 5626): `req.flow` of an earlier request of the same peer, of this server.
            timeout: seconds until the final response. After that an INVITE is cancelled, and `RequestTimeout` raised.
                An engine gives up by itself (408) 32 s after a request without any response.
            keep_forks: give each further 2xx of a forked INVITE to `next_fork`, as a call of its own to acknowledge and end
                (RFC 3261 §13.2.2.4). The agent ends them otherwise.
            retry_glare: send a re-INVITE or UPDATE again after a 491, as RFC 3261 §14.1 says: after 2.1 to 4 s when the dialog
                began with a request of ours, else after at most 2 s; later still while the engine says `request-pending`.
            retry_interval: send it again with the interval that a 422 (RFC 4028 §7.3) or 423 (RFC 3261 §10.2.8) asks for.
            session_timer: False says nothing of session timers in an INVITE or UPDATE (RFC 4028): this call has none unless a
                later request asks for one. A drachtio-server does not know this.

        However often it is sent, it is one request with one final response; `attempts` says what was sent and why.

        Cancelling the task that awaits this, or the transaction's responses, sends CANCEL for an INVITE.

        Raises:
            ConnectionLost: there is no connection to an engine.
            CommandFailed: it could not be sent: `invalid-uri`, `no-transport`, `unknown-dialog`, `flow-failed` (the peer's
                connection is gone), `flow-forged` (no flow of this server's), ...
            HeaderError: a header field cannot be sent.
            RequestTimeout: it was not even on the wire in time.
            ValueError: `flow` is no token, or is given with a dialog or `next_hop`; `timeout` is no time.
        """
        if flow is not None:
            if next_hop is not None or dialog is not None:
                raise ValueError("flow= says where to send: it goes with neither next_hop= nor dialog=")
            next_hop = f"sip:{flow_token(flow)}@flow.invalid;lr"
        name = method.upper()
        if uri is None and dialog is None:
            raise ValueError("a request outside a dialog needs a URI")
        if name == "CANCEL" or (name == "ACK" and dialog is None):
            raise ValueError(f"{name} belongs to an INVITE: use transaction.cancel() or response.ack()")
        timeout = seconds(timeout)
        dispatcher, reference = self._way(dialog)
        target = "" if uri is None else str(uri)
        transaction = ClientTransaction(
            dispatcher,
            name,
            target,
            header_list(headers),
            body_bytes(body),
            dialog=reference,
            next_hop=next_hop,
            auth=auth,
            timeout=timeout,
            keep_forks=keep_forks,
            retry_glare=retry_glare,
            retry_interval=retry_interval,
            session_timer=session_timer,
        )
        return await transaction.start()

    # ---- dialogs that move between engines

    async def export_dialog(self, dialog: Dialog, *, release: bool = False) -> str:
        """Gives a confirmed dialog as a small, versioned value that another engine can take over.

        The value (JSON) holds what later requests need: tags, route set, target, sequence numbers, session description. A request
        that is under way while it is made does not move with it.

        Args:
            dialog: `req.dialog_id` or `res.dialog_id`, or (Call-ID, From tag of the request that created the dialog).
            release: forget it here, without a word to the peer: somebody else goes on with it.

        Raises:
            CommandFailed: `unknown-dialog`, `early-dialog`; `unsupported` by a server that is not dracht's.
            ConnectionLost: the connection to the engine is gone.
        """
        dispatcher, reference = self._way(dialog)
        if reference is None:
            raise ValueError("export_dialog() takes a dialog")
        return await export_dialog(dispatcher, reference, release=release)

    async def import_dialog(self, value: str, *, age: float = 0.0) -> DialogHandle:
        """Takes over a dialog that another engine exported: from now on its requests come here, and ours can be sent in it.

        Args:
            value: what `export_dialog` gave. It is checked as any input is.
            age: how long ago that was; seconds. Deadlines have come nearer by it.

        Raises:
            TypeError: the value is no text, or `age` no number.
            ValueError: the value cannot be used, or a later release wrote it; or `age` is negative or above a year.
            CommandFailed: `dialog-exists`, `no-transport` (no listener reaches the peer), `limit`; `unsupported` as above.
            ConnectionLost: there is no connection to an engine.
        """
        return await import_dialog(self._pick(), value, age=age)

    def subscribe(
        self,
        uri: str | Uri | None = None,
        *,
        event: str,
        expires: int = 3600,
        headers: HeadersInput | None = None,
        body: Body | None = None,
        auth: Credentials | None = None,
        dialog: Dialog | None = None,
        next_hop: str | None = None,
        retry: bool = False,
        backlog: int = 100,
    ) -> Subscription:
        """Subscribes to events (RFC 6665), and keeps the subscription refreshed: await the result, or `async with` it.

        Args:
            uri: whose events; within a dialog its remote target when None.
            event: the event package, with `;id=` where there are several: `presence`.
            expires: for how long at a time; seconds. It is refreshed at about nine tenths of what was granted.
            headers: header fields to add to each SUBSCRIBE: Accept.
            body: a filter, with its Content-Type among the headers.
            auth: user name and password, or a `Digest`.
            dialog: of a call, to share (RFC 5057).
            next_hop: a URI to send to instead of `uri`.
            retry: subscribe again when the notifier ends it and RFC 6665 §4.1.3 allows that. The first SUBSCRIBE is not retried.
            backlog: how many notifications wait for being read; the oldest are left out beyond that.

        Raises:
            RequestRefused: awaited: the notifier does not want to.
            RequestTimeout, CommandFailed, ConnectionLost: awaited: it could not be asked.
        """
        from dracht.subscription import Subscription

        if uri is None and dialog is None:
            raise ValueError("a SUBSCRIBE outside a dialog needs a URI")
        if retry and dialog is not None:
            raise ValueError("retry= begins a new dialog each time; it cannot go with dialog=")
        return Subscription(
            lambda: self._way(dialog),
            "" if uri is None else str(uri),
            event,
            expires=expires,
            headers=headers,
            body=body,
            auth=auth,
            next_hop=next_hop,
            retry=retry,
            backlog=backlog,
        )

    def refer(
        self,
        uri: str | Uri | None = None,
        *,
        refer_to: str | Uri,
        dialog: Dialog | None = None,
        headers: HeadersInput | None = None,
        subscribe: bool = True,
        auth: Credentials | None = None,
        next_hop: str | None = None,
    ) -> Referral:
        """Asks another party to call somebody (RFC 3515): await the result, or `async with` it, then follow it.

        Args:
            uri: whom to ask; within a dialog its remote target when None.
            refer_to: whom to call; for an attended transfer with the call to replace,
                `sip:carol@example.com?Replaces=...` (RFC 3891, escaped).
            dialog: of the call to transfer.
            headers: header fields to add: Referred-By (RFC 3892).
            subscribe: False asks for no report (RFC 4488); the recipient may report all the same.
            auth: user name and password, or a `Digest`.
            next_hop: a URI to send to instead of `uri`.

        Raises:
            RequestRefused: awaited: the recipient does not want to.
            RequestTimeout, CommandFailed, ConnectionLost: awaited: it could not be asked.
        """
        from dracht.referral import Referral

        if uri is None and dialog is None:
            raise ValueError("a REFER outside a dialog needs a URI")
        dispatcher, reference = self._way(dialog)
        return Referral(
            dispatcher,
            reference,
            "" if uri is None else str(uri),
            str(refer_to),
            headers=headers,
            subscribe=subscribe,
            auth=auth,
            next_hop=next_hop,
        )

    def publish(
        self,
        uri: str | Uri,
        body: Body,
        *,
        event: str,
        content_type: str,
        expires: int = 3600,
        headers: HeadersInput | None = None,
        auth: Credentials | None = None,
        next_hop: str | None = None,
    ) -> Publication:
        """Publishes event state (RFC 3903), and keeps it published: await the result, or `async with` it.

        Args:
            uri: whose state.
            body: the state.
            event: the event package.
            content_type: of the body.
            expires: for how long at a time; seconds. It is refreshed at about nine tenths of what was granted.
            headers: header fields to add to each PUBLISH.
            auth: user name and password, or a `Digest`.
            next_hop: a URI to send to instead of `uri`.

        Raises:
            RequestRefused: awaited: the compositor does not want it.
            RequestTimeout, CommandFailed, ConnectionLost: awaited: it could not be asked.
        """
        from dracht.publication import Publication

        return Publication(
            self._pick,
            str(uri),
            event,
            body,
            content_type=content_type,
            expires=expires,
            headers=headers,
            auth=auth,
            next_hop=next_hop,
        )
