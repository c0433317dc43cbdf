"""`dracht serve --drain`: at SIGTERM what is new is sent elsewhere, and a call that stands comes to its own end first."""

from __future__ import annotations

import signal
from pathlib import Path

from dracht import Agent, Request, Response
from dracht.cli.processes import Process

EXAMPLES = Path(__file__).parents[2] / "examples"
LISTEN = "sip:127.0.0.1:0;transport=udp"


async def test_a_server_that_is_told_to_stop_lets_its_calls_end() -> None:
    serve = ("serve", "--listen", LISTEN, "--control", "127.0.0.1:0", "--secret", "cymru", "--drain", "30")
    with Process(*serve) as server:
        port = server.until(r"udp/127\.0\.0\.1:(\d+)")[1]
        control = server.until(r"tcp://(127\.0\.0\.1:\d+)")[1]
        run = ("run", str(EXAMPLES / "uas.py"), "--connect", f"tcp://{control}", "--secret", "cymru")
        with Process(*run) as application:
            application.until("serves through")
            async with Agent(nothing).serving(listen=LISTEN) as caller:
                target = f"sip:bob@127.0.0.1:{port}"
                call = await caller.request(target, "INVITE", body=b"v=0\r\n", timeout=10)
                answered = await call.final()
                assert answered.status == 200
                await answered.ack()
                server.send_signal(signal.SIGTERM)
                server.until("draining: 1 calls, at most 30 s")
                new = await (await caller.request(target, "INVITE", body=b"v=0\r\n", timeout=10)).final()
                assert new.status == 503
                assert int(new.headers["Retry-After"]) > 0
                bye = await caller.request(method="BYE", dialog=answered.dialog_id, timeout=10)
                assert (await bye.final()).status == 200
                server.until("stopping")
            assert server.ended() == 0


async def nothing(req: Request, res: Response) -> None:
    """The caller is not called."""
    await res.send(480)
