"""What a client knows: `Digest`, a user name and password; `Keyring`, one for each realm; and the sessions that both keep.

A session is a nonce that a server accepted. Later requests to the same place carry credentials for it without being challenged
again (RFC 3261 §22.2, §22.3), and count it on. To make use of that, give the same `Digest` or `Keyring` with each request.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from dracht.digest import computing
from dracht.digest.fields import Params, ext_value, written
from dracht.errors import HeaderError

__all__ = ["Credentials", "Digest", "Keyring", "Session", "Sessions", "keyring"]

# How many nonces are counted, and for how many places (dialogs, registrations) sessions are kept: the oldest go first.
_MAX_NONCES = 256
_MAX_PLACES = 256
_BARE = frozenset(("algorithm", "qop", "nc", "userhash", "username*"))

# Of a credential: Authorization or Proxy-Authorization, and the realm.
Key: TypeAlias = tuple[str, str]


class Session(NamedTuple):
    """A challenge that is being answered."""

    digest: Digest
    params: Params
    """The parameters of the challenge, names in lower case; with the next nonce where the server gave one."""
    cnonce: str
    """The client's nonce where the secret is bound to it (`-sess`); "" where each request has its own."""


class Place(NamedTuple):
    """What is remembered of a dialog or destination."""

    sessions: dict[Key, list[Session]]
    target: str
    """The request-URI to expect there; "" for that of the request."""


class Sessions:
    """The nonces in use, with their counts."""

    __slots__ = ("_counts", "_places")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._places: dict[Hashable, Place] = {}

    def count(self, nonce: str) -> int:
        """The next count of a nonce (`nc`, RFC 7616 §3.4)."""
        count = self._counts.pop(nonce, 0) + 1
        self._counts[nonce] = count
        if len(self._counts) > _MAX_NONCES:
            del self._counts[next(iter(self._counts))]
        return count

    def remember(self, place: Hashable, sessions: Mapping[Key, list[Session]], target: str) -> None:
        """Keeps sessions for later requests to the same place."""
        held = self._places.pop(place, None)
        merged = {**(held.sessions if held is not None else {}), **sessions}
        self._places[place] = Place(merged, target)
        if len(self._places) > _MAX_PLACES:
            del self._places[next(iter(self._places))]

    def at(self, places: Iterable[Hashable]) -> Place:
        """What is known of any of these places."""
        sessions: dict[Key, list[Session]] = {}
        target = ""
        for place in places:
            held = self._places.get(place)
            if held is not None:
                sessions.update(held.sessions)
                target = target or held.target
        return Place(sessions, target)

    def forget(self, key: Key, nonces: set[str]) -> None:
        """Takes back what was remembered of nonces that a server refused."""
        for place in self._places.values():
            held = place.sessions.get(key)
            if held is not None and any(one.params.get("nonce") in nonces for one in held):
                del place.sessions[key]


class Digest:
    """A user name and password, for `agent.request(auth=...)`. May be used for any number of requests.

    Args:
        username: the user name.
        password: the password; it appears in no log and no `repr`.
        realm: answer this realm only; any when None.
        ha1: instead of a password, H(username:realm:password) for each algorithm (`dracht.digest.ha1`); needs `realm`.
        algorithms: what may be answered. Leave out `MD5` where nothing weak is to be sent: with it, whoever sits between can
            take the strong challenges away.
        qop: which qualities of protection, the preferred first. Bodies are changed on the way more often than they are attacked
            (SDP, by media proxies), so that `auth` is preferred to `auth-int` where there is a choice.

    Raises:
        ValueError: neither or both of password and ha1; ha1 without realm; a line break in the user name; an algorithm or qop
            that is not known.
    """

    __slots__ = ("_algorithms", "_ha1", "_password", "_qop", "realm", "sessions", "username")

    def __init__(
        self,
        username: str,
        password: str | None = None,
        *,
        realm: str | None = None,
        ha1: Mapping[str, str] | None = None,
        algorithms: Iterable[str] = tuple(computing.ALGORITHMS),
        qop: Iterable[str] = ("auth", "auth-int"),
    ) -> None:
        if (password is None) == (ha1 is None):
            raise ValueError("Digest takes a password or ha1=, one of the two")
        if ha1 is not None and realm is None:
            raise ValueError("Digest(ha1=...) needs realm=: the hash holds for one realm only")
        if set(username) & {"\r", "\n", "\0"}:
            raise ValueError("a user name has no line breaks")
        self._algorithms = frozenset(name.upper() for name in algorithms)
        self._qop = tuple(qop)
        if unknown := [name for name in self._algorithms if name not in computing.ALGORITHMS]:
            raise ValueError(
                f"unknown digest algorithms {unknown}; known are {', '.join(computing.ALGORITHMS)}"
            )
        if unknown := [name for name in self._qop if name not in ("auth", "auth-int")]:
            raise ValueError(f"unknown qop {unknown}; known are auth and auth-int")
        self.username = username
        self.realm = realm
        self._password = password
        self._ha1 = None if ha1 is None else {name.upper(): value.lower() for name, value in ha1.items()}
        self.sessions = Sessions()

    def find(self, realm: str) -> Digest | None:
        """Itself, where it is for that realm."""
        return self if self.realm is None or self.realm == realm else None

    def rank(self, scheme: str, params: Params) -> int:
        """How strong a challenge is, 0 the strongest.

        Raises:
            HeaderError: it cannot be answered; the text says why.
        """
        if scheme.lower() != "digest":
            raise HeaderError(f"its scheme is {scheme!r}; only Digest is known")
        if "nonce" not in params or "realm" not in params:
            raise HeaderError("it has no nonce or no realm (RFC 7616 §3.3)")
        algorithm = params.get("algorithm", "MD5")
        base = computing.base_of(algorithm)
        if base not in self._algorithms or (self._ha1 is not None and base not in self._ha1):
            raise HeaderError(f"its algorithm is {algorithm!r}, for which these credentials are not")
        if "qop" in params and self._chosen_qop(params) is None:
            raise HeaderError(f"its qop is {params['qop']!r}; auth and auth-int are known")
        return computing.strength(algorithm)

    def session(self, params: Params) -> Session:
        """Begins to answer a challenge."""
        bound = computing.is_session(params.get("algorithm", "MD5"))
        return Session(self, params, secrets.token_hex(16) if bound else "")

    def authorization(
        self, session: Session, method: str, uri: str, body: bytes, count: int, cnonce: str = ""
    ) -> tuple[str, Params]:
        """The value of Authorization or Proxy-Authorization that answers a challenge, and its parameters.

        Args:
            session: the challenge.
            method: the method of the request.
            uri: its request-URI as sent.
            body: its body; counts for `qop=auth-int` only.
            count: how often the nonce has been used, this time included.
            cnonce: the client's nonce; a random one when "".

        Raises:
            HeaderError: the challenge cannot be answered.
        """
        challenge = session.params
        algorithm = challenge.get("algorithm", "MD5")
        realm, nonce = challenge.get("realm", ""), challenge.get("nonce", "")
        qop = self._chosen_qop(challenge)
        composed = challenge.get("charset", "").upper() == "UTF-8"
        username = computing.normal(self.username) if composed else self.username
        hashed = challenge.get("userhash", "").lower() == "true"
        given: Params = {}
        if hashed:
            given["username"] = computing.userhash(algorithm, username, realm)
        elif composed and not username.isascii():
            # Who names the charset knows RFC 7616 §3.4, and with it username*; all others get UTF-8 in quotes.
            given["username*"] = ext_value(username)
        else:
            given["username"] = username
        given |= {"realm": realm, "nonce": nonce, "uri": uri}
        cnonce = cnonce or session.cnonce or secrets.token_hex(16)
        nc = f"{count:08x}" if qop else ""
        given["response"] = computing.digest_response(
            algorithm,
            self._secret(algorithm, username, realm, composed),
            method,
            uri,
            nonce,
            qop=qop,
            count=nc,
            cnonce=cnonce,
            body=body,
        )
        given["algorithm"] = algorithm
        if qop:
            given |= {"qop": qop, "nc": nc}
        if qop or computing.is_session(algorithm):
            given["cnonce"] = cnonce
        if "opaque" in challenge:
            given["opaque"] = challenge["opaque"]
        if hashed:
            given["userhash"] = "true"
        return "Digest " + written(given.items(), bare=_BARE), given

    def confirms(self, session: Session, given: Params, info: Params, body: bytes) -> bool | None:
        """Whether `rspauth` shows that the server knows the password (RFC 7616 §3.5); None where there is none.

        Args:
            session, given: what was sent to it.
            info: the parameters of Authentication-Info.
            body: the body of the response.
        """
        if "rspauth" not in info:
            return None
        qop = info.get("qop", given.get("qop"))
        if qop != given.get("qop"):
            return False
        challenge = session.params
        composed = challenge.get("charset", "").upper() == "UTF-8"
        username = computing.normal(self.username) if composed else self.username
        algorithm, realm = given["algorithm"], challenge.get("realm", "")
        expected = computing.digest_response(
            algorithm,
            self._secret(algorithm, username, realm, composed),
            "",
            given["uri"],
            given["nonce"],
            qop=qop,
            count=given.get("nc", ""),
            cnonce=given.get("cnonce", ""),
            body=body,
        )
        answer = info["rspauth"].lower().encode("utf-8", "surrogateescape")
        return secrets.compare_digest(expected.encode(), answer)

    def _secret(self, algorithm: str, username: str, realm: str, composed: bool) -> str:
        if self._ha1 is not None:
            return self._ha1[computing.base_of(algorithm)]
        password = self._password or ""
        return computing.ha1(algorithm, username, realm, computing.normal(password) if composed else password)

    def _chosen_qop(self, params: Params) -> str | None:
        offered = [one.strip().lower() for one in params.get("qop", "").split(",")]
        return next((qop for qop in self._qop if qop in offered), None)

    def __repr__(self) -> str:
        return f"Digest({self.username!r}, ...)"


# One user name and password, or what the application has for them.
OneOf: TypeAlias = Digest | tuple[str, str]


class Keyring:
    """Credentials for each realm. Keep it, and give it with each request, so that nonces are used again.

    Args:
        source: a mapping from realm to `Digest` or (user name, password), or a function that gives one for a realm, or None.
    """

    __slots__ = ("_source", "sessions")

    def __init__(self, source: Mapping[str, OneOf] | Callable[[str], OneOf | None]) -> None:
        self._source = source
        self.sessions = Sessions()

    def find(self, realm: str) -> Digest | None:
        """The credentials for a realm."""
        found = self._source.get(realm) if isinstance(self._source, Mapping) else self._source(realm)
        if found is None or isinstance(found, Digest):
            return None if found is None else found.find(realm)
        return Digest(*found)

    def __repr__(self) -> str:
        return "Keyring(...)"


Credentials: TypeAlias = OneOf | Keyring | Mapping[str, OneOf] | Callable[[str], OneOf | None]


def keyring(credentials: Credentials | None) -> Digest | Keyring | None:
    """Credentials as an application gives them, as something that has `find` and `sessions`.

    Raises:
        TypeError: they are none of what `Credentials` names.
    """
    if credentials is None or isinstance(credentials, Digest | Keyring):
        return credentials
    if isinstance(credentials, tuple) and len(credentials) == 2:
        return Digest(*credentials)
    if isinstance(credentials, Mapping) or callable(credentials):
        return Keyring(credentials)
    raise TypeError(
        "auth= takes (user name, password), a Digest, a Keyring, a mapping realm -> one of these, or a function of the realm"
    )
