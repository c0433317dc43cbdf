"""All of SIPp's calls through examples/proxy.py and to examples/uas.py succeed without loss, embedded and connected,
over UDP and TCP, and leave every table empty.

DRACHT_CALLS sets the number of calls a transport (the acceptance figure is 20000), DRACHT_RATE the calls per second.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bench import sipp
from bench.cases import DRACHT, ROOT, SECRET
from bench.processes import free_port, running, wait_for_application, wait_for_tcp, wait_for_udp

from .status import wait_until_empty

CALLS = int(os.environ.get("DRACHT_CALLS", "1500"))
RATE = float(os.environ.get("DRACHT_RATE", "500"))


@contextmanager
def application(folder: Path, example: str, way: str, target: str | None) -> Iterator[tuple[int, int]]:
    """The example with its engine: the SIP port and the control port to ask for counts."""
    port, control = free_port(), free_port()
    listen = ["--listen", f"sip:127.0.0.1:{port};transport=udp,tcp"]
    secured = ["--control", f"127.0.0.1:{control}", "--secret", SECRET]
    run: list[str | Path] = [DRACHT, "run", ROOT / "examples" / f"{example}.py"]
    environment = {"DRACHT_TARGET": f"sip:service@127.0.0.1:{target}"} if target else {}
    with ExitStack() as stack:
        if way == "connected":
            server = stack.enter_context(running("serve", [DRACHT, "serve", *listen, *secured], folder))
            wait_for_tcp(control, server)
            run += ["--connect", f"tcp://127.0.0.1:{control}", "--secret", SECRET]
        else:
            run += [*listen, *secured]
        process = stack.enter_context(running("run", run, folder, environment))
        if way == "embedded":
            wait_for_udp(port, process)
        wait_for_application(port, process)
        yield port, control


def assert_all_succeeded(load: sipp.Load) -> None:
    assert (load.calls, load.successful, load.failed) == (CALLS, CALLS, 0), load.errors
    assert load.retransmissions <= CALLS * 0.001, f"{load.retransmissions} retransmissions in {CALLS} calls"
    print(f"{load.successful} calls at {load.rate:.0f}/s, {load.retransmissions} retransmissions")


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[ExitStack, dict[str, int]]]:
    """Keeps every application running to the end of the module, so that all wait once for their last transactions."""
    with ExitStack() as stack:
        yield stack, {}


@pytest.mark.peer("sipp")
@pytest.mark.parametrize("way", ["embedded", "connected"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_calls_through_the_proxy_example(
    tmp_path: Path, started: tuple[ExitStack, dict[str, int]], way: str, transport: str
) -> None:
    stack, controls = started
    target = free_port()
    suffix = "" if transport == "udp" else f";transport={transport}"
    port, control = stack.enter_context(application(tmp_path, "proxy", way, f"{target}{suffix}"))
    controls[f"proxy {way} {transport}"] = control
    with sipp.callee(tmp_path, target, transport):
        load = sipp.call(tmp_path / "load", port, calls=CALLS, rate=RATE, transport=transport)
    assert_all_succeeded(load)


@pytest.mark.peer("sipp")
@pytest.mark.parametrize("way", ["embedded", "connected"])
def test_calls_to_the_uas_example(
    tmp_path: Path, started: tuple[ExitStack, dict[str, int]], way: str
) -> None:
    stack, controls = started
    port, control = stack.enter_context(application(tmp_path, "uas", way, None))
    controls[f"uas {way}"] = control
    for transport in ("udp", "tcp"):
        load = sipp.call(tmp_path / transport, port, calls=CALLS, rate=RATE, transport=transport)
        assert_all_succeeded(load)


@pytest.mark.peer("sipp")
def test_every_table_is_empty_afterwards(started: tuple[ExitStack, dict[str, int]]) -> None:
    _, controls = started
    assert controls
    for control in controls.values():
        wait_until_empty(control)
