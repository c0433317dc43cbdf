"""Running an application as a process: link options from the environment, and a run that ends well at a signal.

The first SIGINT or SIGTERM lets what is served drain; the second ends it at once.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any, get_type_hints

from dracht.link.options import EngineOptions, check_options

if TYPE_CHECKING:
    from dracht.links import TlsContext

__all__ = ["LinkOptions", "check_link_options", "from_environment", "patient", "run_loop", "until_stopped"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A call makes some hundred objects and few cycles: the interpreter's 700 would have it look for them every few calls.
_GC_THRESHOLD = 20_000


class LinkOptions(EngineOptions, total=False):
    """How an application reaches an engine, and how that engine is set up where it is in this process."""

    listen: str | Sequence[str] | None
    """Embedded: `sip:HOST:PORT[;transport=udp,tcp]`, or several."""
    connect: str | Sequence[str] | None
    """Connected: `tcp://HOST:PORT` or `tls://HOST:PORT`, or several."""
    accept: str | None
    """Called: `tcp://HOST:PORT` or `tls://HOST:PORT` where servers connect to us with the calls they want answered."""
    secret: str | None
    """What a server was started with; with `control`, what others authenticate with."""
    control: str | None
    """Embedded: `HOST:PORT` on which the engine accepts other applications, and answers `dracht status`."""
    tls: TlsContext
    """`Tls` for any of the three; `connect` and `accept` take an SSL context too."""
    tags: Sequence[str]
    """Labels of this application, for a server that routes by tag."""
    timeout: float
    """Seconds until a first server must be ready."""
    retry: bool
    """Keep trying for that long where no server is there yet."""


def check_link_options(options: Mapping[str, object]) -> None:
    """Whether there are these options of `serving` and `run`, and each is of its type, before anything is opened.

    Raises:
        TypeError: there is no such option, and what is spelled nearly so; or one of them takes something else.
        ValueError: a number is longer than any that makes sense.
    """
    # What listens, and where, has an example in its message.
    given = {name: value for name, value in options.items() if name != "listen"}
    check_options(given, _link_hints())


@functools.cache
def _link_hints() -> dict[str, Any]:
    from dracht.links import TlsContext

    hints = get_type_hints(LinkOptions, localns={"TlsContext": TlsContext})
    return {name: hints[name] for name in LinkOptions.__annotations__}


def from_environment(options: LinkOptions) -> LinkOptions:
    """The options, completed from DRACHT_LISTEN, DRACHT_CONNECT (several separated by spaces) and DRACHT_SECRET.

    What is given wins: with a link given, only the secret is looked up.
    """
    complete = options.copy()
    if not any(complete.get(way) for way in ("listen", "connect", "accept")):
        if listen := os.environ.get("DRACHT_LISTEN", "").split():
            complete["listen"] = listen
        elif connect := os.environ.get("DRACHT_CONNECT", "").split():
            complete["connect"] = connect
    if not complete.get("secret") and (secret := os.environ.get("DRACHT_SECRET")):
        complete["secret"] = secret
    return complete


def patient(options: LinkOptions) -> LinkOptions:
    """The options of a process that runs for long: a server that is not there yet is waited for."""
    if not options.get("connect"):
        return options
    waiting: LinkOptions = {"retry": True, "timeout": float("inf")}
    return {**waiting, **options}


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Runs the coroutine to its end on a loop of its own, in a process that is the application's alone.

    Raises:
        RuntimeError: a loop runs here already.

    What the process holds once it is up is kept out of the garbage collector's sight: it would look through it in vain.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        main.close()
        raise RuntimeError(
            "run() makes an event loop of its own, and one runs here already: `async with app.serving(...)` serves in it"
        )
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])
    asyncio.run(main)


async def until_stopped(
    serving: AbstractAsyncContextManager[Any], stop: asyncio.Event, ready: Callable[[], None] | None = None
) -> None:
    """Enters `serving`, calls `ready`, and leaves it when `stop` is set or a signal comes.

    A signal before it was entered, or a second one, cancels what goes on.
    """
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    entered = False
    interrupted = False

    def signalled() -> None:
        nonlocal interrupted
        if task is not None and (stop.is_set() or not entered):
            interrupted = True
            task.cancel()
        stop.set()

    for number in _SIGNALS:
        with suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread, or Windows
            loop.add_signal_handler(number, signalled)
    try:
        async with serving:
            entered = True
            if ready is not None:
                ready()
            await stop.wait()
    except asyncio.CancelledError:
        if not interrupted:
            raise
    finally:
        for number in _SIGNALS:
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)
