"""`ControlConnection`: one connection to a server. It writes commands and reads what comes: each command and each event has a
method here. The bytes are `stream`'s, the text of the frames `wire`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from dracht._core import Message, reason_phrase
from dracht.errors import CommandFailed, ConnectionLost, ParseError
from dracht.link.base import (
    Completion,
    DialogId,
    DialogReference,
    HeaderList,
    ProxyCompletion,
    ProxyOptions,
    Receiver,
    TransactionId,
)
from dracht.link.moving import fail, failed, refusal
from dracht.link.proxied import ProxyReplies
from dracht.link.stream import ControlStream
from dracht.link.wire import WirePath, dialog_text, failure, fields_text, in_order, one_word, proxy_meta

__all__ = ["ControlConnection"]

log = logging.getLogger("dracht.control")

# Between an early UPDATE's transaction, which is that of its INVITE, and its CSeq number; see `_sip`.
_SEPARATOR = "\0"
# A word that only dracht's own server knows.
_NO_SESSION_TIMER = "withoutSessionTimer"


class ControlConnection(ControlStream):
    """One connection.

    Args:
        name: where it leads, for people.
        secret: what to authenticate with.
        tags: labels of this application.
        receiver: what is told of requests and responses.
    """

    __slots__ = ("receiver",)

    def __init__(self, name: str, secret: str, tags: Sequence[str], receiver: Receiver) -> None:
        super().__init__(name, secret, tags)
        self.receiver = receiver

    # ---- commands

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
        """Answers a request."""
        name, _, number = str(transaction).partition(_SEPARATOR)
        fields = fields_text(headers) if headers else ""
        if number:
            fields = f"{fields}CSeq: {number} UPDATE\r\n"
        word = "" if session_timer or not self.is_dracht else f"||{_NO_SESSION_TIMER}"
        self._command(
            f"|sip|{name}|{word}\r\nSIP/2.0 {status} {reason or _phrase(status)}\r\n{fields}",
            body,
            completion,
        )

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
        """Sends a request."""
        try:
            # Within a dialog a drachtio-server takes this host for the remote target.
            where = one_word(uri, "the request-URI") if uri else "sip:placeholder"
            meta = f"|sip||{dialog_text(dialog)}"
            if next_hop:
                meta = f"{meta}|{one_word(next_hop, 'next_hop')}"
            if not session_timer and self.is_dracht:
                meta = f"{meta}{'' if next_hop else '|'}|{_NO_SESSION_TIMER}"
            start = f"{one_word(method, 'the method')} {where} SIP/2.0"
        except ParseError as error:
            completion.failed(CommandFailed("invalid-uri", str(error)))
            return
        self._command(f"{meta}\r\n{start}\r\n{fields_text(headers)}", body, completion)

    def cancel(self, transaction: TransactionId, headers: HeaderList, completion: Completion) -> None:
        """Cancels an INVITE."""
        self._command(
            f"|sip|{transaction}|\r\nCANCEL sip:placeholder SIP/2.0\r\n{fields_text(headers)}",
            b"",
            completion,
        )

    def proxy(
        self,
        transaction: TransactionId,
        targets: Sequence[str],
        options: ProxyOptions,
        headers: HeaderList,
        completion: ProxyCompletion,
    ) -> None:
        """Proxies a request."""
        try:
            if not self.is_dracht:
                if any(";flow=" in target for target in targets):
                    completion.failed(CommandFailed("unsupported", f"{self.name} knows nothing of flows"))
                    return
                targets = in_order(targets, options.forking)
            places = "|".join([one_word(target, "a target") for target in targets])
        except ParseError as error:
            completion.failed(CommandFailed("invalid-uri", str(error)))
            return
        meta = proxy_meta(options, extended=self.is_dracht)
        start = f"INVITE {targets[0] if targets else 'sip:placeholder'} SIP/2.0"
        text = f"proxy|{transaction}|{meta}|{places}\r\n{start}\r\n{fields_text(headers)}\r\n"
        replies = ProxyReplies(completion, self, options.stateless)
        self.ask(text.encode("utf-8", "surrogateescape"), replies.take)

    def export_dialog(self, dialog: DialogReference, release: bool) -> asyncio.Future[str]:
        """Asks for a dialog as a value."""
        text = f"export|{dialog_text(dialog)}{'|release' if release else ''}"
        return self._move(text, lambda tokens, text: text.decode())

    def import_dialog(self, value: str, age: float) -> asyncio.Future[DialogId]:
        """Takes a dialog over."""
        return self._move(f"import|{max(0, round(age * 1000))}\r\n{value}", lambda tokens, text: tokens[4])

    def _move(self, text: str, read: Callable[[list[str], bytes], str]) -> asyncio.Future[Any]:
        """Asks with a frame that only our own server knows."""
        if not self.ready:
            return failed(self.error or ConnectionLost(f"there is no connection to {self.name}"))
        if not self.is_dracht:
            return failed(
                CommandFailed("unsupported", f"{self.name} is no dracht server: it cannot move dialogs")
            )
        future: asyncio.Future[Any] = self.loop.create_future()

        def replied(tokens: list[str], text: bytes) -> bool:
            if not tokens:
                fail(future, self.error or ConnectionLost(f"the connection to {self.name} is gone"))
            elif tokens[3] != "OK":
                fail(future, refusal("|".join(tokens[4:])))
            elif not future.done():
                future.set_result(read(tokens, text))
            return False

        self.ask(text.encode("utf-8", "surrogateescape"), replied)
        return future

    def cancel_proxy(self, transaction: TransactionId, status: int, reason: str | None) -> None:
        """Gives up a request that is being proxied, where the server knows how."""
        if not self.is_dracht:
            log.warning("%s cannot give up what it proxies: the search goes on to its end", self.name)
            return
        field = fields_text([("Reason", reason)] if reason else [])
        text = f"cancel_proxy|{transaction}|{status}\r\nCANCEL sip:placeholder SIP/2.0\r\n{field}\r\n"
        self.ask(text.encode("utf-8", "surrogateescape"), lambda _tokens, _text: False)

    def drop(self, transaction: TransactionId) -> None:
        """Forgets a request, where the server knows how."""
        if self.is_dracht:
            # An UPDATE before the INVITE's final response goes under the INVITE's name: its number tells it apart.
            name, _, number = str(transaction).partition(_SEPARATOR)
            self.ask(f"drop|{name}{f'|{number}' if number else ''}".encode(), lambda _tokens, _text: False)

    def ban(self, network: str, seconds: float | None) -> None:
        """Bans a network, or lifts that, where the server knows how."""
        if not self.is_dracht:
            log.warning("%s cannot ban %s: it is no dracht server", self.name, network)
            return
        text = f"unban|{network}" if seconds is None else f"ban|{network}|{max(1, round(seconds * 1000))}"
        self.ask(text.encode(), lambda _tokens, _text: False)

    def _command(self, text: str, body: bytes, completion: Completion) -> None:
        """Writes a `sip` frame: `text` is what follows the identifier, up to the last header field but Content-Length."""
        identifier = self._next_id()
        # The server counts for itself; the field is there because every client sends it.
        head = f"{identifier}{text}Content-Length: {len(body)}\r\n\r\n".encode("utf-8", "surrogateescape")
        size = len(head) + len(body)
        if size > self.max_payload:
            completion.failed(
                CommandFailed("limit", f"a message of {size} bytes; this server takes {self.max_payload}")
            )
            return
        self._commands[identifier] = completion
        self._write(head + body if body else head)

    # ---- reading

    def _frame(self, tokens: list[str], text: bytes) -> bool:
        """Hands a frame on. Says whether the loop's next turn runs something for it that may write."""
        kind = tokens[1]
        if kind == "sip":
            return self._sip(tokens, text)
        if kind == "response":
            completion = self._commands.pop(tokens[2], None)
            if completion is None:
                self._reply(tokens, text)
            elif tokens[3] == "OK":
                # The last of a response's tokens is the dialog, of a request's a text for people.
                dialog = tokens[11]
                known = None if dialog == "Msg sent:" or not dialog else dialog
                completion.sent(tokens[10], known, text, WirePath(tokens, 6))
            else:
                completion.failed(failure("|".join(tokens[4:])))
        elif kind.startswith("cdr:"):
            self._cdr(kind, tokens, text)
        else:
            log.debug("%s: a frame of unknown type %r is passed over", self.name, kind)
        return True

    def _sip(self, tokens: list[str], text: bytes) -> bool:
        message = Message.parse(text)
        transaction, dialog = tokens[8], tokens[9] or None
        path = WirePath(tokens, 4)
        if not message.is_request:
            self.receiver.response_received(transaction, dialog, message, path)
            return True
        if tokens[2] == "network":
            if message.method == "UPDATE":
                # One that comes before the INVITE's final response comes under the INVITE's name, and the CSeq in the
                # answer tells the server which of the two is meant.
                transaction = f"{transaction}{_SEPARATOR}{message.cseq.number}"
            self.receiver.request_received(transaction, dialog, message, path)
            return message.method != "ACK"
        if message.method == "BYE" and dialog is not None:
            self.receiver.dialog_ended(dialog, message, path)
        return True

    def _cdr(self, kind: str, tokens: list[str], text: bytes) -> None:
        detail = tokens[4] if len(tokens) > 4 else ""
        message = Message.parse(text)
        if kind == "cdr:attempt":
            self.receiver.cdr("attempt", tokens[2], tokens[3], detail, message)
        elif kind == "cdr:start":
            self.receiver.cdr("start", tokens[2], tokens[3], detail, message)
        elif kind == "cdr:stop":
            self.receiver.cdr("stop", tokens[2], tokens[3], detail, message)


_PHRASES: dict[int, str] = {}


def _phrase(status: int) -> str:
    phrase = _PHRASES.get(status)
    if phrase is None:
        # A status line without a phrase is not read by every server.
        phrase = _PHRASES[status] = reason_phrase(status) or "Unknown"
    return phrase
