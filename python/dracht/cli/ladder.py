"""The ladder of a call: parties side by side, each message an arrow, time running down.

It draws what it is given and sorts nothing but by time; who sent what is for the caller to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SPAN = 26  # characters from one party's line to the next


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message between two neighbouring parties: when it was seen (seconds), from, to, and what it was."""

    at: float
    source: str
    target: str
    label: str


def draw(parties: Sequence[str], arrows: Iterable[Arrow]) -> list[str]:
    """The lines of a ladder: times in milliseconds since the first message, one line per message.

    Arrows between parties that are not neighbours pass through those in between; an arrow of an unknown party is a `ValueError`.
    """
    columns = {name: index for index, name in enumerate(parties)}
    ordered = sorted(arrows, key=lambda arrow: arrow.at)
    started = ordered[0].at if ordered else 0.0
    head = "".join(name.center(SPAN) for name in parties).rstrip()
    rail = "".join("│".center(SPAN) for _ in parties).rstrip()
    lines = [" " * 9 + head, " " * 9 + rail]
    for arrow in ordered:
        if arrow.source not in columns or arrow.target not in columns:
            raise ValueError(
                f"the ladder has no party {arrow.source!r} or {arrow.target!r}; it has {list(parties)}"
            )
        lines.append(
            f"{(arrow.at - started) * 1000:8.1f} "
            + _row(len(parties), columns[arrow.source], columns[arrow.target], arrow.label)
        )
    return [*lines, " " * 9 + rail]


def _row(count: int, source: int, target: int, label: str) -> str:
    center = len("│".center(SPAN)) // 2 - (1 if SPAN % 2 == 0 else 0)
    cells = list(" " * (SPAN * count))
    for column in range(count):
        cells[column * SPAN + center] = "│"
    left, right = sorted((source, target))
    start, end = left * SPAN + center + 1, right * SPAN + center
    if start < end:
        room = end - start - 4
        text = label if len(label) <= room else label[: room - 1] + "…"
        body = f"─ {text} ".ljust(end - start - 1, "─")
        cells[start:end] = list(body + "▶" if source < target else "◀" + body)
    return "".join(cells).rstrip()
