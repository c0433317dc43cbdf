"""`understands`: the extensions that a user agent knows; requests that need others get 420 (RFC 3261 §8.2.2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dracht.middleware.stack import Layer, Next
    from dracht.request import Request
    from dracht.response import Response


def understands(*options: str) -> Layer:
    """A layer that answers 420 with Unsupported to requests whose Require names an option that is not among `options`.

    It is for user agents: whoever proxies passes Require on, and the engine looks after Proxy-Require. ACK and CANCEL
    are let through, as they cannot be refused.

    Args:
        options: option tags such as `100rel` and `timer`, in any case.
    """
    known = frozenset(option.lower() for option in options)

    async def check_require(req: Request, res: Response, call_next: Next) -> None:
        required = () if req.method in ("ACK", "CANCEL") else req.headers.getlist("Require")
        unknown = [option for option in required if option.lower() not in known]
        if unknown:
            await res.send(420, headers={"Unsupported": ", ".join(unknown)})
        else:
            await call_next()

    return check_require
