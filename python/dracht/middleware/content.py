"""`accepts`: the types of body that a user agent reads; requests with another get 415 (RFC 3261 §8.2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dracht.middleware.stack import Layer, Next
    from dracht.request import Request
    from dracht.response import Response


def accepts(*types: str) -> Layer:
    """A layer that answers 415 with Accept to requests whose body has a type that is not among `types`.

    Requests without a body, ACK and CANCEL are let through; so is a body whose Content-Disposition says that its handling is
    optional (RFC 3261 §20.11). A body without a Content-Type is of none of the types.

    Args:
        types: media types without parameters such as `application/sdp`, in any case.
    """
    known = frozenset(kind.lower() for kind in types)
    accept = {"Accept": ", ".join(types)}

    async def check_content(req: Request, res: Response, call_next: Next) -> None:
        if not req.body or req.method in ("ACK", "CANCEL") or optional(req):
            await call_next()
            return
        kind = "".join((req.msg.content_type or "").partition(";")[0].split()).lower()
        if kind in known:
            await call_next()
        else:
            await res.send(415, headers=accept)

    return check_content


def optional(req: Request) -> bool:
    """Whether the sender does not mind if the body is not understood."""
    disposition = req.headers.get("Content-Disposition", "").lower()
    parameters = ("".join(part.split()) for part in disposition.split(";")[1:])
    return "handling=optional" in parameters
