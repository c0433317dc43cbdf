"""A server as `dracht serve` starts it, with SIP timers a tenth as long, so that a test need not wait 32 seconds for its last state.

python -m tests.interop.quick_server sip:127.0.0.1:5060 127.0.0.1:9022 SECRET
"""

from __future__ import annotations

import signal
import sys
import threading

from dracht import _core


def main(listen: str, control: str, secret: str) -> None:
    """Serves until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    _core.install_logging("warning")
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
