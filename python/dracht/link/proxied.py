"""`ProxyReplies`: makes branches, a winner and a final status of what a server says about a proxied request.

The protocol gives the final responses of the targets, one after the other, and then that it is done: which of them went upstream
is told by RFC 3261 §16.7, items 5 and 6.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from dracht._core import Message
from dracht.errors import ConnectionLost, ParseError
from dracht.link.base import ProxyCompletion
from dracht.link.wire import WirePath, failure

if TYPE_CHECKING:
    from dracht.link.connection import ControlConnection

__all__ = ["ProxyReplies", "best"]


class ProxyReplies:
    """The answers to one `proxy` frame."""

    __slots__ = ("_branches", "_completion", "_connection", "_finals", "_stateless")

    def __init__(self, completion: ProxyCompletion, connection: ControlConnection, stateless: bool) -> None:
        self._stateless = stateless
        self._completion = completion
        self._connection = connection
        self._branches: dict[str, int] = {}
        self._finals: list[tuple[int, int]] = []

    def take(self, tokens: list[str], text: bytes) -> bool:
        """One answer; says whether more follow."""
        if not tokens:
            self._completion.failed(self._connection.error or ConnectionLost("the connection is gone"))
            return False
        if tokens[3] != "OK":
            self._completion.failed(failure("|".join(tokens[4:])))
            return False
        if tokens[4] == "done":
            # What is forwarded without state has no outcome here.
            status, winner = (None, None) if self._stateless and not self._finals else best(self._finals)
            if len(tokens) > 5 and tokens[5].isdecimal() and int(tokens[5]) != status:
                # A server of dracht's says what the caller got, once it was told to give something up: it may be none of these.
                status, winner = int(tokens[5]), None
            self._completion.done(status, winner)
            return False
        with contextlib.suppress(ParseError):
            self._response(Message.parse(text), tokens)
        return len(tokens) > 12 and tokens[12] == "continue"

    def _response(self, message: Message, tokens: list[str]) -> None:
        # Each request that was forwarded has a branch of the server's own, which its responses carry on top.
        key = message.via.branch or f"{tokens[7]}:{tokens[8]}"
        branch = self._branches.setdefault(key, len(self._branches))
        if message.status >= 200:
            self._finals.append((message.status, branch))
        self._completion.response(branch, message, WirePath(tokens, 6))


def best(finals: list[tuple[int, int]]) -> tuple[int, int | None]:
    """The status and branch that went upstream: the first 2xx, else a 6xx, else the lowest class; 408 where none answered.

    Args:
        finals: status and branch of each final response, in order of arrival.
    """
    if not finals:
        return 408, None
    for status, branch in finals:
        if 200 <= status < 300:
            return status, branch
    for status, branch in finals:
        if status >= 600:
            return status, branch
    status, branch = min(finals, key=lambda one: one[0] // 100)
    return status, branch
