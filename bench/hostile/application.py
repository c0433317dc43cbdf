"""The application under attack: answers INVITE, and whatever else, with 200. Nothing is trusted, loopback neither."""

from __future__ import annotations

import sys

from dracht import Admission, App, Request, Response

app = App()


@app.invite
async def invite(req: Request, res: Response) -> None:
    """Takes the call."""
    await res.send(200)


@app.on("INVITE", in_dialog=True)
async def again(req: Request, res: Response) -> None:
    """Goes on with it."""
    await res.send(200)


@app.options
async def options(req: Request, res: Response) -> None:
    """Is there."""
    await res.send(200)


if __name__ == "__main__":
    way, where, control, secret, t1 = sys.argv[1:]
    if way == "embedded":
        admission = Admission(trusted=[])
        listen = f"sip:{where};transport=udp,tcp"
        app.run(listen=listen, control=control, secret=secret, admission=admission, shards=2, t1=float(t1))
    else:
        app.run(connect=f"tcp://{control}", secret=secret)
