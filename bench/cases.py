"""What is measured: for each case, how its processes are started and which load they get."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import kamailio, sipp
from bench.processes import Running, free_port, running, wait_for_application, wait_for_tcp, wait_for_udp

ROOT = Path(__file__).resolve().parent.parent
DRACHT = Path(sys.executable).parent / "dracht"
SECRET = "cymru"


@dataclass
class Subject:
    """The processes of a case while they run."""

    port: int
    processes: list[Running] = field(default_factory=list)
    """Those whose CPU time and memory count: the server, then the application where it is a process of its own."""


Starter = Callable[[Path, str], AbstractContextManager[Subject]]


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    group: str
    """Cases of a group share a load and are compared with the group's Kamailio case."""
    start: Starter
    method: str = "INVITE"
    scenario: str = "uac.xml"
    transport: str = "udp"


def _environment(transport: str, target: int | None) -> dict[str, str]:
    # The registrar is measured without digest, as Kamailio is: a challenge would make two requests of each.
    if target is None:
        return {"DRACHT_OPEN": "1"}
    suffix = "" if transport == "udp" else f";transport={transport}"
    return {"DRACHT_TARGET": f"sip:service@127.0.0.1:{target}{suffix}"}


@contextmanager
def embedded(folder: Path, example: str, transport: str, target: int | None) -> Iterator[Subject]:
    """`dracht run examples/NAME.py --listen …`: the engine inside the application's process."""
    port = free_port()
    listen = f"sip:127.0.0.1:{port};transport=udp,tcp"
    command: list[str | Path] = [DRACHT, "run", ROOT / "examples" / f"{example}.py", "--listen", listen]
    with running(f"dracht-run-{example}", command, folder, _environment(transport, target)) as process:
        wait_for_udp(port, process)
        yield Subject(port, [process])


@contextmanager
def connected(folder: Path, example: str, transport: str, target: int | None) -> Iterator[Subject]:
    """`dracht serve …` and `dracht run examples/NAME.py --connect …`: server and application are two processes."""
    port, control = free_port(), free_port()
    listen = f"sip:127.0.0.1:{port};transport=udp,tcp"
    serve: list[str | Path] = [
        DRACHT,
        "serve",
        "--listen",
        listen,
        "--control",
        f"127.0.0.1:{control}",
        "--secret",
        SECRET,
    ]
    connect: list[str | Path] = ["--connect", f"tcp://127.0.0.1:{control}", "--secret", SECRET]
    application: list[str | Path] = [DRACHT, "run", ROOT / "examples" / f"{example}.py", *connect]
    with running("dracht-serve", serve, folder) as server:
        wait_for_udp(port, server)
        wait_for_tcp(control, server)
        with running(
            f"dracht-run-{example}", application, folder, _environment(transport, target)
        ) as process:
            wait_for_application(port, process)
            yield Subject(port, [server, process])


def dracht(way: str, example: str, *, proxied: bool = False) -> Starter:
    """A starter for one of our examples, embedded or connected, with a SIPp callee behind it when it proxies."""
    serving = {"embedded": embedded, "connected": connected}[way]

    @contextmanager
    def start(folder: Path, transport: str) -> Iterator[Subject]:
        with ExitStack() as stack:
            target = free_port() if proxied else None
            if target is not None:
                stack.enter_context(sipp.callee(folder, target, transport))
            yield stack.enter_context(serving(folder, example, transport, target))

    return start


def rival(case: str, *, proxied: bool = False) -> Starter:
    """A starter for Kamailio."""

    @contextmanager
    def start(folder: Path, transport: str) -> Iterator[Subject]:
        with ExitStack() as stack:
            target = free_port()
            if proxied:
                stack.enter_context(sipp.callee(folder, target, transport))
            port = free_port()
            process = stack.enter_context(kamailio.serving(folder, case, port, target, transport))
            yield Subject(port, [process])

    return start


def all_cases() -> list[Case]:
    """Every case, in the order of the table. A group's Kamailio case comes last."""
    cases = [
        Case("uas embedded", "uas", dracht("embedded", "uas")),
        Case("uas connected", "uas", dracht("connected", "uas")),
    ]
    for transport in ("udp", "tcp"):
        group = f"proxy {transport}"
        for way in ("embedded", "connected"):
            cases.append(
                Case(f"{group} {way}", group, dracht(way, "proxy", proxied=True), transport=transport)
            )
        cases.append(Case(f"{group} kamailio", group, rival("proxy", proxied=True), transport=transport))
    for method, example in (("OPTIONS", "options"), ("REGISTER", "registrar")):
        scenario, group = f"{method.lower()}.xml", method.lower()
        for way in ("embedded", "connected"):
            cases.append(Case(f"{group} {way}", group, dracht(way, example), method, scenario))
        cases.append(Case(f"{group} kamailio", group, rival(example), method, scenario))
    return cases
