"""Starts the processes under measurement and reads what they used from /proc. Ends only what it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """The process and all that it forked, by /proc."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants so far, in seconds.

    Read from each thread's schedstat (nanoseconds on the processor) where the kernel has it, else from utime + stime.
    """
    total = 0.0
    for process in descendants(pid):
        for task in Path(f"/proc/{process}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
            except (OSError, IndexError):
                try:
                    fields = (task / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                total += (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
    return total


def resident_bytes(pid: int) -> int:
    """Resident memory that belongs to the process and its descendants alone or in shares (Pss), in bytes."""
    total = 0
    for process in descendants(pid):
        try:
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


@dataclass
class Running:
    """A process that this module started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, timeout: float = 10.0) -> int:
        """SIGTERM, then SIGKILL after `timeout` seconds; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def output(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def running(
    name: str, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Runs a command for the length of the block; its output goes to `folder/name.log`."""
    log = folder / f"{name}.log"
    handle: IO[bytes]
    with log.open("wb") as handle:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    started = Running(name, process, log)
    try:
        yield started
    finally:
        started.stop()


def wait_for_udp(port: int, started: Running, timeout: float = 15.0) -> None:
    """Returns when something is bound to the UDP port of 127.0.0.1; raises when the process ended or time is up."""
    wanted = f"0100007F:{port:04X}"
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if started.process.poll() is not None:
            raise RuntimeError(f"{started.name} ended with {started.process.returncode}:\n{started.output()}")
        if wanted in Path("/proc/net/udp").read_text():
            return
        time.sleep(0.02)
    raise TimeoutError(f"{started.name} does not listen on UDP port {port}:\n{started.output()}")


def wait_for_tcp(port: int, started: Running, timeout: float = 15.0) -> None:
    """Returns when a TCP connection to the port of 127.0.0.1 succeeds; raises when the process ended or time is up."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if started.process.poll() is not None:
            raise RuntimeError(f"{started.name} ended with {started.process.returncode}:\n{started.output()}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"{started.name} does not listen on TCP port {port}:\n{started.output()}")


def wait_for_application(port: int, started: Running, timeout: float = 15.0) -> None:
    """Returns when the server on UDP port `port` hands requests to its application: OPTIONS no longer gets 503.

    A server without any application answers 503; one whose application does not take OPTIONS answers 405.
    """
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        probe.settimeout(0.25)
        own = probe.getsockname()[1]
        count = 0
        while time.monotonic() < deadline:
            if started.process.poll() is not None:
                raise RuntimeError(
                    f"{started.name} ended with {started.process.returncode}:\n{started.output()}"
                )
            count += 1
            request = (
                f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKready{count}\r\n"
                f"From: <sip:ready@127.0.0.1>;tag=r{count}\r\nTo: <sip:127.0.0.1:{port}>\r\n"
                f"Call-ID: ready-{own}-{count}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 1\r\nContent-Length: 0\r\n\r\n"
            )
            probe.sendto(request.encode(), ("127.0.0.1", port))
            try:
                answer = probe.recv(65536)
            except TimeoutError:
                continue
            if not answer.startswith(b"SIP/2.0 503"):
                return
            time.sleep(0.05)
    raise TimeoutError(f"{started.name} did not take requests in time:\n{started.output()}")


def free_port() -> int:
    """A port that is free for UDP and TCP on 127.0.0.1 at this moment."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            stream.bind(("127.0.0.1", 0))
            port = int(stream.getsockname()[1])
            try:
                datagram.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
