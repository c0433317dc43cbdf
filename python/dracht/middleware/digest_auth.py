"""`DigestAuth`: a layer that lets only authenticated requests through (RFC 3261 §22)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dracht.digest import Challenger

if TYPE_CHECKING:
    from dracht.middleware.stack import Next
    from dracht.request import Request
    from dracht.response import Response

__all__ = ["DigestAuth"]


class DigestAuth(Challenger):
    """Middleware: `app.use("register", DigestAuth(password_for, realm="example.com"))`.

    Behind it `req.user` is the `Identity` of who sent the request. It takes the arguments of `Challenger`, and answers who is not
    authenticated itself: 401, or 407 with `proxy=True`, as for INVITEs that are proxied. ACK and CANCEL pass, as they must
    (RFC 3261 §22.1), and so does a BYE that the engine made.
    """

    async def __call__(self, req: Request, res: Response, next: Next) -> None:
        """Authenticates one request, and passes it on."""
        if req.method not in ("ACK", "CANCEL") and not req.generated:
            await self.authenticate(req)
        await next()
