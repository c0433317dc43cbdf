"""Other `dracht` commands run as processes, for the demonstration: started, read until they are ready, ended in every case."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from dracht.cli.failures import Failure

__all__ = ["Process", "run"]

_DRACHT = (sys.executable, "-m", "dracht.cli")
_READY = 20.0  # seconds until a command must have said that it is ready
_END = 10.0  # seconds that it may take to end


def shown(arguments: tuple[str, ...]) -> str:
    """A command as a person would type it."""
    return " ".join(("dracht", *(f"'{text}'" if ";" in text else text for text in arguments)))


class Process:
    """A `dracht` command that keeps running, as a context manager: entering starts it, leaving ends it with SIGTERM."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._output = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*_DRACHT, *self._arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.communicate(timeout=_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def end(self) -> int:
        """Ends it with SIGTERM and gives its exit status."""
        self.__exit__(None, None, None)
        return self._process.returncode if self._process is not None else 0

    def ended(self) -> int:
        """Waits until it ends by itself; its exit status."""
        return self._process.wait(_END) if self._process is not None else 0

    def until(self, pattern: str) -> re.Match[str]:
        """Reads its output until it matches; `Failure` with what it said when it ends, or says nothing of the kind in time."""
        process = self._process
        if process is None or process.stdout is None:
            raise RuntimeError("the process was not started")
        deadline = time.monotonic() + _READY
        descriptor = process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not (found := re.search(pattern, self._output)):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    break
                data = os.read(descriptor, 4096)
                if not data:
                    break
                self._output += data.decode("utf-8", "replace")
        if found:
            return found
        said = self._output.strip() or "nothing"
        raise Failure(f"`{shown(self._arguments)}` did not get ready; it said: {said}")


def run(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Runs a `dracht` command to its end, its progress on our stderr; `Failure` when it takes longer than `timeout` seconds."""
    try:
        return subprocess.run(
            [*_DRACHT, *arguments], stdout=subprocess.PIPE, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"`{shown(arguments)}` did not end within {timeout:g} s") from None
