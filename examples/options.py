"""Answers OPTIONS: what this user agent can do (RFC 3261 §11), and that it is alive. Load balancers ask it every few seconds.

    dracht run examples/options.py --listen sip:127.0.0.1:5060

and any SIP tool that "pings": `sipsak -s sip:127.0.0.1:5060`, or a trunk's qualify option.
"""

from dracht import App, Request, Response

app = App()


@app.options
async def options(req: Request, res: Response) -> None:
    """200, with what a caller may want to know."""
    await res.send(200, headers={"Allow": "OPTIONS", "Accept": "application/sdp", "Supported": ""})


if __name__ == "__main__":
    app.run()  # from the environment: DRACHT_LISTEN, or DRACHT_CONNECT and DRACHT_SECRET
