"""Frames of the control protocol: `<length in bytes>#<payload>`, read from chunks and written.

The reader gives the same frames however the bytes were cut. It refuses what is not a frame, an empty one, and one that is longer
than its limit before a byte of it is kept.
"""

from dracht.errors import ControlProtocolError

__all__ = ["MAX_PAYLOAD", "FrameReader", "write_frame"]

MAX_PAYLOAD = 1024 * 1024
"""The longest payload that is accepted, in bytes; the largest SIP message is 65,535."""
_DIGITS = 8
# How an alert of TLS begins (RFC 8446 §5.1): what a server that speaks TLS answers to anything else.
_ALERT = b"\x15\x03"


class FrameReader:
    """Cuts a stream into payloads.

    Args:
        limit: the longest payload accepted; bytes.
    """

    __slots__ = ("_held", "_needed", "error", "limit")

    def __init__(self, limit: int = MAX_PAYLOAD) -> None:
        self.limit = limit
        self._held = bytearray()
        self._needed = 0
        self.error: ControlProtocolError | None = None
        """Why nothing more can be read; the frames before it were given."""

    @property
    def held(self) -> int:
        """How many bytes of an incomplete frame are kept."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that are complete with these bytes. Sets `error` where the stream is not frames; then it is over."""
        if self.error is not None:
            return []
        held = self._held
        if held:
            held += data
            # One search per frame, not per chunk: a large frame in small chunks costs its length once.
            if len(held) < self._needed:
                return []
            data = bytes(held)
            held.clear()
        payloads: list[bytes] = []
        at, size = 0, len(data)
        while at < size:
            mark = data.find(b"#", at, at + _DIGITS + 1)
            if mark < 0:
                part = data[at : at + _DIGITS + 1]
                if len(part) > _DIGITS or not part.isdigit():
                    hint = "; it speaks TLS: write tls://" if part.startswith(_ALERT) else ""
                    self._refuse(f"a frame begins with its length and `#`, not with {part!r}{hint}")
                    return payloads
                self._needed = size - at + 1
                break
            digits = data[at:mark]
            if not digits.isdigit():
                self._refuse(f"the length of a frame is a number, not {digits!r}")
                return payloads
            length = int(digits)
            if not 0 < length <= self.limit:
                self._refuse(f"a frame of {length} bytes is refused: it may have 1 to {self.limit}")
                return payloads
            end = mark + 1 + length
            if end > size:
                self._needed = end - at
                break
            payloads.append(data[mark + 1 : end])
            at = end
        if at < size:
            held += data[at:]
        return payloads

    def _refuse(self, text: str) -> None:
        self.error = ControlProtocolError(text)


def write_frame(payload: bytes) -> bytes:
    """The frame of a payload."""
    return b"%d#%b" % (len(payload), payload)
