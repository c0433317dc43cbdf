"""A user agent that answers every call: 180, 200 with SDP, and 200 to the BYE.

    dracht run examples/uas.py --listen sip:127.0.0.1:5060
    dracht call sip:anybody@127.0.0.1:5060

There is no media behind it: the SDP is well-formed and names the discard port.
"""

from dracht import App, Request, Response

SDP = b"""v=0\r
o=dracht 1 1 IN IP4 127.0.0.1\r
s=-\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio 9 RTP/AVP 0\r
a=rtpmap:0 PCMU/8000\r
"""

app = App()


@app.invite
async def invite(req: Request, res: Response) -> None:
    """A new call: let it ring, then answer. A re-INVITE gets the same SDP by default."""
    await res.send(180)
    await res.send(200, body=SDP)


@app.bye
async def bye(req: Request, res: Response) -> None:
    """The end of a call."""
    await res.send(200)


if __name__ == "__main__":
    app.run()  # from the environment: DRACHT_LISTEN, or DRACHT_CONNECT and DRACHT_SECRET
