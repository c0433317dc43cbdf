"""`ControlStream`: the bytes of one connection to a server, from the first to the last. It authenticates, asks for
signs of life, and knows who waits for which answer; what commands and events say is `connection`'s.

It is an asyncio protocol without tasks or streams: a chunk that arrives is cut into frames and each is handed on at once; what is
written in one tick of the loop goes out in one piece, and what handlers answer to a chunk goes out behind them in the tick that
runs them. It does not reconnect; `control` and `accept` do what comes around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dracht.errors import AuthenticationFailed, ConnectionLost, ControlProtocolError, ParseError
from dracht.link.frame import FrameReader

if TYPE_CHECKING:
    from typing import TypeAlias

    from dracht.link.base import Completion

__all__ = ["ControlStream", "Reply"]

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


class ControlStream(asyncio.BufferedProtocol):
    """The stream of one connection.

    Args:
        name: where it leads, for people.
        secret: what to authenticate with.
        tags: labels of this application.
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
        "peer",
        "version",
    )

    def __init__(self, name: str, secret: str, tags: Sequence[str]) -> None:
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.authenticated: asyncio.Future[None] = self.loop.create_future()
        """Done once the server let us in; raises AuthenticationFailed or ConnectionLost."""
        self.closed: asyncio.Future[None] = self.loop.create_future()
        """Done once the connection is gone and everything that waited was told."""
        self.error: Exception | None = None
        """Why it is gone."""
        self.peer = ""
        """The address of the other end."""
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
        # None where the peer has reset the connection already.
        host, port = (transport.get_extra_info("peername") or ("?", "?"))[:2]
        self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
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
            if not self.authenticated.done() and tokens[1:2] != ["response"]:
                self.fail(ConnectionLost(f"{self.name} sent something before it let us in"))
                break
            try:
                if self._frame(tokens, text):
                    is_later = True
            except (IndexError, ParseError) as error:
                if not self.authenticated.done():
                    # Whoever can connect could cause such lines.
                    self.fail(ConnectionLost(f"{self.name} sent what cannot be read before it let us in"))
                    break
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
            # For whoever waits for it; where nobody does, asyncio has nothing to say of it.
            self.authenticated.exception()
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
            if isinstance(error, ControlProtocolError) and self.authenticated.done():
                log.error("%s broke the control protocol, the connection is closed: %s", self.name, error)
            self._transport.abort()

    def close(self) -> None:
        """Closes the connection once what was written has gone."""
        if self._transport is not None:
            self._flush()
            if self.error is None:
                self.error = ConnectionLost(f"the connection to {self.name} was closed by this application")
            self._transport.close()

    async def leave(self) -> None:
        """Closes the connection, and waits until it is gone."""
        self.close()
        with contextlib.suppress(TimeoutError):
            # What was written goes out first; a server that does not read it must not keep us.
            async with asyncio.timeout(1.0):
                await asyncio.shield(self.closed)
        self.fail(ConnectionLost("closed"))

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

    @abstractmethod
    def _frame(self, tokens: list[str], text: bytes) -> bool:
        """Hands a frame on. Says whether the loop's next turn runs something for it that may write."""

    def _reply(self, tokens: list[str], text: bytes) -> None:
        reply = self._replies.get(tokens[2])
        if reply is None:
            log.debug("%s: an answer to nothing is passed over: %s", self.name, tokens)
        elif not reply(tokens, text):
            self._replies.pop(tokens[2], None)

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
