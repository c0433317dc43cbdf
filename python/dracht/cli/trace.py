"""What one user agent sent and received, to draw a ladder from: kept in memory, written as JSON lines, read back.

It records what the engine reports: every request, response and ACK of the call, without retransmissions and without the 100.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from dracht.cli.ladder import Arrow

if TYPE_CHECKING:
    from dracht._core import Message


class MessageHolder(Protocol):
    """Anything with a message in it: a request or response, received or sent."""

    @property
    def msg(self) -> Message: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as one user agent saw it: seconds since the epoch, which way it went, and what it was."""

    at: float
    direction: Literal["sent", "received"]
    call_id: str
    label: str
    method: str

    def key(self) -> tuple[str, str, str]:
        """What is the same for both ends of a proxied call."""
        return self.call_id, self.method, self.label


class Trace:
    """The first messages that one user agent saw, at most `limit`; written to `path` too as they come, one JSON object each."""

    def __init__(self, path: Path | None = None, limit: int = 1000) -> None:
        self.seen: list[Seen] = []
        self._limit = limit
        self._file = path.open("w", encoding="utf-8") if path else None

    def record(
        self, direction: Literal["sent", "received"], message: Message, at: float | None = None
    ) -> None:
        """Keeps a message; `at` is when, seconds since the epoch, now if left out."""
        if len(self.seen) < self._limit:
            label = message.method if message.is_request else f"{message.status} {message.reason}"
            if message.body:
                label += " (SDP)" if message.body.startswith(b"v=") else " (body)"
            seen = Seen(at or time.time(), direction, message.call_id, label, message.method)
            self.seen.append(seen)
            if self._file is not None:
                self._file.write(json.dumps(asdict(seen)) + "\n")
                self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def read(path: Path) -> list[Seen]:
    """The messages of a file that a `Trace` wrote."""
    with path.open(encoding="utf-8") as file:
        return [Seen(**json.loads(line)) for line in file if line.strip()]


def arrows(seen: Iterable[Seen], own: str, other: str) -> list[Arrow]:
    """The messages of one user agent as arrows between it and its peer."""
    return [
        Arrow(one.at, own, other, one.label)
        if one.direction == "sent"
        else Arrow(one.at, other, own, one.label)
        for one in seen
    ]


def through(middle: str, ends: Mapping[str, Sequence[Seen]]) -> list[Arrow]:
    """The messages of two user agents as arrows to and from the one between them, causes before effects.

    Each end writes down when it learned of a message, in order. Where one was late to note what it had sent, what followed
    from that at the other end is drawn after it, not before.
    """
    sent = {
        seen.key(): (name, index)
        for name, trace in ends.items()
        for index, seen in enumerate(trace)
        if seen.direction == "sent"
    }
    # When each message is drawn, and how many causes it has: those of one time stand in that order.
    drawn = {(name, index): (seen.at, 0) for name, trace in ends.items() for index, seen in enumerate(trace)}
    for _ in drawn:
        before = dict(drawn)
        for name, trace in ends.items():
            for index, seen in enumerate(trace):
                causes = [(name, index - 1)] if index else []
                if seen.direction == "received" and seen.key() in sent:
                    causes.append(sent[seen.key()])
                at = max([seen.at, *(drawn[cause][0] for cause in causes)])
                drawn[name, index] = at, max([0, *(drawn[cause][1] + 1 for cause in causes)])
        if drawn == before:
            break
    order = sorted(drawn, key=lambda one: drawn[one])
    return [
        Arrow(drawn[name, index][0], arrow.source, arrow.target, arrow.label)
        for name, index in order
        for arrow in arrows([ends[name][index]], name, middle)
    ]
