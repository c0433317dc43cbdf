"""A trunk: calls go out through a carrier whose servers are found by DNS, and a server that is down costs one call three seconds.

    dracht run examples/trunk.py --listen sip:127.0.0.1:5060
    dracht call sip:+15550100@127.0.0.1:5060

DRACHT_TRUNK is the carrier's domain, without a port: its NAPTR and SRV records say which servers it has, in which order, over
which transport (RFC 3263). Where one is silent, refuses or answers 503, the engine takes the next one for this call, and leaves
the first out for the calls that follow, until it answers again. Run as `python examples/trunk.py` it asks the name servers in
DRACHT_NAME_SERVERS, and waits as long as `DNS` says; with `dracht serve` the same stands in `[dns]` of its configuration.
"""

import logging
import os

from dracht import App, Dns, Request, Response

TRUNK = os.environ.get("DRACHT_TRUNK", "trunk.example.com")
DNS = Dns(servers=tuple(os.environ.get("DRACHT_NAME_SERVERS", "").split()), target_timeout=3, unavailable=60)
log = logging.getLogger("trunk")

app = App()


@app.invite
async def invite(req: Request, res: Response) -> None:
    """A call to a number goes to the carrier; what has no number in it is not for the trunk."""
    number = req.uri.user or ""
    if not number.lstrip("+").isdecimal():
        await res.send(404)
        return
    result = await req.proxy(f"sip:{number}@{TRUNK}", record_route=True, final_timeout=120)
    if not result.connected:
        # 408, 500 and 503 say that nobody at the carrier took it: what `targets_unavailable` in `dracht status` shows by number.
        log.warning("%s through %s: %s", number, TRUNK, result.final_status)


if __name__ == "__main__":
    # From the environment: DRACHT_LISTEN, or DRACHT_CONNECT and DRACHT_SECRET. A server asks names in its own way.
    if "DRACHT_LISTEN" in os.environ:
        app.run(dns=DNS)
    else:
        app.run()
