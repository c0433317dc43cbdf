"""`Answering`: which challenges one request of ours has met, and the credentials that its next attempt carries.

A request may pass several proxies before it reaches a server, each with a realm of its own, and a forking proxy puts the
challenges of all its branches into one response (RFC 3261 §16.7 item 7). What one realm was given stays in every later attempt,
counted on; a realm that refuses gets nothing more, unless it only calls the nonce stale, and that once (RFC 3261 §22.1).
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dracht.digest.credentials import Digest, Key, Keyring, Session
from dracht.digest.fields import Params, challenges, parameters
from dracht.errors import HeaderError

if TYPE_CHECKING:
    from dracht._core import Message

__all__ = ["Answering"]

log = logging.getLogger("dracht")

_FIELDS = (("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization"))
_CONFIRMATIONS = (
    ("Authentication-Info", "Authorization"),
    ("Proxy-Authentication-Info", "Proxy-Authorization"),
)
# How often one request is sent with credentials: a server that invents realms does not keep us busy for ever.
_MAX_ATTEMPTS = 10
# How many realms are answered because of one response: those of the branches of a forking proxy, and of the proxies on the way.
_MAX_REALMS = 16
# How much of what one response has wrong the log says.
_MAX_SHOWN = 8
# How many servers with the same realm one response may speak for (RFC 3261 §22.3).
_MAX_SAME_REALM = 4


class Given(NamedTuple):
    """A credential of the attempt that is under way."""

    key: Key
    session: Session
    params: Params


class Answering:
    """The credentials of one request, over all its attempts."""

    __slots__ = ("_answered", "_attempts", "_given", "_ring", "_sessions", "target")

    def __init__(self, ring: Digest | Keyring) -> None:
        self._ring = ring
        self._sessions: dict[Key, list[Session]] = {}
        self._answered: dict[Key, int] = {}
        self._given: list[Given] = []
        self._attempts = 0
        self.target = ""
        """The request-URI that credentials given unasked are for, where it is not that of the request."""

    @property
    def unasked(self) -> bool:
        """Whether the attempt under way has credentials that nobody asked this request for."""
        return bool(self._given) and not self._attempts

    def begin(self, places: Iterable[Hashable]) -> bool:
        """Takes what earlier requests to the same place were accepted with; whether there is any."""
        held = self._ring.sessions.at(places)
        self._sessions, self.target = dict(held.sessions), held.target
        return bool(self._sessions)

    def withdraw(self) -> None:
        """Forgets what was given unasked."""
        for key, held in self._sessions.items():
            self._ring.sessions.forget(key, {one.params["nonce"] for one in held})
        self._sessions, self._given = {}, []

    def fields(self, method: str, uri: str, body: bytes) -> list[tuple[str, str]]:
        """The header fields of the next attempt: one for each realm and server, each with a count of its own."""
        self._given = []
        fields: list[tuple[str, str]] = []
        for key, sessions in self._sessions.items():
            for session in sessions:
                nonce = session.params["nonce"]
                count = self._ring.sessions.count(nonce) if "qop" in session.params else 0
                value, params = session.digest.authorization(session, method, uri, body, count)
                self._given.append(Given(key, session, params))
                fields.append((key[0], value))
        return fields

    def challenged(self, response: Message) -> bool:
        """Takes the challenges of a 401 or 407; whether there is something new to answer with."""
        progress = False
        refused: list[str] = []
        for key, asked in self._asked(response).items():
            answered = self._answered.get(key, 0)
            stale = any(one.params.get("stale", "").lower() == "true" for one in asked)
            self._ring.sessions.forget(key, {one.params["nonce"] for one in self._sessions.get(key, ())})
            if answered and not (stale and answered == 1):
                # RFC 3261 §22.1: what has just been rejected is not sent again.
                refused.append(f"{key[0]} for realm {key[1]!r}")
                continue
            self._answered[key] = answered + 1
            self._sessions[key] = asked
            progress = True
        if refused:
            log.info("the credentials were refused: %s", _shown(refused))
        self._attempts += progress
        return progress and self._attempts <= _MAX_ATTEMPTS

    def accepted(
        self, response: Message, places: Sequence[tuple[Hashable, bool]], target: str
    ) -> bool | None:
        """A response that challenges no longer: keeps the sessions, and checks who answers.

        Args:
            response: the response.
            places: for what later requests to remember them, and whether a proxy's credentials count there as well.
            target: the request-URI of such requests; "" where it is theirs to say.

        Returns:
            Whether the server has shown that it knows the password too (RFC 7616 §3.5); None where it did not try.
        """
        verified = self._confirmed(response)
        if verified is not False:
            for place, proxies in places:
                kept = {
                    key: held for key, held in self._sessions.items() if proxies or key[0] == "Authorization"
                }
                if kept:
                    self._ring.sessions.remember(place, kept, target)
        return verified

    def _asked(self, response: Message) -> dict[Key, list[Session]]:
        """The strongest challenges of each realm that can be answered (RFC 8760 §2.4); others are logged."""
        best: dict[Key, tuple[int, list[Session]]] = {}
        problems: list[str] = []
        for asking, answering in _FIELDS:
            for field in response.headers_all(asking):
                try:
                    for scheme, params in challenges(field):
                        self._weigh(answering, scheme, params, best, problems)
                except HeaderError as error:
                    problems.append(f"a challenge cannot be read: {error}")
        if problems:
            level = logging.INFO if best else logging.WARNING
            log.log(level, "challenges that are not answered: %s", _shown(problems))
        return {key: held for key, (_, held) in best.items()}

    def _weigh(
        self,
        answering: str,
        scheme: str,
        params: Params,
        best: dict[Key, tuple[int, list[Session]]],
        problems: list[str],
    ) -> None:
        realm = params.get("realm", "")
        key = (answering, realm)
        if key not in best and len(best) >= _MAX_REALMS:
            problems.append(f"realm {realm!r}: {_MAX_REALMS} others are answered at once")
            return
        digest = self._ring.find(realm)
        if digest is None:
            problems.append(f"realm {realm!r}: there are no credentials for it")
            return
        try:
            rank = digest.rank(scheme, params)
        except HeaderError as error:
            problems.append(f"realm {realm!r}: {error}")
            return
        held = best.get(key)
        if held is None or rank < held[0]:
            best[key] = (rank, [digest.session(params)])
        elif (
            rank == held[0]
            and len(held[1]) < _MAX_SAME_REALM
            and all(one.params["nonce"] != params["nonce"] for one in held[1])
        ):
            # RFC 3261 §22.3: a forking proxy reached several servers of one realm, each with a nonce of its own.
            held[1].append(digest.session(params))

    def _confirmed(self, response: Message) -> bool | None:
        verified: bool | None = None
        for name, answering in _CONFIRMATIONS:
            for field in response.headers_all(name):
                try:
                    info = parameters(field)
                except HeaderError as error:
                    log.warning("%s is passed over: %s", name, error)
                    continue
                given = [one for one in self._given if one.key[0] == answering and _meant(one.params, info)]
                if not given:
                    continue
                right = [
                    one.session.digest.confirms(one.session, one.params, info, response.body) for one in given
                ]
                if False in right and True not in right:
                    log.warning("%s does not show that realm %r knows the password", name, given[0].key[1])
                    verified = False
                    continue
                if True in right and verified is None:
                    verified = True
                if len(given) == 1:
                    self._renew(given[0], info)
        return verified

    def _renew(self, given: Given, info: Params) -> None:
        """Takes the nonce that the server wants next. Not with `-sess`, whose secret stays bound to the first one."""
        nonce = info.get("nextnonce")
        if nonce and not given.session.cnonce:
            renewed = given.session._replace(params={**given.session.params, "nonce": nonce})
            self._sessions[given.key] = [
                renewed if one is given.session else one for one in self._sessions.get(given.key, ())
            ]


def _shown(what: Sequence[str]) -> str:
    more = len(what) - _MAX_SHOWN
    text = "; ".join(one if len(one) <= 200 else one[:200] + "..." for one in what[:_MAX_SHOWN])
    return f"{text}; and {more} more" if more > 0 else text


def _meant(params: Params, info: Params) -> bool:
    """Whether Authentication-Info speaks of these credentials: it repeats their nc and cnonce (RFC 7616 §3.5)."""
    return all(info[name] == params.get(name) for name in ("nc", "cnonce") if name in info)
