"""`ControlConnection`: one connection to a server, from its first byte to its last. It writes commands and reads what comes.

It is an asyncio protocol without tasks or streams: a chunk that arrives is cut into frames and each is handed on at once; what is
written in one tick of the loop goes out in one piece, and what handlers answer to a chunk goes out behind them in the tick that
runs them. It does not reconnect; `control` and `accept` do what comes around it. It is above
400 lines as each command and each answer has a method here; the text of the frames is `wire`'s.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dracht._core import Message, reason_phrase
from dracht.errors import (
    AuthenticationFailed,
    CommandFailed,
    ConnectionLost,
    ControlProtocolError,
    ParseError,
)
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
from dracht.link.frame import FrameReader
from dracht.link.moving import fail, failed, refusal
from dracht.link.proxied import ProxyReplies
from dracht.link.wire import WirePath, dialog_text, failure, fields_text, in_order, one_word, proxy_meta

if TYPE_CHECKING:
    from typing import TypeAlias

__all__ = ["ControlConnection"]

log = logging.getLogger("dracht.control")

# Takes the tokens and the SIP text of a reply; says whether more of them follow.
Reply: TypeAlias = Callable[[list[str], bytes], bool]

# What a drachtio-server can take in one frame, by its buffer; ours says `dracht` in its version and takes more.
_DRACHTIO_PAYLOAD = 12_228
_DRACHT_PAYLOAD = 1024 * 1024
# What may wait to be sent: a server that reads nothing for so long is as good as gone.
_MAX_UNSENT = 64 * 1024 * 1024
# How much is read at once: at first, and on a connection that has more to give. A fresh 256 KiB for each chunk, which transports
# take where the protocol has no buffer, costs more than reading it.
_READ = 4096
_READ_MOST = 64 * 1024
# Between an early UPDATE's transaction, which is that of its INVITE, and its CSeq number; see `_sip`.
_SEPARATOR = "\0"
# A word that only dracht's own server knows.
_NO_SESSION_TIMER = "withoutSessionTimer"


class ControlConnection(asyncio.BufferedProtocol):
    """One connection.

    Args:
        name: where it leads, for people.
        secret: what to authenticate with.
        tags: labels of this application.
        receiver: what is told of requests and responses.
        limit: the longest payload accepted; bytes.
    """

    __slots__ = (
        "_buffer",
        "_commands",
        "_flushing",
        "_heard",
        "_number",
        "_out",
        "_pinging",
        "_prefix",
        "_reader",
        "_replies",
        "_secret",
        "_sent_bytes",
        "_tags",
        "_transport",
        "authenticated",
        "closed",
        "error",
        "hostports",
        "loop",
        "max_payload",
        "name",
        "receiver",
        "version",
    )

    def __init__(self, name: str, secret: str, tags: Sequence[str], receiver: Receiver) -> None:
        self.name = name
        self.receiver = receiver
        self.loop = asyncio.get_running_loop()
        self.authenticated: asyncio.Future[None] = self.loop.create_future()
        """Done once the server let us in; raises AuthenticationFailed or ConnectionLost."""
        self.closed: asyncio.Future[None] = self.loop.create_future()
        """Done once the connection is gone and everything that waited was told."""
        self.error: Exception | None = None
        """Why it is gone."""
        self.hostports: list[str] = []
        self.version = ""
        self.max_payload = _DRACHTIO_PAYLOAD
        self._secret = secret
        self._tags = tags
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(_READ)
        self._reader = FrameReader()
        self._out: list[bytes] = []
        self._flushing = False
        self._sent_bytes = 0
        # Unique among all clients of a server: it keeps one table for them.
        self._prefix = secrets.token_hex(8)
        self._number = 0
        self._commands: dict[str, Completion] = {}
        self._replies: dict[str, Reply] = {}
        self._heard = False
        self._pinging = False

    # ---- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Authenticates."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a control connection is a stream")
        self._transport = transport
        text = f"authenticate|{self._secret}|{','.join(self._tags)}"
        self.ask(text.encode("utf-8", "surrogateescape"), self._welcome)
        self._flush()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next chunk goes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hands on every frame that is complete."""
        self._heard = True
        data = bytes(memoryview(self._buffer)[:nbytes])
        if nbytes == len(self._buffer) < _READ_MOST:
            self._buffer = bytearray(4 * nbytes)
        scheduled, self._flushing = self._flushing, True
        is_later = False
        reader = self._reader
        for payload in reader.feed(data):
            head, _, text = payload.partition(b"\r\n")
            tokens = head.decode("utf-8", "surrogateescape").split("|")
            try:
                if self._frame(tokens, text):
                    is_later = True
            except (IndexError, ParseError) as error:
                log.warning(
                    "%s: a frame is passed over: %s: %s", self.name, error or "too few tokens", head[:200]
                )
            except Exception:
                log.exception("%s: a frame could not be handled: %s", self.name, head[:200])
        self._flushing = scheduled
        if not is_later:
            self._flush()
        elif not scheduled:
            # Behind the handlers and waiters that the loop runs in its next turn, for all that they answer.
            self._flush_soon()
        if reader.error is not None and self._transport is not None:
            self.fail(reader.error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells everything that waits."""
        if self.error is None:
            self.error = ConnectionLost(f"the connection to {self.name} is gone{f': {exc}' if exc else ''}")
        elif not isinstance(self.error, ConnectionLost):
            self.error = ConnectionLost(f"the connection to {self.name} was closed: {self.error}")
        self._transport = None
        self._out.clear()
        if not self.authenticated.done():
            self.authenticated.set_exception(self.error)
        commands, self._commands = self._commands, {}
        for completion in commands.values():
            completion.failed(self.error)
        replies, self._replies = self._replies, {}
        for reply in replies.values():
            reply([], b"")
        if not self.closed.done():
            self.closed.set_result(None)

    def fail(self, error: Exception) -> None:
        """Gives the connection up, at once."""
        if self._transport is not None:
            if self.error is None:
                self.error = error
            if isinstance(error, ControlProtocolError):
                log.error("%s broke the control protocol, the connection is closed: %s", self.name, error)
            self._transport.abort()

    def close(self) -> None:
        """Closes the connection once what was written has gone."""
        if self._transport is not None:
            self._flush()
            if self.error is None:
                self.error = ConnectionLost(f"the connection to {self.name} was closed by this application")
            self._transport.close()

    @property
    def ready(self) -> bool:
        """Whether commands can be written."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self.error is None

    @property
    def pending(self) -> int:
        """How many commands have no answer."""
        return len(self._commands) + len(self._replies)

    # ---- writing

    def ask(self, text: bytes, reply: Reply) -> None:
        """Writes a frame whose answers `reply` takes; with no tokens when the connection is lost."""
        identifier = self._next_id()
        self._replies[identifier] = reply
        self._write(b"%b|%b" % (identifier.encode(), text))

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

    def _next_id(self) -> str:
        self._number += 1
        return f"{self._prefix}{self._number:x}"

    def _write(self, payload: bytes) -> None:
        if not self._flushing:
            self._flush_soon()
        self._out.append(b"%d#%b" % (len(payload), payload))

    def _flush_soon(self) -> None:
        self._flushing = True
        self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        out, transport = self._out, self._transport
        if not out or transport is None:
            return
        transport.write(b"".join(out) if len(out) > 1 else out[0])
        out.clear()
        if transport.get_write_buffer_size() > _MAX_UNSENT:
            self.fail(
                ConnectionLost(f"{self.name} has not read {_MAX_UNSENT} bytes; the connection is given up")
            )

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

    def _reply(self, tokens: list[str], text: bytes) -> None:
        reply = self._replies.get(tokens[2])
        if reply is None:
            log.debug("%s: an answer to nothing is passed over: %s", self.name, tokens)
        elif not reply(tokens, text):
            self._replies.pop(tokens[2], None)

    def _cdr(self, kind: str, tokens: list[str], text: bytes) -> None:
        detail = tokens[4] if len(tokens) > 4 else ""
        message = Message.parse(text)
        if kind == "cdr:attempt":
            self.receiver.cdr("attempt", tokens[2], tokens[3], detail, message)
        elif kind == "cdr:start":
            self.receiver.cdr("start", tokens[2], tokens[3], detail, message)
        elif kind == "cdr:stop":
            self.receiver.cdr("stop", tokens[2], tokens[3], detail, message)

    # ---- letting in, signs of life

    def _welcome(self, tokens: list[str], text: bytes) -> bool:
        if not tokens:
            return False
        if tokens[3] != "OK":
            said = "|".join(tokens[4:]) or "no reason given"
            self.fail(AuthenticationFailed(f"{self.name} refused the secret: {said}"))
            return False
        self.hostports = [one for one in tokens[4].split(",") if one]
        self.version = tokens[5] if len(tokens) > 5 else ""
        self.max_payload = _DRACHT_PAYLOAD if self.is_dracht else _DRACHTIO_PAYLOAD
        if self.is_dracht:
            # From now on its requests come with the flow that they came over.
            self.ask(b"flows", lambda _tokens, _text: False)
            # A token that other clients are not sent: they do not know it.
            self.ask(b"certificates", lambda tokens, text: False)
        if not self.authenticated.done():
            self.authenticated.set_result(None)
        return False

    @property
    def is_dracht(self) -> bool:
        """Whether the server is one of dracht's, which knows words that drachtio's does not."""
        return "dracht-" in self.version

    @property
    def answers_pings(self) -> bool:
        """Whether the server knows `ping`: from v0.8.2 on."""
        parts = self.version.removeprefix("v").split("-")[0].split(".")
        if len(parts) < 3 or not all(part.isdecimal() for part in parts):
            return False
        return tuple(int(part) for part in parts) >= (0, 8, 2)

    def check_alive(self) -> None:
        """Asks for a sign of life; gives the connection up when there was none since this was called before."""
        if self._transport is None:
            return
        if self._pinging and not self._heard:
            self.fail(ConnectionLost(f"{self.name} gives no sign of life; the connection is given up"))
            return
        self._heard = False
        self._pinging = True
        self.ask(b"ping", self._pong)

    def _pong(self, tokens: list[str], text: bytes) -> bool:
        self._pinging = False
        return False


_PHRASES: dict[int, str] = {}


def _phrase(status: int) -> str:
    phrase = _PHRASES.get(status)
    if phrase is None:
        # A status line without a phrase is not read by every server.
        phrase = _PHRASES[status] = reason_phrase(status) or "Unknown"
    return phrase
