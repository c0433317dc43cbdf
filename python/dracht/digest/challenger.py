"""`Challenger`: asks for credentials, and says whose a request is (RFC 3261 §22, RFC 7616, RFC 8760).

Who is not known gets one challenge for each algorithm, the strongest first. Credentials that were right but for an old nonce get
a new one with `stale=true`, so that the phone need not ask its user. A wrong password and an unknown user look the same and take
as long. Counting failures and shutting somebody out is the application's: `refused=` tells it.
"""

from __future__ import annotations

import inspect
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from dracht.digest import computing
from dracht.digest.fields import Params, written
from dracht.digest.nonces import Nonces, Standing
from dracht.digest.presented import Presented, presented
from dracht.errors import HeaderError, ParseError, SipError

if TYPE_CHECKING:
    from dracht.request import Request

__all__ = ["Challenger", "Identity", "PasswordFor"]

log = logging.getLogger("dracht")

# A password, or H(username:realm:password) for each algorithm; None for a user that there is not.
Password: TypeAlias = str | Mapping[str, str] | None
PasswordFor: TypeAlias = Callable[[str, str], Password | Awaitable[Password]]
UsernameFor: TypeAlias = Callable[[str, str, str], "str | Awaitable[str | None] | None"]
Refused: TypeAlias = Callable[["Request", str], object]
UriCheck: TypeAlias = Literal["resource", "exact"] | Callable[["Request", str], bool] | None

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request, by digest. `str()` is the user name."""

    username: str
    realm: str
    algorithm: str
    """As in the credentials: `SHA-256`."""
    qop: str | None
    """`auth`; `auth-int`, where the body is covered as well; None where the credentials had none."""

    def __str__(self) -> str:
        return self.username


class _Stale(Exception):
    """The credentials are right, but their nonce is not good any more."""


class Challenger:
    """Authenticates requests by digest.

    Args:
        password_for: `password_for(user, realm)`, sync or async: the password; or a mapping from algorithm to HA1
            (`dracht.digest.ha1`), which must have each of `algorithms`; or None for a user that there is not.
        realm: the realm, which users see: as a rule the domain.
        algorithms: in the order in which they are preferred; each may have `-sess`. Leave out `MD5` where all phones know better.
        qop: what is offered: `auth`, and `auth-int`, which covers the body.
        proxy: ask as a proxy does: 407 and Proxy-Authenticate, instead of 401 and WWW-Authenticate.
        nonce_lifetime: how long a nonce is good; seconds.
        secret: what nonces are signed with, 16 bytes or more; a random one when None. Processes that answer for one another
            share it. Counts are kept by each: a request can be replayed to another process, once, while its nonce lives.
        bind_source: bind nonces to the address that asked. Not for phones whose address changes with each request, as behind
            some NATs.
        allow_without_qop: accept credentials without qop, as RFC 2069 had them. They have no count, so that they can be
            replayed while their nonce lives.
        uri_check: how the digest-uri must agree with the request-URI. `resource`: the same user and host (ports and parameters
            are changed by phones and on the way); `exact`: equivalent by RFC 3261 §19.1.4; a function of request and
            digest-uri; None: not at all, for servers behind a proxy that rewrites request-URIs (RFC 3261 §22.4 item 6).
        username_for: `username_for(hashed, realm, algorithm)`, sync or async: the user of a hashed name
            (`dracht.digest.userhash`), or None. With it challenges have `userhash=true` (RFC 7616 §3.4.4).
        charset: say `charset=UTF-8` in challenges.
        domain: the URIs that the credentials are for, as the `domain` of a 401 (RFC 7616 §3.3).
        opaque: a text that clients give back.
        confirm: show in 2xx answers that we know the password as well: Authentication-Info with `rspauth` (RFC 7616 §3.5), and
            the next nonce when the one in use gets old. No `rspauth` for `auth-int`: it would cover a body not known yet.
        refused: called with the request and the user name when credentials were wrong; may raise `SipError(403)`. Sync or async.
        max_nonces: how many nonces in use are kept; about 200 bytes each.
        clock: the time in seconds since 1970.

    Raises:
        TypeError: an argument is of another kind, as a mapping where `password_for` is a function.
        ValueError: an argument cannot be used.
    """

    def __init__(
        self,
        password_for: PasswordFor,
        *,
        realm: str,
        algorithms: Iterable[str] = ("SHA-256", "MD5"),
        qop: Iterable[str] = ("auth", "auth-int"),
        proxy: bool = False,
        nonce_lifetime: float = 300.0,
        secret: bytes | str | None = None,
        bind_source: bool = False,
        allow_without_qop: bool = False,
        uri_check: UriCheck = "resource",
        username_for: UsernameFor | None = None,
        charset: bool = False,
        domain: str | None = None,
        opaque: str | None = None,
        confirm: bool = False,
        refused: Refused | None = None,
        max_nonces: int = 65_536,
        clock: Callable[[], float] = time.time,
    ) -> None:
        _check_functions(password_for=password_for, username_for=username_for, refused=refused)
        self.realm = realm
        self.algorithms = _texts("algorithms", algorithms, '("SHA-256", "MD5")')
        self.qop = _texts("qop", qop, '("auth", "auth-int")')
        self.proxy = proxy
        self.nonce_lifetime = nonce_lifetime
        _check(self.algorithms, self.qop, nonce_lifetime, max_nonces, secret)
        self._password_for = password_for
        self._username_for = username_for
        self._bind_source = bind_source
        self._without_qop = allow_without_qop
        self._uri_check = uri_check
        self._confirm = confirm
        self._refused = refused
        self._composed = charset
        self._nonces = Nonces(
            secrets.token_bytes(32)
            if secret is None
            else secret.encode()
            if isinstance(secret, str)
            else secret,
            lifetime=nonce_lifetime,
            limit=max_nonces,
            clock=clock,
        )
        self._nobody = secrets.token_hex(16)
        self._params = [
            *([("domain", domain)] if domain is not None and not proxy else []),
            *([("opaque", opaque)] if opaque is not None else []),
            *([("charset", "UTF-8")] if charset else []),
            *([("userhash", "true")] if username_for is not None else []),
        ]
        self._known = {name.upper() for name in self.algorithms}
        self._asking, self._answering, self._confirming = (
            ("Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info")
            if proxy
            else ("WWW-Authenticate", "Authorization", "Authentication-Info")
        )
        # Says at once what could not be written in a challenge.
        self.challenge_fields("nonce")

    async def authenticate(self, req: Request) -> Identity:
        """Whose a request is. Sets `req.state.user` as well; with `proxy=True` what `req.proxy` forwards lacks the credentials
        that were accepted, and keeps those for others (RFC 3261 §22.3).

        Raises:
            SipError: 401 or 407 with the challenges, to be answered with; 400 for credentials that cannot be read, or whose
                digest-uri is another; and what `refused` raises.
            ValueError: it is an ACK or a CANCEL, which nobody may challenge (RFC 3261 §22.1).
        """
        if req.method in ("ACK", "CANCEL"):
            raise ValueError(f"{req.method} cannot be challenged (RFC 3261 §22.1): the INVITE was")
        stale = False
        tried: str | None = None
        for params, field in self._credentials(req):
            if not self._offered(req, params):
                continue
            try:
                identity = await self._identity(req, params)
            except _Stale:
                stale = True
                continue
            if identity is not None:
                req.state.user = identity
                if self.proxy and field is not None:
                    req.consume_credentials(field)
                return identity
            tried = params["username"]
        if tried is not None and not stale:
            log.info("%s from %s: wrong credentials for user %r", req.method, req.source[0], tried[:80])
            if self._refused is not None:
                await _awaited(self._refused(req, tried))
        raise self.challenge(req, stale=stale)

    def challenge(self, req: Request, *, stale: bool = False) -> SipError:
        """The error to raise, or to answer with, when credentials are to be asked for: 401 or 407 with the challenges.

        Args:
            req: the request.
            stale: those that came were right, their nonce was old.
        """
        fields = self.challenge_fields(self._nonces.make(self._context(req)), stale=stale)
        return SipError(407 if self.proxy else 401, headers=fields)

    def challenge_fields(self, nonce: str, *, stale: bool = False) -> list[tuple[str, str]]:
        """The header fields of a challenge: one for each algorithm, the preferred first (RFC 8760 §2.3)."""
        fields = []
        for algorithm in self.algorithms:
            params = [("realm", self.realm), ("nonce", nonce), *self._params, ("algorithm", algorithm)]
            if self.qop:
                params.append(("qop", ",".join(self.qop)))
            if stale:
                params.append(("stale", "true"))
            fields.append((self._asking, "Digest " + written(params)))
        return fields

    # ---- inside

    def _credentials(self, req: Request) -> list[Presented]:
        """The credentials for this realm that a request brings; 400 for those that cannot be read."""
        try:
            return presented(req.headers.getall(self._answering), self.realm)
        except HeaderError as error:
            log.info("%s from %s: %s: %s", req.method, req.source[0], self._answering, error)
            raise SipError(400, f"Malformed {self._answering}") from None

    def _offered(self, req: Request, params: Params) -> bool:
        """Whether the credentials are of a kind that was asked for; others are passed over, and asked for again."""
        algorithm, qop = params.get("algorithm", "MD5"), params.get("qop")
        if algorithm.upper() in self._known and (qop in self.qop or (qop is None and self._without_qop)):
            return True
        log.info(
            "%s from %s: credentials with algorithm %r, qop %r are not accepted",
            req.method,
            req.source[0],
            algorithm[:40],
            qop,
        )
        return False

    async def _identity(self, req: Request, params: Params) -> Identity | None:
        """Whose credentials these are, if they are right; None where they are not. Raises _Stale and SipError."""
        algorithm, qop = params.get("algorithm", "MD5"), params.get("qop")
        if not self._agrees(req, params["uri"]):
            # RFC 7616 §3.4.6. Before the password is looked at: this says nothing about it.
            raise SipError(400, "Digest URI Differs from Request-URI")
        realm = self.realm
        username: str | None = params["username"]
        hashed = params.get("userhash", "").lower() == "true"
        if hashed:
            found = (
                None
                if self._username_for is None
                else self._username_for(params["username"], realm, algorithm)
            )
            username = await _awaited(found)
        secret, certain = await self._secret(username, algorithm)
        expected = self._response(params, secret, req.method, req.body)
        given = params["response"].lower().encode("utf-8", "surrogateescape")
        if not secrets.compare_digest(expected.encode(), given) or not certain or username is None:
            return None
        # Only now: that a nonce is old or used up is told to those alone who know the password (RFC 7616 §3.3, stale).
        nonce, context = params["nonce"], self._context(req)
        if self._nonces.standing(nonce, context) is not Standing.GOOD:
            raise _Stale
        if qop is not None and not self._nonces.use(nonce, context, int(params["nc"], 16)):
            log.info(
                "%s from %s: nonce count %s of user %r was used before",
                req.method,
                req.source[0],
                params["nc"],
                username,
            )
            raise _Stale
        if self._confirm:
            self._confirmed(req, params, secret, context)
        return Identity(username, realm, algorithm, qop)

    async def _secret(self, username: str | None, algorithm: str) -> tuple[str, bool]:
        """HA1 of a user, and whether it is one: for a user that there is not, something to compute with all the same."""
        realm = self.realm
        password = None if username is None else await _awaited(self._password_for(username, realm))
        if isinstance(password, Mapping):
            held = {name.upper(): value for name, value in password.items()}.get(computing.base_of(algorithm))
            if held is not None:
                return held.lower(), True
            log.warning(
                "there is no HA1 of algorithm %s for user %r: leave it out of algorithms=, or store it",
                algorithm,
                username,
            )
            password = None
        name, certain = username or "", password is not None
        text = self._nobody if password is None else password
        if self._composed:
            name, text = computing.normal(name), computing.normal(text)
        return computing.ha1(algorithm, name, realm, text), certain

    def _response(self, params: Params, secret: str, method: str, body: bytes) -> str:
        return computing.digest_response(
            params.get("algorithm", "MD5"),
            secret,
            method,
            params["uri"],
            params["nonce"],
            qop=params.get("qop"),
            count=params.get("nc", ""),
            cnonce=params.get("cnonce", ""),
            body=body,
        )

    def _agrees(self, req: Request, uri: str) -> bool:
        check = self._uri_check
        if check is None or uri == req.msg.uri:
            return True
        if not isinstance(check, str):
            return bool(check(req, uri))
        from dracht._core import parse_uri

        try:
            given, asked = parse_uri(uri), req.uri
        except ParseError:
            return False
        if check == "exact":
            return given.equivalent(asked)
        # A server asked as sip:HOST by one that was configured as sip:HOST:5060;transport=tcp is the same resource.
        return given.user == asked.user and given.host.lower() == asked.host.lower()

    def _confirmed(self, req: Request, params: Params, secret: str, context: str) -> None:
        """Adds Authentication-Info to the 2xx (RFC 7616 §3.5)."""
        info: list[tuple[str, str]] = []
        if params.get("qop") == "auth":
            info = [("qop", "auth"), ("rspauth", self._response(params, secret, "", b""))]
            info += [("cnonce", params["cnonce"]), ("nc", params["nc"])]
        session = computing.is_session(params.get("algorithm", "MD5"))
        if not session and self._nonces.age(params["nonce"], context) > self.nonce_lifetime / 2:
            info.append(("nextnonce", self._nonces.make(context)))
        if not info:
            return
        value = written(info, bare=frozenset(("qop", "nc")))

        @req.res.before_send
        def add(status: int, headers: object) -> None:
            if 200 <= status < 300:
                headers[self._confirming] = value  # type: ignore[index]

    def _context(self, req: Request) -> str:
        return f"{self.realm}\0{req.source[0]}" if self._bind_source else self.realm

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.realm!r}>"


async def _awaited(value: _T | Awaitable[_T]) -> _T:
    if inspect.isawaitable(value):
        awaited: _T = await value
        return awaited
    return value


def _check_functions(**given: object) -> None:
    for name, function in given.items():
        if function is None and name != "password_for":
            continue
        if not callable(function):
            hint = f"; for a mapping of passwords give {name}=lambda user, realm: passwords.get(user)"
            raise TypeError(
                f"{name}= takes a function, not {function!r}{hint if isinstance(function, Mapping) else ''}"
            )


def _texts(name: str, values: Iterable[str], example: str) -> tuple[str, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name}= takes several texts, as {example}, not {values!r}")
    held = tuple(values)
    if wrong := [one for one in held if not isinstance(one, str)]:
        raise TypeError(f"{name}= takes several texts, as {example}, not {wrong[0]!r} among them")
    return held


def _check(
    algorithms: tuple[str, ...], qop: tuple[str, ...], lifetime: float, limit: int, secret: bytes | str | None
) -> None:
    if not algorithms:
        raise ValueError("algorithms= is empty: name at least one of SHA-512-256, SHA-256 and MD5")
    for name in algorithms:
        try:
            computing.base_of(name)
        except HeaderError as error:
            raise ValueError(str(error)) from None
    if unknown := [name for name in qop if name not in ("auth", "auth-int")]:
        raise ValueError(f"unknown qop {unknown}; known are auth and auth-int")
    if not qop:
        raise ValueError("qop= is empty: a server must offer one (RFC 3261 §22.4 item 8)")
    if lifetime <= 0 or limit < 1:
        raise ValueError("nonce_lifetime= is a number of seconds above 0, and max_nonces= at least 1")
    if secret is not None and len(secret) < 16:
        raise ValueError("secret= is shorter than 16 bytes: whoever guesses it makes nonces")
