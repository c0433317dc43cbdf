"""A SIP message as the test phone reads and writes it: by itself, so that it shares no mistake with what it tests.

It reads what a correct engine writes, and writes whatever a test says, correct or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Sip", "cut", "param", "unmarked", "uri_of", "written"]

Fields = Iterable[tuple[str, str]]


class Sip:
    """A message: its start line, header fields in order, body."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("utf-8", "surrogateescape").split("\r\n")
        self.start = lines[0]
        self.fields = [
            (name.strip(), value.strip()) for name, _, value in (x.partition(":") for x in lines[1:])
        ]

    @property
    def is_request(self) -> bool:
        return not self.start.startswith("SIP/2.0 ")

    @property
    def status(self) -> int:
        """The status; 0 of a request."""
        return 0 if self.is_request else int(self.start.split(" ", 2)[1])

    @property
    def reason(self) -> str:
        return self.start.split(" ", 2)[2]

    @property
    def uri(self) -> str:
        """The request-URI."""
        return self.start.split(" ")[1]

    @property
    def method(self) -> str:
        """The method; of a response that of its CSeq."""
        return self.start.split(" ")[0] if self.is_request else self["CSeq"].split()[1]

    @property
    def label(self) -> str:
        """How a ladder calls it: the method of a request, the status of a response."""
        return self.method if self.is_request else str(self.status)

    def all(self, name: str) -> list[str]:
        """The value of each field of that name."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def values(self, name: str) -> list[str]:
        """The values of such fields, each by itself also where one field has several, as Route and Record-Route may."""
        return [one.strip() for value in self.all(name) for one in re.findall(r"(?:[^,<]|<[^>]*>)+", value)]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        assert value is not None, f"no {name} in\n{self}"
        return value

    @property
    def branch(self) -> str:
        """The branch of the top Via."""
        branch = param(self["Via"], "branch")
        assert branch, f"no branch in\n{self}"
        return branch

    @property
    def cseq(self) -> int:
        return int(self["CSeq"].split()[0])

    def tag(self, name: str) -> str | None:
        """The tag of From or To."""
        return param(self[name], "tag")

    def __str__(self) -> str:
        return self.data.decode("utf-8", "replace")

    __repr__ = __str__


def param(value: str, name: str) -> str | None:
    """A parameter behind the last `>` of a value."""
    for part in value[value.rfind(">") + 1 :].split(";")[0 if ">" in value else 1 :]:
        key, _, given = part.strip().partition("=")
        if key.lower() == name:
            return given
    return None


def uri_of(value: str) -> str:
    """The URI of a Contact, Route or From."""
    return value[value.index("<") + 1 : value.index(">")] if "<" in value else value.split(";")[0]


_MARK = re.compile(r"sip:dr[a-z][\w-]{10,}@")


def unmarked(text: str) -> str:
    """A Route, Record-Route or Path of ours without the mark that makes it ours; fails where there is none."""
    plain, count = _MARK.subn("sip:", text)
    assert count, f"{text} has no mark: anybody could have written it"
    return plain


def written(start: str, fields: Fields, body: bytes = b"") -> bytes:
    """A message as bytes, with its Content-Length."""
    lines = [start, *(f"{name}: {value}" for name, value in fields), f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def cut(buffer: bytearray) -> list[bytes]:
    """Takes the complete messages from the front of a stream's buffer."""
    messages: list[bytes] = []
    while True:
        while buffer[:2] == b"\r\n":
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return messages
        size = end + 4 + int(Sip(bytes(buffer[: end + 4])).get("Content-Length") or 0)
        if len(buffer) < size:
            return messages
        messages.append(bytes(buffer[:size]))
        del buffer[:size]
