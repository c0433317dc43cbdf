"""The caller behind `dracht call`: one call from INVITE to BYE, and many at a steady rate.

It is a user agent made of the public API, not a load generator: for figures about a server's limits use SIPp.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal

from dracht._core import Uri
from dracht.cli.results import Outcome, Results
from dracht.cli.trace import MessageHolder, Trace
from dracht.errors import DrachtError, UriError

if TYPE_CHECKING:
    from dracht.agent import Agent

Finished = Callable[[int, int], None]

OFFER = (
    b"v=0\r\no=caller 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 9 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n"
)
"""An audio offer that names the discard port: there is no media behind it."""


def listener_for(uri: str) -> str:
    """Where a caller of this URI is reached: a free port of this host, of the URI's transport and address family.

    A URI on this host is called from a loopback address, any other from the one that the routes lead from.
    """
    try:
        to = Uri.parse(uri)
    except UriError:
        return "sip:127.0.0.1:0;transport=udp,tcp"  # It is refused where it is called.
    named = (to.transport or "").lower()
    if to.scheme == "sips":
        named = "wss" if named in ("ws", "wss") else "tls"
    elif named not in ("udp", "tcp", "tls", "ws", "wss"):
        named = "udp,tcp"
    try:
        address = ip_address(to.host)
    except ValueError:
        own = "127.0.0.1" if to.host.lower() == "localhost" else "*"
    else:
        own = {
            (4, True): "127.0.0.1",
            (4, False): "*",
            (6, True): "[::1]",
            (6, False): "[::]",
        }[address.version, address.is_loopback]
    return f"sip:{own}:0;transport={named}"


class Caller:
    """Calls one URI. `hold` is how long a call lasts once answered, `timeout` how long an answer may take; seconds."""

    def __init__(
        self, agent: Agent, uri: str, *, hold: float, timeout: float, trace: Trace | None = None
    ) -> None:
        self._agent = agent
        self._uri = uri
        self._hold = hold
        self._timeout = timeout
        self._trace = trace

    async def call(self) -> Outcome:
        """One call: INVITE with SDP, ACK, hold, BYE. What goes wrong is in the outcome."""
        started = time.perf_counter()
        try:
            transaction = await self._agent.request(
                self._uri, method="INVITE", body=OFFER, timeout=self._timeout
            )
            self._note("sent", transaction)
            async for response in transaction:
                self._note("received", response)
            final = await transaction.final()
            setup = time.perf_counter() - started
            if not final.ok and final.origin is None:
                return Outcome(
                    final.status, setup, f"{final.status} {final.reason}; {self._uri} cannot be reached"
                )
            if not final.ok:
                return Outcome(final.status, setup)
            self._note("sent", await final.ack())
            if self._hold:
                await asyncio.sleep(self._hold)
            bye = await self._agent.request(method="BYE", dialog=final.dialog_id, timeout=self._timeout)
            self._note("sent", bye)
            ended = await bye.final()
            self._note("received", ended)
        except DrachtError as error:
            return Outcome(None, None, f"{type(error).__name__}: {error}")
        return Outcome(final.status, setup, None if ended.ok else f"BYE: {ended.status} {ended.reason}")

    async def calls(self, count: int, rate: float, stop: asyncio.Event, finished: Finished) -> Results:
        """`count` calls, started `rate` per second on a fixed schedule, however long each takes; none more once `stop` is set.

        `finished(done, failed)` is told of progress. Calls that run when `stop` is set are let end.
        """
        results = Results()
        failed = 0

        def one_ended(call: asyncio.Task[Outcome]) -> None:
            nonlocal failed
            if call.cancelled() or call.exception() is not None:
                return
            results.outcomes.append(call.result())
            failed += not call.result().answered
            finished(len(results.outcomes), failed)

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                if (wait := started + number / rate - time.perf_counter()) > 0:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), wait)
                if stop.is_set():
                    break
                group.create_task(self.call()).add_done_callback(one_ended)
                await asyncio.sleep(0)
        results.seconds = time.perf_counter() - started
        return results

    def _note(self, direction: Literal["sent", "received"], message: MessageHolder) -> None:
        if self._trace is not None:
            self._trace.record(direction, message.msg)
