"""Measures one build of the spike under one interpreter and one loop; prints `name value` lines. Called by run.py."""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import boundary_bench  # type: ignore[import-not-found]

INVITE = (
    b"INVITE sip:bob@192.0.2.4 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport\r\n"
    b"Max-Forwards: 70\r\nTo: Bob <sip:bob@biloxi.example>\r\n"
    b"From: Alice <sip:alice@atlanta.example>;tag=1928301774\r\n"
    b"Call-ID: a84b4c76e66710@pc33.atlanta.example\r\nCSeq: 314159 INVITE\r\n"
    b"Contact: <sip:alice@192.0.2.1:5060>\r\nUser-Agent: spike\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n"
    b"Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\n"
)
RUNS = 5


def report(name: str, value: float) -> None:
    print(f"{name} {value:.3f}", flush=True)


async def carry(
    bench: Any, limit: int, count: int, rate: int, way: str
) -> tuple[float, float, float, float, float]:
    """Carries `count` events; gives events/s, CPU us of the loop's thread per event, p50 and p99 in us, wake-ups/s."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    latencies: list[int] = []
    clock = time.perf_counter_ns
    wakes = bench.wakes()

    def dispatch(event: tuple[Any, ...]) -> None:
        latencies.append(clock() - event[2])
        if len(latencies) == count:
            done.set_result(None)

    def on_ready() -> None:
        events = bench.take(limit)
        for event in events:
            dispatch(event)
        if len(events) == limit:
            loop.call_soon(on_ready)

    def on_ready_paused() -> None:
        """Polls each millisecond while events come; arms the wake-up when none came."""
        events = bench.take(limit, False)
        if not events:
            events = bench.take(limit, True)
            if not events:
                return
        for event in events:
            dispatch(event)
        loop.call_later(0.001, on_ready_paused)

    started, cpu = time.perf_counter(), time.thread_time()
    if way == "paused":
        loop.add_reader(bench.fileno(), on_ready_paused)
        bench.produce(count, rate)
    elif way == "bridge":
        loop.add_reader(bench.fileno(), on_ready)
        bench.produce(count, rate)
    else:
        bench.produce_threadsafe(loop.call_soon_threadsafe, dispatch, count, rate)
    await done
    elapsed, cpu = time.perf_counter() - started, time.thread_time() - cpu
    loop.remove_reader(bench.fileno())
    latencies.sort()
    p50, p99 = latencies[count // 2] / 1000, latencies[count * 99 // 100] / 1000
    return count / elapsed, cpu / count * 1e6, p50, p99, (bench.wakes() - wakes) / elapsed


def crossing(factory: Callable[[], asyncio.AbstractEventLoop], whole: bool) -> None:
    """The ways across: saturated, and at 10,000 events per second."""
    ways = [("bridge", limit) for limit in ((1, 16, 64, 256) if whole else (256,))]
    ways += [("paused", 1024), ("threadsafe", 0)]
    bench = boundary_bench.Bench(INVITE)
    with asyncio.Runner(loop_factory=factory) as runner:
        for way, limit in ways:
            for mode, count, rate in (("full", 100_000, 0), ("10k", 15_000, 10_000)):
                runs = [runner.run(carry(bench, limit, count, rate, way)) for _ in range(RUNS)]
                for name, values in zip(
                    ("rate", "cpu", "p50", "p99", "wakes"), zip(*runs, strict=True), strict=True
                ):
                    report(f"{way}{limit or ''}.{mode}.{name}", statistics.median(values))


def cost(name: str, function: Callable[[], object], count: int = 200_000) -> None:
    def once() -> float:
        started = time.thread_time_ns()
        for _ in range(count):
            function()
        return (time.thread_time_ns() - started) / count

    report(name, statistics.median(once() for _ in range(RUNS)))


def parts() -> None:
    """What the parts cost on the loop's thread, in ns of CPU."""
    bench = boundary_bench.Bench(INVITE)
    message = boundary_bench.Message.parse(INVITE)
    header = message.header
    cost("loop overhead", lambda: None)
    cost("parse and create Message", lambda: boundary_bench.Message.parse(INVITE))
    cost("read 3 headers", lambda: (header("From"), header("To"), header("Call-ID")))
    headers = [("Contact", "<sip:bob@192.0.2.4>"), ("User-Agent", "spike")]
    cost("reply command", lambda: bench.respond(17, "OK", headers))
    bench.forget()

    async def handler(event: object) -> None:
        pass

    def drive() -> None:
        coroutine = handler(None)
        try:  # noqa: SIM105 - contextlib.suppress would be what is measured
            coroutine.send(None)
        except StopIteration:
            pass

    cost("async def handler, driven by send()", drive)


async def handlers(count: int) -> None:
    async def handler(event: object) -> None:
        pass

    loop = asyncio.get_running_loop()

    async def measure(start: Callable[[], object]) -> float:
        cpu = time.thread_time_ns()
        for _ in range(count // 100):
            for _ in range(100):
                start()
            await asyncio.sleep(0)
        return (time.thread_time_ns() - cpu) / count

    ways: dict[str, Callable[[], object]] = {"create_task": lambda: loop.create_task(handler(None))}
    if sys.version_info >= (3, 12):
        ways["eager_start"] = lambda: asyncio.Task(handler(None), loop=loop, eager_start=True)
    for name, start in ways.items():
        report(f"async def handler, {name}", statistics.median([await measure(start) for _ in range(RUNS)]))


async def awaiting(count: int, together: int) -> None:
    """A result awaited: a loop future resolved by the drain, against `future_into_py`."""
    loop = asyncio.get_running_loop()
    bench = boundary_bench.Bench(INVITE)
    waiting: dict[int, asyncio.Future[None]] = {}
    scheduled = False

    def on_ready() -> None:
        for event in bench.take(256):
            waiting.pop(event[1]).set_result(None)

    def flush() -> None:
        nonlocal scheduled
        scheduled = False
        bench.flush()

    async def bridged(number: int) -> None:
        nonlocal scheduled
        future = waiting[number] = loop.create_future()
        bench.respond(number, "OK", [])
        if not scheduled:
            scheduled = True
            loop.call_soon(flush)
        await future

    async def measure(call: Callable[[int], Any]) -> tuple[float, float]:
        elapsed, cpu = time.perf_counter(), time.process_time()
        for _ in range(count // together):
            await asyncio.gather(*(call(number) for number in range(together)))
        return (time.perf_counter() - elapsed) / count * 1e6, (time.process_time() - cpu) / count * 1e6

    loop.add_reader(bench.fileno(), on_ready)
    calls = {"bridge": bridged}
    if hasattr(boundary_bench, "ready"):

        async def future_into_py(number: int) -> None:
            await boundary_bench.ready()

        calls["future_into_py"] = future_into_py
    for name, call in calls.items():
        runs = [await measure(call) for _ in range(RUNS)]
        report(f"await.{name}.{together}.wall", statistics.median(run[0] for run in runs))
        report(f"await.{name}.{together}.cpu", statistics.median(run[1] for run in runs))
    loop.remove_reader(bench.fileno())


def main() -> None:
    if sys.argv[1] == "uvloop":
        import uvloop  # type: ignore[import-not-found,unused-ignore]

        crossing(uvloop.new_event_loop, whole=False)
        return
    whole = sys.argv[1] == "whole"
    crossing(asyncio.new_event_loop, whole)
    parts()
    asyncio.run(handlers(100_000))
    if whole:
        for together in (1, 100):
            asyncio.run(awaiting(20_000, together))


main()
