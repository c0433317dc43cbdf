"""A server as `dracht serve` starts it, with SIP timers a tenth as long: a test need not wait 32 seconds for the last state.

python -m tests.interop.quick_server sip:127.0.0.1:5060 127.0.0.1:9022 SECRET [LOG LEVEL]
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading

from dracht import _core


def main(listen: str, control: str, secret: str, level: str = "warning") -> None:
    """Serves until SIGTERM. On SIGUSR1 gives free memory back to the system, so that what is resident is what is in use, and says
    so in a line."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

    def give_back(*_: object) -> None:
        if trim is not None:
            trim(0)
        print("memory given back", flush=True)

    signal.signal(signal.SIGUSR1, give_back)
    _core.install_logging(level)
    engine = _core.Engine.start(
        [listen],
        embedded=False,
        control=control,
        secret=secret,
        t1=0.05,
        t2=0.4,
        t4=0.5,
        timer_c=8.0,
        application_timeout=4.0,
        ringing_timeout=8.0,
    )
    ended.wait()
    engine.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
