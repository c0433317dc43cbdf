"""`MemoryLink`: a link without an engine, for tests of what is built on an agent. It keeps what is sent; tests put in the rest.

It answers each command as an engine that puts everything on the wire unchanged would, and knows nothing of transactions: it
proves nothing about SIP. Tests of calls run against the real engine.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from dracht._core import Message, reason_phrase
from dracht.errors import CommandFailed, ConnectionLost
from dracht.link.base import (
    Completion,
    DialogId,
    DialogReference,
    Flow,
    HeaderList,
    Origin,
    ProxyCompletion,
    ProxyOptions,
    Receiver,
    TransactionId,
)
from dracht.link.moving import failed
from dracht.message import HeadersInput, body_bytes, header_list

__all__ = ["Given", "MemoryLink"]


class MemoryOrigin(NamedTuple):
    """Where a message of a test came from."""

    transport: str = "udp"
    peer: tuple[str, int] = ("192.0.2.1", 5060)
    local: tuple[str, int] | None = ("192.0.2.9", 5060)
    peer_certificate: tuple[Sequence[str], str] | None = None


class Given(NamedTuple):
    """A command that was given."""

    kind: str
    """`respond`, `request`, `cancel`, `proxy`, `cancel_proxy` (the reason in `method`), `drop` or `ban`."""
    transaction: TransactionId
    status: int = 0
    method: str = ""
    uri: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    dialog: DialogReference | None = None
    next_hop: str | None = None
    targets: Sequence[str] = ()
    options: ProxyOptions | None = None
    session_timer: bool = True
    completion: Completion | ProxyCompletion | None = None


class _Held(NamedTuple):
    number: int
    transaction: TransactionId
    dialog: str | int | None
    message: Message


class MemoryLink:
    """A fake of a link.

    Args:
        automatic: whether commands are completed at once, as sent; otherwise by `complete`.
    """

    def __init__(self, *, automatic: bool = True) -> None:
        self.automatic = automatic
        self.given: list[Given] = []
        """Every command, in order."""
        self.routes: dict[str, None] = {}
        self.ready = False
        self.name = "memory"
        self.hostports: list[str] = []
        self.origin = MemoryOrigin()
        self._receiver: Receiver | None = None
        self._numbers = itertools.count(1)
        self._open: dict[int, Completion] = {}
        self._held: list[_Held] = []
        self._requests: dict[TransactionId, Message] = {}
        self._fail: CommandFailed | None = None

    @property
    def pending(self) -> int:
        """How many commands have not been completed."""
        return len(self._open)

    async def open(self, receiver: Receiver, *, timeout: float) -> None:
        """Makes it ready."""
        self._receiver = receiver
        self.ready = True
        self.hostports = ["udp/192.0.2.9:5060"]
        receiver.link_ready(self)

    async def close(self) -> None:
        """Closes it."""
        self.lose(ConnectionLost("closed"))

    def lose(self, error: ConnectionLost | None = None) -> None:
        """The link is lost: commands that wait fail, the receiver is told."""
        if not self.ready:
            return
        error = error or ConnectionLost("the link was lost")
        self.ready = False
        waiting, self._open = self._open, {}
        for completion in waiting.values():
            completion.failed(error)
        self._told().link_lost(self, error)

    def restore(self) -> None:
        """The link works again."""
        self.ready = True
        self._told().link_ready(self)

    def fail_next(self, code: str, detail: str = "") -> None:
        """The next command fails with this."""
        self._fail = CommandFailed(code, detail)

    # ---- what comes in

    def receive(
        self,
        method: str,
        uri: str = "sip:bob@192.0.2.9",
        *,
        headers: HeadersInput | None = None,
        body: str | bytes = b"",
        transaction: TransactionId | None = None,
        dialog: str | int | None = None,
        call_id: str = "call-1@192.0.2.1",
        cseq: int = 1,
        to_tag: str | None = None,
        from_tag: str = "alice",
    ) -> TransactionId:
        """A request arrives; returns its transaction.

        Args:
            headers: header fields besides Via, From, To, Call-ID, CSeq and Max-Forwards.
            transaction: for CANCEL and ACK that of the INVITE; a new one when None.
        """
        number = transaction if transaction is not None else next(self._numbers)
        to = f"<{uri}>" + (f";tag={to_tag}" if to_tag else "")
        fields = [
            ("Via", f"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-{number}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:alice@192.0.2.1>;tag={from_tag}"),
            ("To", to),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {method}"),
            *header_list(headers),
        ]
        message = _message(f"{method} {uri} SIP/2.0", fields, body_bytes(body))
        self._receive(message, number, dialog)
        return number

    def receive_message(self, message: Message) -> TransactionId:
        """A request arrives as it is; returns its transaction, a new one."""
        number = next(self._numbers)
        self._receive(message, number, None)
        return number

    def _receive(self, message: Message, number: TransactionId, dialog: str | int | None) -> None:
        self._requests[number] = message
        self._told().request_received(number, dialog, message, self.origin)

    def respond_to(
        self,
        given: Given,
        status: int,
        *,
        headers: HeadersInput | None = None,
        body: str | bytes = b"",
        dialog: str | int | None = None,
    ) -> None:
        """A response to a request that was given arrives."""
        asked = self._requests[given.transaction]
        fields = [
            *_answering(asked, "remote"),
            *header_list(headers),
        ]
        message = _message(f"SIP/2.0 {status} {reason_phrase(status)}", fields, body_bytes(body))
        self._told().response_received(given.transaction, dialog, message, self.origin)

    def sent(self, kind: str) -> list[Given]:
        """The commands of a kind that were given so far."""
        return [one for one in self.given if one.kind == kind]

    async def wait_for(self, kind: str, count: int = 1) -> Given:
        """Waits until `count` commands of a kind were given; the last of them. One to a thousand turns of the loop."""
        for _ in range(1000):
            await asyncio.sleep(0)
            found = self.sent(kind)
            if len(found) >= count:
                return found[count - 1]
        raise AssertionError(f"no {kind} was given; there were {[one.kind for one in self.given]}")

    # ---- commands

    def forget_written(self) -> None:
        """Nothing is kept that could be forgotten."""

    def route(self, method: str) -> None:
        """Keeps the route."""
        self.routes[method] = None

    def unroute(self, method: str) -> None:
        """Forgets the route."""
        self.routes.pop(method, None)

    def respond(
        self,
        transaction: TransactionId,
        request: Message,
        status: int,
        reason: str,
        headers: HeaderList,
        body: bytes,
        completion: Completion,
        session_timer: bool = True,
    ) -> None:
        """Keeps a response."""
        asked = self._requests[transaction]
        given = Given(
            "respond",
            transaction,
            status,
            asked.method,
            headers=headers,
            body=body,
            session_timer=session_timer,
            completion=completion,
        )
        fields = [
            *_answering(asked, "local"),
            *headers,
        ]
        if 100 < status < 200 and any(
            "100rel" in value for name, value in headers if name.lower() == "require"
        ):
            fields.append(("RSeq", str(next(self._numbers))))
        message = _message(f"SIP/2.0 {status} {reason or reason_phrase(status)}", fields, body)
        dialog = (
            f"{asked.call_id};from-tag={asked.from_.tag}"
            if asked.method in ("INVITE", "SUBSCRIBE", "REFER")
            else None
        )
        self._give(given, transaction, dialog, message, completion)

    def request(
        self,
        method: str,
        uri: str,
        headers: HeaderList,
        body: bytes,
        dialog: DialogReference | None,
        next_hop: str | None,
        completion: Completion,
        session_timer: bool = True,
    ) -> None:
        """Keeps a request."""
        number = next(self._numbers)
        given = Given(
            "request",
            number,
            0,
            method,
            uri,
            headers,
            body,
            dialog,
            next_hop,
            session_timer=session_timer,
            completion=completion,
        )
        names = {name.lower() for name, _ in headers}
        target = uri or "sip:remote@192.0.2.1"
        fields = [("Via", f"SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK-{number}"), ("Max-Forwards", "70")]
        for name, value in (
            ("From", f"<sip:dracht@192.0.2.9>;tag=t{number}"),
            ("To", f"<{target}>"),
            ("Call-ID", f"call-{number}@192.0.2.9"),
            ("CSeq", f"1 {method}"),
        ):
            if name.lower() not in names:
                fields.append((name, value))
        message = _message(f"{method} {target} SIP/2.0", [*fields, *headers], body)
        self._requests[number] = message
        known = dialog if isinstance(dialog, str | int) else None
        self._give(given, number, known, message, completion)

    def cancel(self, transaction: TransactionId, headers: HeaderList, completion: Completion) -> None:
        """Keeps a CANCEL."""
        asked = self._requests[transaction]
        given = Given("cancel", transaction, 0, "CANCEL", asked.uri, headers, completion=completion)
        fields = [(name, asked.header(name) or "") for name in ("Via", "From", "To", "Call-ID")]
        fields.append(("CSeq", f"{asked.cseq.number} CANCEL"))
        message = _message(f"CANCEL {asked.uri} SIP/2.0", [*fields, *headers], b"")
        self._give(given, next(self._numbers), None, message, completion)

    def proxy(
        self,
        transaction: TransactionId,
        targets: Sequence[str],
        options: ProxyOptions,
        headers: HeaderList,
        completion: ProxyCompletion,
    ) -> None:
        """Keeps a proxy command; the test completes it."""
        method = self._requests[transaction].method
        given = Given(
            "proxy",
            transaction,
            method=method,
            headers=headers,
            targets=targets,
            options=options,
            completion=completion,
        )
        self.given.append(given)
        if not self.ready:
            completion.failed(ConnectionLost("the link was lost"))
        elif self._fail is not None:
            error, self._fail = self._fail, None
            completion.failed(error)

    def cancel_proxy(self, transaction: TransactionId, status: int, reason: str | None) -> None:
        """Keeps that a proxied request was given up."""
        self.given.append(Given("cancel_proxy", transaction, status, reason or ""))

    def drop(self, transaction: TransactionId) -> None:
        """Keeps that a request was dropped."""
        self.given.append(Given("drop", transaction))

    def flow(self, request: Message, origin: Origin) -> Flow:
        """One flow for all."""
        return Flow("drfMEMORY", False)

    def ban(self, network: str, seconds: float | None) -> None:
        """Keeps that a network was banned: the network in `uri`, the seconds in `status`."""
        self.given.append(Given("ban", 0, round(seconds or 0), uri=network))

    def export_dialog(self, dialog: DialogReference, release: bool) -> asyncio.Future[str]:
        """It has no dialogs."""
        return failed(CommandFailed("unknown-dialog", f"a memory link has no dialog {dialog!r}"))

    def import_dialog(self, value: str, age: float) -> asyncio.Future[DialogId]:
        """It has no dialogs."""
        return failed(CommandFailed("unsupported", "a memory link takes no dialogs over"))

    def _give(
        self,
        given: Given,
        transaction: TransactionId,
        dialog: str | int | None,
        message: Message,
        completion: Completion,
    ) -> None:
        self.given.append(given)
        if not self.ready:
            completion.failed(ConnectionLost("the link was lost"))
        elif self._fail is not None:
            error, self._fail = self._fail, None
            completion.failed(error)
        else:
            number = next(self._numbers)
            self._open[number] = completion
            self._held.append(_Held(number, transaction, dialog, message))
            if self.automatic:
                # As an engine does, not before the command returned.
                asyncio.get_running_loop().call_soon(self.complete)

    def complete(self) -> None:
        """Puts every message that waits for it on the wire."""
        held, self._held = self._held, []
        for number, transaction, dialog, message in held:
            completion = self._open.pop(number, None)
            if completion is not None:
                completion.sent(transaction, dialog, message, self.origin)

    def _told(self) -> Receiver:
        if self._receiver is None:
            raise ConnectionLost("the link was not opened")
        return self._receiver


def _answering(asked: Message, tag: str) -> list[tuple[str, str]]:
    """The header fields that a response has from its request (RFC 3261 §8.2.6.2)."""
    to = asked.header("To") or ""
    return [
        ("Via", asked.header("Via") or ""),
        ("From", asked.header("From") or ""),
        ("To", to if ";tag=" in to else f"{to};tag={tag}"),
        ("Call-ID", asked.call_id),
        ("CSeq", asked.header("CSeq") or ""),
    ]


def _message(start: str, fields: Sequence[tuple[str, str]], body: bytes) -> Message:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return Message.parse(f"{start}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
