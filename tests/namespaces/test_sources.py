"""A listener on every address of a host that has several: whoever is called for the first time sees the one that the host's
routes lead from, in Via and Contact."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.namespaces.places import Places

# Calls a peer of each network, and says what it was shown.
_PROGRAM = """
import asyncio, json, os, sys
from dracht import App

app = App()

async def main():
    shown = {}
    async with app.serving(listen="sip:*:5070;transport=udp"):
        for peer in sys.argv[1:]:
            transaction = await app.agent.request(f"sip:x@{peer}", "INVITE")
            sent = transaction.request.msg
            shown[peer] = [sent.vias[0].host, str(sent.contacts[0].uri.host)]
        # Nobody answers, and nothing waits for it.
        print(json.dumps(shown), flush=True)
        os._exit(0)

asyncio.run(main())
"""
# Both ends of the router's cables, and a phone at the other end of each.
_NETWORKS = {"10.10.0.20": "10.10.0.1", "203.0.113.50": "203.0.113.10"}


def test_each_network_sees_the_address_in_it(places: Places) -> None:
    command = places.command("nat1", sys.executable, "-c", _PROGRAM, *_NETWORKS)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {peer: [own, own] for peer, own in _NETWORKS.items()}
