"""Calls that are there before a flood begins: re-INVITE and ACK in turn while it lasts, then BYE; how long each took.

A process of its own: `python -m bench.hostile.bystander PORT CALLS`. It says `ready` when its calls stand, begins at a line on
stdin, ends them at another, and prints one JSON line. An answer that does not come is asked for again after T1, and its time goes
on counting.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field

_T1 = 0.5
_LIMIT = 32.0
_PAUSE = 0.01


@dataclass
class Call:
    """One call, on a socket of its own."""

    port: int
    number: int
    host: str = "127.0.0.1"
    sequence: int = 0
    to_tag: str = ""
    repeated: int = 0
    socket: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.host, 0))
        self.socket.connect(("127.0.0.1", self.port))

    @property
    def name(self) -> str:
        """What no other call has, of this run or an earlier one."""
        return f"{os.getpid()}x{self.socket.getsockname()[1]}x{self.number}"

    def _text(self, method: str, branch: str) -> bytes:
        own, name = self.socket.getsockname()[1], self.name
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        return (
            f"{method} sip:service@127.0.0.1:{self.port} SIP/2.0\r\nVia: SIP/2.0/UDP {self.host}:{own};branch={branch}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:by@{self.host}>;tag=by{name}\r\nTo: <sip:service@127.0.0.1>{tag}\r\n"
            f"Call-ID: by{name}\r\nCSeq: {self.sequence} {method}\r\nContact: <sip:by@{self.host}:{own}>\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()

    def ask(self, method: str) -> float | None:
        """Sends a request; the seconds to its 2xx, or None when there is none within 32 s."""
        self.sequence += 1
        branch = f"z9hG4bKby{self.name}x{self.sequence}"
        request = self._text(method, branch)
        begun = time.monotonic()
        next_repeat = begun
        interval = _T1
        while (now := time.monotonic()) - begun < _LIMIT:
            if now >= next_repeat:
                self.repeated += now > begun + _T1 / 2
                self.socket.send(request)
                next_repeat, interval = now + interval, min(interval * 2, 4.0)
            if not select.select([self.socket], [], [], max(0.0, next_repeat - time.monotonic()))[0]:
                continue
            answer = self.socket.recv(65_535).decode(errors="replace")
            head = answer.split("\r\n\r\n")[0]
            if f"CSeq: {self.sequence} {method}" not in head or not answer.startswith("SIP/2.0 2"):
                continue
            took = time.monotonic() - begun
            if method == "INVITE":
                to = next(line for line in head.split("\r\n") if line.lower().startswith("to:"))
                self.to_tag = to.partition("tag=")[2]
                self.socket.send(self._text("ACK", branch + "a"))
            return took
        return None


def _is_told() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def main(port: int, count: int) -> None:
    """Makes the calls, waits for a line, and keeps them busy until the next."""
    calls = [Call(port, number) for number in range(count)]
    failed = sum(call.ask("INVITE") is None for call in calls)
    print("ready", flush=True)
    sys.stdin.readline()
    times: dict[str, list[float]] = {"re-INVITE": [], "BYE": [], "new call": []}
    turn = repeated = 0
    while not _is_told():
        took = calls[turn % count].ask("INVITE")
        turn += 1
        if took is None:
            failed += 1
        else:
            times["re-INVITE"].append(took)
        if turn % 20 == 0:
            new = Call(port, count + turn)
            took = new.ask("INVITE")
            if took is not None and new.ask("BYE") is not None:
                times["new call"].append(took)
            else:
                failed += 1
            repeated += new.repeated
            new.socket.close()
        time.sleep(_PAUSE)
    for call in calls:
        took = call.ask("BYE")
        if took is None:
            failed += 1
        else:
            times["BYE"].append(took)
    repeated += sum(call.repeated for call in calls)
    print(json.dumps({"times": times, "failed": failed, "repeated": repeated}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
