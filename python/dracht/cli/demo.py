"""`dracht demo`: two calls through `examples/proxy.py`, one in each way of running it, with their ladders; then many.

Caller, proxy and callee are processes of their own, started with the commands that are shown, and speak SIP over loopback.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from dracht.cli.failures import Failure
from dracht.cli.ladder import draw
from dracht.cli.options import finite
from dracht.cli.output import say
from dracht.cli.processes import Process, run, shown
from dracht.cli.results import lines
from dracht.cli.trace import read, through

SECRET = "cymru"
PARTIES = ("caller", "proxy", "callee")
UDP = r"udp/127\.0\.0\.1:(\d+)"
ANY = "sip:127.0.0.1:0;transport=udp,tcp"


def demo(
    count: Annotated[int, typer.Option("--count", min=1, help="How many calls after the first one.")] = 200,
    rate: Annotated[
        float, typer.Option("--rate", min=1.0, callback=finite, help="How many of them per second.")
    ] = 100.0,
    example: Annotated[
        Path | None,
        typer.Option("--example", help="The proxy; examples/proxy.py of the checkout if left out."),
    ] = None,
) -> None:
    """Show a proxied call and its messages: embedded, then through a server. Ends with 1 when a call fails."""
    proxy = str(example or _example())
    say(
        "A call through a proxy written in Python, in both ways of running it. All of it on this machine.\n",
        "bold",
    )
    say("1. Embedded: the SIP engine and the application are one process", "bold cyan")
    with ExitStack() as stack:
        callee, folder = _callee(stack)
        application = _started(
            stack, "run", proxy, "--listen", ANY, environment={"DRACHT_TARGET": f"sip:127.0.0.1:{callee}"}
        )
        _calls(application.until(UDP)[1], Path(folder), count, rate)
    say("\n2. Connected: a server speaks SIP, the application drives it over TCP", "bold cyan")
    with ExitStack() as stack:
        callee, folder = _callee(stack)
        server = _started(stack, "serve", "--listen", ANY, "--control", "127.0.0.1:0", "--secret", SECRET)
        port = server.until(UDP)[1]
        control = server.until(r"tcp://(127\.0\.0\.1:\d+)")[1]
        connect = ("--connect", f"tcp://{control}", "--secret", SECRET)
        application = _started(
            stack, "run", proxy, *connect, environment={"DRACHT_TARGET": f"sip:127.0.0.1:{callee}"}
        )
        application.until("serves through")
        _calls(port, Path(folder), count, rate)
    say("\nEvery call was answered and ended as it should. The proxy is " + proxy + ".", "bold green")


def _example() -> Path:
    checkout = Path(__file__).resolve().parents[3]
    for folder in (Path.cwd(), checkout):
        if (folder / "examples" / "proxy.py").is_file():
            path = folder / "examples" / "proxy.py"
            return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    raise Failure(
        "there is no examples/proxy.py here: run it in a checkout of dracht, or name one with --example", 2
    )


def _started(stack: ExitStack, *arguments: str, environment: dict[str, str] | None = None) -> Process:
    prefix = "".join(f"{name}={value} " for name, value in (environment or {}).items())
    say(f"   $ {prefix}{shown(arguments)}", "dim")
    return stack.enter_context(Process(*arguments, environment=environment))


def _callee(stack: ExitStack) -> tuple[str, str]:
    """A callee that writes down what it sees; its port, and the folder with its trace."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dracht-demo-"))
    listen = ("answer", "--listen", ANY)
    say(f"   $ {shown(listen)}", "dim")
    callee = stack.enter_context(Process(*listen, "--trace", f"{folder}/callee"))
    return callee.until(UDP)[1], folder


def _calls(port: str, folder: Path, count: int, rate: float) -> None:
    """One call with its ladder, then many with their results; `Failure` where one fails."""
    one = ("call", f"sip:1234@127.0.0.1:{port}")
    say(f"   $ {shown(one)}\n", "dim")
    first = run(*one, "--json", "--trace", str(folder / "caller"), timeout=60)
    if first.returncode:
        raise Failure(f"the call was not answered: {first.stdout.strip()}")
    ends = {"caller": read(folder / "caller"), "callee": read(folder / "callee")}
    for line in draw(PARTIES, through("proxy", ends)):
        say(line)
    many = (*one, "--count", str(count), "--rate", f"{rate:g}")
    say(f"\n   $ {shown(many)}", "dim")
    result = run(*many, "--json", timeout=60 + 2 * count / rate)
    summary = json.loads(result.stdout or "{}")
    for line in lines(summary):
        say(f"   {line}", "red" if result.returncode else "green")
    if result.returncode:
        raise Failure(f"{summary.get('failed', count)} of {count} calls failed")
