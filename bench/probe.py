"""Times single requests in microseconds while SIPp loads the server: SIPp's own clock counts whole milliseconds."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

INTERVAL = 0.02  # seconds between two probes: 50 a second, a tenth of the lowest load

OFFER = (
    b"v=0\r\no=probe 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


class Probe:
    """Sends one request after the other on a UDP socket of its own and keeps the times to the final response."""

    def __init__(self, method: str, port: int) -> None:
        """Probes 127.0.0.1:`port` with `method`: INVITE (a whole call), OPTIONS or REGISTER."""
        self.method = method
        self.target = ("127.0.0.1", port)
        self.milliseconds: list[float] = []
        self.lost = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(2.0)
        self._port = self._socket.getsockname()[1]
        self._count = 0

    def _request(
        self, method: str, uri: str, branch: str, sequence: int, to: str, extra: str = "", body: bytes = b""
    ) -> bytes:
        identity = f"probe-{self._port}-{self._count}"
        head = (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self._port};branch=z9hG4bK{identity}{branch}\r\n"
            f"From: <sip:probe@127.0.0.1>;tag={identity}\r\nTo: {to}\r\nCall-ID: {identity}\r\n"
            f"CSeq: {sequence} {method}\r\nContact: <sip:probe@127.0.0.1:{self._port}>\r\nMax-Forwards: 70\r\n{extra}"
        )
        if body:
            head += "Content-Type: application/sdp\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _final(self, sequence: int, method: str) -> bytes | None:
        wanted = f"CSeq: {sequence} {method}".encode().lower()
        identity = f"Call-ID: probe-{self._port}-{self._count}\r\n".encode().lower()
        while True:
            try:
                answer = self._socket.recv(65536)
            except TimeoutError:
                return None
            lower = answer.lower()
            if wanted in lower and identity in lower and answer[8:9] >= b"2":
                return answer

    def once(self) -> None:
        """One request, and for an INVITE the ACK and BYE that end the call."""
        self._count += 1
        uri = f"sip:service@127.0.0.1:{self.target[1]}"
        body = OFFER if self.method == "INVITE" else b""
        request = self._request(self.method, uri, "a", 1, f"<{uri}>", body=body)
        begun = time.perf_counter()
        self._socket.sendto(request, self.target)
        answer = self._final(1, self.method)
        if answer is None:
            self.lost += 1
            return
        self.milliseconds.append((time.perf_counter() - begun) * 1000)
        if self.method == "INVITE" and answer[8:9] == b"2":
            self._end(answer)

    def _end(self, answer: bytes) -> None:
        text = answer.decode(errors="replace")
        routes = re.findall(r"(?mi)^Record-Route:\s*(.+?)\r$", text)
        extra = "".join(f"Route: {route}\r\n" for route in reversed(routes))
        to = re.search(r"(?mi)^(?:To|t):\s*(.+?)\r$", text)
        contact = re.search(r"(?mi)^(?:Contact|m):\s*<?([^>\r]+)>?", text)
        if to is None or contact is None:
            self.lost += 1
            return
        for method, branch, sequence in (("ACK", "b", 1), ("BYE", "c", 2)):
            self._socket.sendto(
                self._request(method, contact[1], branch, sequence, to[1], extra), self.target
            )
        if self._final(2, "BYE") is None:
            self.lost += 1

    def percentile(self, share: float) -> float:
        """A percentile of the times to the final response, in milliseconds; 0.0 when there was none."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


@contextmanager
def probing(method: str, port: int) -> Iterator[Probe]:
    """A probe that runs on a thread for the length of the block."""
    probe = Probe(method, port)
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(INTERVAL):
            probe.once()

    thread = threading.Thread(target=run, name="probe", daemon=True)
    thread.start()
    try:
        yield probe
    finally:
        ended.set()
        thread.join(10.0)
        probe.close()
