"""Calls as phones make them, thousands at a time: what a caller sends, and what must come back.

A call is a coroutine on a line. It raises `CallFailed` when what comes is not what the call is about.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from bench.soak.lines import Datagrams, Line

__all__ = [
    "KEPT_BACK",
    "KINDS",
    "Answering",
    "Call",
    "CallFailed",
    "Kind",
    "Switchboard",
    "answered",
    "reset",
]

LIMIT = 40.0
"""Seconds after which a request of a call has failed: beyond the 32 s that a transaction may take (RFC 3261 §17)."""
KEPT_BACK = "X-Kept-Back"
"""A request with this header field is answered only after the line is gone."""
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
)
_CALL_ID = re.compile(rb"\r\nCall-ID: *([^\r]+)", re.IGNORECASE)
_CSEQ = re.compile(rb"\r\nCSeq: *(\d+) +([A-Z]+)", re.IGNORECASE)
_TO = re.compile(rb"\r\nTo: *([^\r]+)", re.IGNORECASE)
_CONTACT = re.compile(rb"\r\nContact: *<([^>]+)>", re.IGNORECASE)
_RECORD_ROUTE = re.compile(rb"\r\nRecord-Route: *([^\r]+)", re.IGNORECASE)
_ECHOED = re.compile(rb"\r\n((?:Via|From|Call-ID|CSeq|Record-Route):[^\r]+)", re.IGNORECASE)
_number = itertools.count(1)


class CallFailed(Exception):
    """A call went another way than it should."""


class Switchboard:
    """Knows which call a message belongs to."""

    def __init__(self) -> None:
        self._calls: dict[bytes, Call] = {}
        self.stray = 0
        """Messages of calls that have ended: repetitions."""

    def __len__(self) -> int:
        return len(self._calls)

    def receive(self, line: Line, message: bytes) -> None:
        """Takes a message that came."""
        found = _CALL_ID.search(message)
        call = self._calls.get(found[1]) if found else None
        if call is None:
            self.stray += 1
        else:
            call.came(message)

    def call(self, line: Line, user: str) -> Call:
        """A new call to a user; `end` it."""
        call = Call(self, line, user)
        self._calls[call.id.encode()] = call
        return call

    def ended(self, call: Call) -> None:
        self._calls.pop(call.id.encode(), None)


class Call:
    """One caller's side, as plain as it can be."""

    def __init__(self, board: Switchboard, line: Line, user: str) -> None:
        number = next(_number)
        self.id = f"{number:x}.soak"
        self.line = line
        self._board = board
        self._uri = f"sip:{user}@127.0.0.1"
        self._from = f"<sip:soak@127.0.0.1>;tag=s{number:x}"
        self._to = f"<{self._uri}>"
        self._target = self._uri
        self._routes = ""
        self._cseq = 0
        self._branch = ""
        self._waiting: asyncio.Future[bytes] | None = None
        self._wanted: tuple[int, bytes] = (0, b"")
        self._from_status = 200
        self._acknowledged: tuple[int, bytes] = (0, b"")

    def end(self) -> None:
        """Forgets it."""
        self._board.ended(self)

    def came(self, message: bytes) -> None:
        if not message.startswith(b"SIP/2.0 "):
            return
        found = _CSEQ.search(message)
        if found is None:
            return
        if int(found[1]) == self._acknowledged[0] and found[2] == b"INVITE":
            self.line.send(self._acknowledged[1])  # a repeated final response: its ACK was lost
            return
        if (int(found[1]), found[2]) != self._wanted:
            return
        if int(message[8:11]) >= self._from_status and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(message)

    def _written(self, method: str, cseq: int, branch: str, body: str, fields: str) -> bytes:
        line = self.line
        content = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {self._target} SIP/2.0\r\n"
            f"Via: SIP/2.0/{line.transport.upper()} {line.sent_by};branch={branch};rport\r\n"
            f"{self._routes}From: {self._from}\r\nTo: {self._to}\r\nCall-ID: {self.id}\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <{line.contact}>\r\nMax-Forwards: 70\r\n{fields}{content}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    async def request(self, method: str, *, body: str = "", fields: str = "", until: int = 200) -> bytes:
        """Sends a request, and again where the line may lose it; the first response from `until` on."""
        self._cseq += 1
        self._branch = f"z9hG4bK{self.id}{self._cseq}"
        self._wanted, self._from_status = (self._cseq, method.encode()), until
        message = self._written(method, self._cseq, self._branch, body, fields)
        return await self._answer(message, method)

    async def _answer(self, message: bytes, what: str) -> bytes:
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        interval = 0.5 if not self.line.reliable else LIMIT
        left = LIMIT
        while left > 0:
            self.line.send(message)
            done, _ = await asyncio.wait((waiting,), timeout=min(interval, left))
            if done:
                return waiting.result()
            left -= interval
            interval = min(interval * 2, 4.0)
        raise CallFailed(f"{what} over {self.line.transport} was not answered within {LIMIT:g} s")

    async def later(self, until: int, what: str) -> bytes:
        """The response from `until` on that is still to come to the last request."""
        self._from_status = until
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        try:
            async with asyncio.timeout(LIMIT):
                return await waiting
        except TimeoutError:
            raise CallFailed(f"{what} over {self.line.transport} did not come within {LIMIT:g} s") from None

    def take(self, answer: bytes) -> None:
        """Learns the dialog from a 2xx (RFC 3261 §12.1.2)."""
        if (to := _TO.search(answer)) is not None:
            self._to = to[1].decode()
        if (contact := _CONTACT.search(answer)) is not None:
            self._target = contact[1].decode()
        routes = [
            route.strip() for found in _RECORD_ROUTE.findall(answer) for route in found.decode().split(",")
        ]
        self._routes = "".join(f"Route: {route}\r\n" for route in reversed(routes))

    def acknowledge(self, answer: bytes) -> None:
        """ACK: of a 2xx in a transaction of its own, else in that of the INVITE."""
        success = answer[8:9] == b"2"
        if not success:
            to = _TO.search(answer)
            self._to = to[1].decode() if to else self._to
        branch = f"{self._branch}a" if success else self._branch
        acknowledgement = self._written("ACK", self._cseq, branch, "", "")
        self._acknowledged = (self._cseq, acknowledgement)
        self.line.send(acknowledgement)

    def cancel(self) -> None:
        """CANCEL of the last request."""
        self.line.send(self._written("CANCEL", self._cseq, self._branch, "", ""))

    def send(self, method: str, fields: str = "") -> None:
        """Sends a request whose answer nobody waits for."""
        self._cseq += 1
        self.line.send(self._written(method, self._cseq, f"z9hG4bK{self.id}{self._cseq}", "", fields))


def expect(answer: bytes, status: int, what: str, line: Line) -> None:
    """Fails where the answer is another."""
    if int(answer[8:11]) != status:
        start = answer.split(b"\r\n", 1)[0].decode("utf-8", "replace")
        raise CallFailed(f"{what} over {line.transport} got {start}, not {status}")


async def _set_up(call: Call) -> None:
    answer = await call.request("INVITE", body=SDP)
    expect(answer, 200, "INVITE", call.line)
    call.take(answer)
    call.acknowledge(answer)


async def answered(board: Switchboard, line: Line, user: str = "answer") -> None:
    """INVITE, 200, ACK, BYE, 200."""
    call = board.call(line, user)
    try:
        await _set_up(call)
        expect(await call.request("BYE"), 200, "BYE", line)
    finally:
        call.end()


async def through(board: Switchboard, line: Line) -> None:
    """A call that is proxied."""
    await answered(board, line, "through")


async def reinvited(board: Switchboard, line: Line) -> None:
    """A call with a re-INVITE in it."""
    call = board.call(line, "answer")
    try:
        await _set_up(call)
        await _set_up(call)
        expect(await call.request("BYE"), 200, "BYE", line)
    finally:
        call.end()


async def refused(board: Switchboard, line: Line) -> None:
    """A call that gets 486."""
    call = board.call(line, "busy")
    try:
        answer = await call.request("INVITE", body=SDP)
        call.acknowledge(answer)
        expect(answer, 486, "INVITE", line)
    finally:
        call.end()


async def cancelled(board: Switchboard, line: Line) -> None:
    """A call that rings, is cancelled, and gets 487."""
    call = board.call(line, "ring")
    try:
        ringing = await call.request("INVITE", body=SDP, until=180)
        expect(ringing, 180, "INVITE", line)
        call.cancel()
        answer = await call.later(200, "487")
        call.acknowledge(answer)
        expect(answer, 487, "cancelled INVITE", line)
    finally:
        call.end()


async def reset(board: Switchboard, line: Line) -> None:
    """A call whose caller sends BYE and is gone, with RST, before it is answered: the line is lost.

    The application keeps the answer back. What is sent behind the BYE, and answered, tells that the BYE was read: without
    that the RST might take it away from the server's socket unread, and the call would go on, as it should.
    """
    call = board.call(line, "answer")
    try:
        await _set_up(call)
        call.send("BYE", f"{KEPT_BACK}: 1\r\n")
        await options(board, line)
        line.reset()
    finally:
        call.end()


async def register(board: Switchboard, line: Line) -> None:
    """REGISTER."""
    call = board.call(line, "user")
    try:
        expect(await call.request("REGISTER", fields="Expires: 60\r\n"), 200, "REGISTER", line)
    finally:
        call.end()


async def options(board: Switchboard, line: Line) -> None:
    """OPTIONS."""
    call = board.call(line, "anybody")
    try:
        expect(await call.request("OPTIONS"), 200, "OPTIONS", line)
    finally:
        call.end()


Kind: TypeAlias = Callable[[Switchboard, Line], Awaitable[None]]
KINDS: tuple[tuple[int, Kind], ...] = (
    (40, answered),
    (15, through),
    (12, reinvited),
    (10, cancelled),
    (10, refused),
    (5, register),
    (5, options),
    (3, reset),
)
"""What calls are, and how many of each hundred."""


class Answering:
    """The callee behind the proxy: answers everything with 200, and repeats that of an INVITE until the ACK comes."""

    def __init__(self) -> None:
        self.invites = 0
        self._repeating: dict[bytes, asyncio.TimerHandle] = {}
        self._datagrams = Datagrams(self._received)
        self.port = self._datagrams.port
        """Where it is called."""

    def close(self) -> None:
        """Ends it."""
        for repeating in self._repeating.values():
            repeating.cancel()
        self._datagrams.close()

    def _received(self, data: bytes, addr: tuple[str, int]) -> None:
        method = data[: data.find(b" ")]
        call, to = _CALL_ID.search(data), _TO.search(data)
        if call is None or to is None or data.startswith(b"SIP/2.0"):
            return
        if method == b"ACK":
            if (repeating := self._repeating.pop(call[1], None)) is not None:
                repeating.cancel()
            return
        fields = [found.decode() for found in _ECHOED.findall(data)]
        tagged = to[1].decode() if b";tag=" in to[1] else f"{to[1].decode()};tag=callee"
        fields += [f"To: {tagged}", f"Contact: <sip:callee@127.0.0.1:{self.port}>"]
        body = ""
        if method == b"INVITE":
            self.invites += 1
            body = SDP
            fields.append("Content-Type: application/sdp")
        head = "\r\n".join(["SIP/2.0 200 OK", *fields, f"Content-Length: {len(body)}"])
        answer = f"{head}\r\n\r\n{body}".encode()
        self._datagrams.send(answer, addr)
        if method == b"INVITE":
            self._repeat(call[1], answer, addr, (0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4))

    def _repeat(self, call: bytes, answer: bytes, to: tuple[str, int], after: Sequence[float]) -> None:
        """Sends a 2xx again until the ACK comes: a proxy does not (RFC 3261 §13.3.1.4)."""
        if (before := self._repeating.pop(call, None)) is not None:
            before.cancel()
        if not after:
            return

        def again() -> None:
            self._datagrams.send(answer, to)
            self._repeat(call, answer, to, after[1:])

        self._repeating[call] = asyncio.get_running_loop().call_later(after[0], again)
