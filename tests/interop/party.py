"""One of ours in a call with a real peer: an application that answers what comes as a user agent would, and keeps all of it.

What a test wants different it says by replacing `answer`, per test.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from dracht import Agent, Request, Response
from dracht.digest import Credentials
from dracht.requesting import Dialog
from dracht.transaction import IncomingResponse

from tests.conformance.station import Station
from tests.interop.peers.process import eventually
from tests.interop.sdp import direction, sdp

__all__ = ["Party", "nobody"]

Answer: TypeAlias = Callable[[Request, Response], Awaitable[None]]
_MIRRORED = {"sendonly": "recvonly", "recvonly": "sendonly"}


async def nobody(req: Request, res: Response) -> None:
    """A handler for who is not called."""
    raise AssertionError(f"{req!r} came")


class Party:
    """A user agent of ours.

    Args:
        reliable: whether it sends a reliable 183 before it answers a call.
        answer: how a new INVITE is answered, instead of 180 and 200.
    """

    station: Station

    def __init__(self, *, reliable: bool = False, answer: Answer | None = None) -> None:
        self.seen: list[Request] = []
        """What came, in order: requests, ACKs and PRACKs."""
        self._reliable = reliable
        self._answer = answer

    async def handler(self, req: Request, res: Response) -> None:
        """Takes what comes."""
        self.seen.append(req)
        if req.method == "INVITE":
            if req.is_new_invite:
                await (self._answer or self._ring)(req, res)
                return
            self.seen.append(await res.send(200, body=mirrored(req.body)).acked())
        elif req.method == "UPDATE":
            await res.send(200, body=mirrored(req.body) if req.body else b"")
        elif req.method == "REFER":
            await res.send(202)
        else:
            await res.send(200)

    async def _ring(self, req: Request, res: Response) -> None:
        if self._reliable:
            self.seen.append(await res.send(183, body=sdp(), reliable=True).acked())
        else:
            await res.send(180)
        self.seen.append(await res.send(200, body=sdp()).acked())

    @property
    def agent(self) -> Agent:
        return self.station.agent

    @property
    def address(self) -> str:
        """`HOST:PORT`."""
        host, port = self.station.address
        return f"{host}:{port}"

    @property
    def uri(self) -> str:
        """Where it is called."""
        return f"sip:ours@{self.address}"

    @property
    def methods(self) -> list[str]:
        """The methods of what came."""
        return [req.method for req in self.seen]

    def last(self, method: str) -> Request:
        """The last request of that method."""
        return next(req for req in reversed(self.seen) if req.method == method)

    @property
    def dialog(self) -> Dialog:
        """The dialog of the last call that came."""
        dialog = self.last("INVITE").dialog_id
        assert dialog is not None
        return dialog

    async def saw(self, methods: str) -> None:
        """Waits until exactly these came, in that order: `"INVITE ACK BYE"`."""
        expected = methods.split()
        await eventually(
            lambda: len(self.methods) >= len(expected), lambda: f"{methods}; {self.methods} came"
        )
        assert self.methods == expected, f"{methods}; {self.methods} came"

    async def call(
        self,
        uri: str,
        *,
        next_hop: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Credentials | None = None,
        body: bytes | None = None,
    ) -> IncomingResponse:
        """Calls, acknowledges what comes reliably, and the answer; the answer, whatever it is."""
        invite = await self.agent.request(
            uri,
            "INVITE",
            headers=headers,
            body=sdp() if body is None else body,
            next_hop=next_hop,
            auth=auth,
            timeout=30.0,
        )
        async for response in invite:
            if not response.final and "RSeq" in response.headers:
                assert (await (await response.prack()).final()).status == 200
        answer = await invite.final()
        if answer.ok:
            await answer.ack()
        return answer

    async def within(
        self,
        dialog: Dialog | None,
        method: str,
        body: bytes | str = b"",
        *,
        headers: Mapping[str, str] | None = None,
        auth: Credentials | None = None,
    ) -> IncomingResponse:
        """A request in a dialog; its final response, acknowledged where it is an INVITE's 2xx."""
        assert dialog is not None
        sent = await self.agent.request(
            method=method, dialog=dialog, body=body, headers=headers, auth=auth, timeout=30.0
        )
        final = await sent.final()
        if method == "INVITE" and final.ok:
            await final.ack()
        return final

    async def hang_up(self, dialog: Dialog | None) -> None:
        """BYE, and its 200."""
        assert (await self.within(dialog, "BYE")).status == 200


def mirrored(offer: bytes) -> bytes:
    """An answer whose direction fits the offer's (RFC 3264 §6.1)."""
    asked = direction(offer)
    return sdp(_MIRRORED.get(asked, asked))
