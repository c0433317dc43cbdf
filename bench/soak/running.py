"""One soak from start to rest: the server's processes, the calls, the watch, the outcome."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.cases import DRACHT, ROOT, SECRET
from bench.processes import Running, free_port, running, wait_for_application, wait_for_tcp, wait_for_udp
from bench.soak.calls import Answering
from bench.soak.generator import Generator
from bench.soak.lines import Transport
from bench.soak.watching import Sample, Watch, tables
from tests.interop.certificates import Authority, Issued

__all__ = ["Outcome", "Server", "serving", "soak"]

APPLICATION = ROOT / "bench" / "soak" / "application.py"
_REST = 60.0
"""Seconds until every table must be empty: timer D is 32 s (RFC 3261 §17.1.1.2), a transaction lives as long at most."""
_WARM_UP = 0.1
"""Share of the calls after which memory counts."""


@dataclass
class Server:
    """A server that runs."""

    addresses: dict[Transport, tuple[str, int]]
    control: int
    processes: list[Running]
    authority: Authority
    issued: Issued
    """The certificate that it shows, as files."""


@dataclass
class Outcome:
    """What a soak came to."""

    calls: int
    seconds: float
    failed: int
    done: dict[str, int]
    failures: dict[str, int]
    connections: int
    resident: dict[str, int]
    """Bytes of all processes after the warm-up, in the middle, at the end, and at rest."""
    tables: dict[str, int]
    """What the tables hold at rest."""
    samples: list[Sample] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds

    @property
    def growth(self) -> float:
        """Resident memory at the end against the middle: 0.05 is five in a hundred more."""
        return self.resident["end"] / self.resident["middle"] - 1

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "growth": self.growth, "rate": self.rate}


@contextlib.asynccontextmanager
async def serving(folder: Path, transports: Sequence[str], way: str, target: str) -> AsyncIterator[Server]:
    """Runs bench/soak/application.py with its server, embedded or connected."""
    authority = Authority(folder)
    issued = authority.issue("localhost", "127.0.0.1")
    ports = {name: free_port() for name in ("plain", "tls", "wss", "control")}
    listen = [f"sip:127.0.0.1:{ports['plain']};transport=udp,tcp"]
    listen += [
        f"sip:127.0.0.1:{ports[name]};transport={name}" for name in ("tls", "wss") if name in transports
    ]
    control = f"127.0.0.1:{ports['control']}"
    options: dict[str, object] = {"secret": SECRET}
    environment = {"DRACHT_TARGET": target}
    with contextlib.ExitStack() as stack:
        processes = []
        if way == "connected":
            configuration = folder / "server.toml"
            configuration.write_text(
                f"[server]\nlisten = {json.dumps(listen)}\ncontrol = {json.dumps(control)}\n"
                f"[tls]\ncertificates = {json.dumps([issued.pair])}\nreload_interval = 1.0\n"
            )
            serve: list[str | Path] = [DRACHT, "serve", "--config", configuration, "--secret", SECRET]
            server = stack.enter_context(running("serve", serve, folder))
            processes.append(server)
            await asyncio.to_thread(wait_for_tcp, ports["control"], server)
            options["connect"] = f"tcp://{control}"
        else:
            options |= {"listen": listen, "control": control, "certificates": [issued.pair]}
        run: list[str | Path] = [sys.executable, APPLICATION, json.dumps(options)]
        application = stack.enter_context(running("run", run, folder, environment))
        processes.append(application)
        await asyncio.to_thread(wait_for_udp, ports["plain"], processes[0])
        await asyncio.to_thread(wait_for_application, ports["plain"], application)
        plain = ("127.0.0.1", ports["plain"])
        addresses: dict[Transport, tuple[str, int]] = {"udp": plain, "tcp": plain}
        addresses |= {"tls": ("127.0.0.1", ports["tls"]), "wss": ("127.0.0.1", ports["wss"])}
        spoken = {name: at for name, at in addresses.items() if name in transports}
        yield Server(spoken, ports["control"], processes, authority, issued)


async def soak(
    folder: Path,
    calls: int,
    rate: float,
    *,
    way: str = "embedded",
    transports: Sequence[str] = ("udp", "tcp", "tls", "wss"),
    progress: float | None = None,
) -> Outcome:
    """Makes the calls and says what came of it.

    Args:
        folder: for logs and certificates.
        rate: calls per second at most.
        way: `embedded` or `connected`.
        progress: print a line every so many seconds.
    """
    answering = Answering()
    target = f"sip:callee@127.0.0.1:{answering.port}"
    async with serving(folder, transports, way, target) as server:
        generator = Generator(server.addresses, server.authority.context())
        watch = Watch(server.processes, lambda: generator.finished)
        begun = time.monotonic()
        looking = [asyncio.create_task(watch.run(min(1.0, calls / rate / 20)))]
        if progress:
            looking.append(asyncio.create_task(_tell(generator, watch, server, progress)))
        try:
            await generator.run(calls, rate)
            await asyncio.sleep(0)  # the last look sees the last call
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
        seconds = time.monotonic() - begun
        resident = {
            "warm": int(watch.around(_WARM_UP, calls)),
            "middle": int(watch.around(0.5, calls)),
            "end": int(watch.around(0.95, calls)),
        }
        await generator.close()
        answering.close()
        left = await _rest(server)
        at_rest = Watch(server.processes, lambda: calls)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(at_rest.run(60), 0.1)
        resident["rest"] = at_rest.samples[-1].total
        return Outcome(
            calls,
            seconds,
            sum(generator.failures.values()),
            dict(generator.done),
            dict(generator.failures),
            generator.connections,
            resident,
            left,
            watch.samples,
        )


async def _rest(server: Server) -> dict[str, int]:
    """Waits until every table is empty; what is left after `_REST` seconds."""
    deadline = time.monotonic() + _REST
    while (held := await tables(server.control)) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(1.0)
    return held


async def _tell(generator: Generator, watch: Watch, server: Server, every: float) -> None:
    before = 0
    while True:
        await asyncio.sleep(every)
        now = generator.finished
        resident = watch.samples[-1].total / 1e6
        print(
            f"{now:8} calls, {(now - before) / every:5.0f}/s, {sum(generator.failures.values())} failed, "
            f"resident {resident:.1f} MB, {await tables(server.control)}",
            flush=True,
        )
        before = now
