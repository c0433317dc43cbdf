"""Builds the spike and prints one table: what it costs to carry events from Rust threads to an asyncio loop.

python bench/boundary/run.py [PYTHON312]

Needs cargo, and uvloop for its rows. The builds go to $CARGO_TARGET_DIR, or a temporary directory. With a second interpreter
(3.12 or later) tasks with `eager_start` are measured under it, with the same abi3 module.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def build(target: Path, place: Path, features: str) -> Path:
    """Builds one flavour of the module and copies it where Python finds it."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "PYO3_PYTHON": sys.executable}
    command = [
        "cargo",
        "build",
        "--release",
        "--locked",
        "-q",
        "--features",
        f"pyo3-async-runtimes,{features}".rstrip(","),
    ]
    subprocess.run(command, cwd=HERE, env=environment, check=True)
    place.mkdir(parents=True)
    shutil.copy(target / "release" / "libboundary_bench.so", place / "boundary_bench.so")
    return place


def measure(place: Path, interpreter: str, mode: str) -> dict[str, float]:
    """Runs measure.py in a process of its own."""
    command = [interpreter, str(HERE / "measure.py"), mode]
    ran = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(place)}, stdout=subprocess.PIPE, text=True, check=True
    )
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in ran.stdout.splitlines())}


def crossing(title: str, way: str, got: dict[str, float]) -> None:
    full, paced = f"{way}.full.", f"{way}.10k."
    print(
        f"| {title} | {got[full + 'rate']:,.0f} | {got[full + 'cpu']:.2f} | {got[paced + 'cpu']:.2f} | "
        f"{got[paced + 'p50']:.0f} | {got[paced + 'p99']:.0f} | {got[paced + 'wakes']:,.0f} |"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
        own = build(target, root / "own", "")
        abi3 = build(target, root / "abi3", "abi3")
        queues = subprocess.run(
            [target / "release" / "queues"], stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        whole = measure(abi3, sys.executable, "whole")
        specific = measure(own, sys.executable, "short")
        newer = measure(abi3, sys.argv[1], "short") if len(sys.argv) > 1 else {}
        try:
            fast = measure(abi3, sys.executable, "uvloop")
        except subprocess.CalledProcessError:
            fast = {}

    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs; medians of 5 runs\n")
    print("| way | events/s, saturated | loop CPU us/event | ...at 10k/s | p50 us | p99 us | wake-ups/s |")
    print("|---|---|---|---|---|---|---|")
    for limit in (1, 16, 64, 256):
        crossing(f"bridge, at most {limit} a pass", f"bridge{limit}", whole)
    crossing("bridge 1024, polled each ms under load", "paused1024", whole)
    crossing("call_soon_threadsafe per event", "threadsafe", whole)
    crossing("bridge 256, not abi3", "bridge256", specific)
    if fast:
        crossing("bridge 256, uvloop", "bridge256", fast)
        crossing("bridge 1024, polled each ms, uvloop", "paused1024", fast)
        crossing("call_soon_threadsafe, uvloop", "threadsafe", fast)
    print("\n| part | ns CPU, abi3 | not abi3 | newer Python |\n|---|---|---|---|")
    names = [name for name in {**whole, **newer} if "." not in name]
    for name in names:
        print(
            f"| {name} | "
            + " | ".join(f"{got[name]:.0f}" if name in got else "" for got in (whole, specific, newer))
            + " |"
        )
    print("\n| awaiting a result | us each | us CPU, process |\n|---|---|---|")
    for together in (1, 100):
        for way in ("bridge", "future_into_py"):
            key = f"await.{way}.{together}"
            print(f"| {way}, {together} at once | {whole[key + '.wall']:.1f} | {whole[key + '.cpu']:.1f} |")
    print("\n| producers | Mutex<Vec> ns/event | ArrayQueue | SegQueue |\n|---|---|---|---|")
    for line in queues.splitlines():
        print("| " + " | ".join(line.split()) + " |")


main()
