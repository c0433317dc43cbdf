"""Phones at a server with examples/registrar.py connected: a call passes, and `dracht status` says that nothing is left."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.cases import DRACHT, ROOT, SECRET
from bench.processes import free_port, running, wait_for_application, wait_for_tcp
from tests.interop.peers import baresip, linphone
from tests.interop.peers.process import Peers, steps
from tests.interop.status import held, wait_until_empty


@pytest.mark.peer("baresip")
@pytest.mark.peer("linphone")
async def test_a_call_between_phones_of_two_makes(tmp_path: Path, peers: Peers) -> None:
    port, control = free_port(), free_port()
    where = f"127.0.0.1:{port}"
    with ExitStack() as stack:
        listen = f"sip:{where};transport=udp,tcp"
        serve = [sys.executable, "-m", "tests.interop.quick_server", listen, f"127.0.0.1:{control}", SECRET]
        path = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        server = stack.enter_context(running("serve", serve, tmp_path, path))
        wait_for_tcp(control, server)
        run: list[str | Path] = [DRACHT, "run", ROOT / "examples" / "registrar.py", "--secret", SECRET]
        run += ["--connect", f"tcp://127.0.0.1:{control}"]
        # baresip 1.0 gives up at the SHA-256 that the example offers (docs/explanation/interop.md).
        application = stack.enter_context(running("run", run, tmp_path, {"DRACHT_OPEN": "1"}))
        wait_for_application(port, application)
        alice = await baresip.start(peers, "alice", where)
        bob = await linphone.start(peers, "bob", where)
        for phone in (alice, bob):
            await phone.saw(200, sent=False, of="REGISTER")
        await alice.command("dial", f"sip:bob@{where}")
        await bob.writes("Receiving new incoming call from")
        await bob.says("answer", "Media streams established")
        await bob.saw("ACK", sent=False)
        await alice.told("CALL_ESTABLISHED")
        assert held(control).get("dialogs", 0) == 0, "a proxied call is no dialog of ours"
        await alice.command("hangup")
        await bob.writes("ended (No error)")
        calls = ("INVITE", "ACK", "BYE")
        await alice.expect(steps(">INVITE <180 <200 >ACK >BYE <200"), *calls)
        await bob.expect(steps("<INVITE >180 >200 <ACK <BYE >200"), *calls)
        await peers.stop()
        await asyncio.to_thread(wait_until_empty, control)
