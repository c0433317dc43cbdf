"""Session descriptions of tests, and what they say."""

from __future__ import annotations

import re

__all__ = ["direction", "sdp", "version"]


def sdp(direction: str = "sendrecv", port: int = 9, version: int = 1) -> bytes:
    """One audio stream, PCMU, on loopback.

    Args:
        direction: sendrecv, sendonly, recvonly or inactive.
        port: where media is to go; the discard port as nobody listens.
        version: of the session in `o=`; goes up by one with each change (RFC 3264 §8).
    """
    lines = ["v=0", f"o=dracht 1 {version} IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    lines += [f"m=audio {port} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", f"a={direction}", ""]
    return "\r\n".join(lines).encode()


def direction(body: bytes) -> str:
    """The direction of the stream; sendrecv when it says none (RFC 3264 §5.1)."""
    found = re.search(rb"^a=(sendrecv|sendonly|recvonly|inactive)\r?$", body, re.MULTILINE)
    return found[1].decode() if found else "sendrecv"


def version(body: bytes) -> int:
    """The version of the session."""
    found = re.search(rb"^o=\S+ \S+ (\d+) ", body, re.MULTILINE)
    assert found, body
    return int(found[1])
