"""A proxy: every call goes on to one target, and stays on this proxy's path (Record-Route) until it ends.

Try it with a callee and a caller in two more terminals:

    dracht answer --listen sip:127.0.0.1:5070
    dracht run examples/proxy.py --listen sip:127.0.0.1:5060
    dracht call sip:1234@127.0.0.1:5060

or let `dracht serve` do the SIP and connect to it: `dracht run examples/proxy.py --connect tcp://127.0.0.1:9022 --secret cymru`.
DRACHT_TARGET says where calls go (default sip:127.0.0.1:5070).
"""

import logging
import os

from dracht import Agent, Request, Response

TARGET = os.environ.get("DRACHT_TARGET", "sip:127.0.0.1:5070")
log = logging.getLogger("proxy")


async def handler(req: Request, res: Response) -> None:
    """A new call. What follows in it (ACK, BYE, CANCEL) never comes here: the engine forwards it."""
    results = await req.proxy(TARGET, record_route=True, headers={"User-Agent": "dracht rocks!"})
    log.info("%s: %s", req.call_id, results.final_status)


agent = Agent(handler)
agent.route("invite")

if __name__ == "__main__":
    agent.run()  # from the environment: DRACHT_LISTEN, or DRACHT_CONNECT and DRACHT_SECRET
