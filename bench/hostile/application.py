"""The application under attack: answers INVITE, and whatever else, with 200. Nothing is trusted, loopback neither.

`python -m bench.hostile.application JSON`, with the arguments of `App.run`; `certificate` is a pair of files for TLS.
"""

from __future__ import annotations

import json
import sys

from dracht import Admission, App, Request, Response, Tls

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
    arguments = json.loads(sys.argv[1])
    if "listen" in arguments:
        arguments["admission"] = Admission(trusted=[])
        arguments["tls"] = Tls(certificates=[tuple(arguments.pop("certificate"))])
    app.run(**arguments)
