"""`Digest`: answers challenges as a client (RFC 3261 §22, RFC 7616, RFC 8760).

Algorithms SHA-512-256, SHA-256 and MD5, each with `-sess`, the strongest offered first; `qop` auth and auth-int, or none; stale
nonces; nonce counts that go on for a nonce seen before; hashed user names. It refuses what it cannot compute: an unknown
algorithm or `qop` is never answered with something weaker than what the challenger offered.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from dracht.errors import HeaderError

if TYPE_CHECKING:
    from dracht._core import Message
    from dracht.link.base import Origin

__all__ = ["Credentials", "Digest", "challenges", "digest_response", "pinned_hop"]

# Strongest first. The names of hashlib.
_ALGORITHMS = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_STRENGTH = list(_ALGORITHMS)
# How many nonces are remembered with their counts, and how often one challenger may call a nonce stale.
_MAX_NONCES = 256
_MAX_STALE = 2


class Digest:
    """A user name and password, for `agent.request(auth=...)`. May be used for any number of requests.

    Args:
        username: the user name.
        password: the password.
    """

    __slots__ = ("_counts", "password", "username")

    def __init__(self, username: str, password: str) -> None:
        self.username = username
        self.password = password
        self._counts: dict[str, int] = {}

    @classmethod
    def of(cls, credentials: Credentials | None) -> Digest | None:
        """Credentials as an application gives them: a Digest, or user name and password."""
        if credentials is None or isinstance(credentials, Digest):
            return credentials
        username, password = credentials
        return cls(username, password)

    def answer(
        self, asked: Message, challenged: Message, body: bytes, retried: dict[tuple[str, str], int]
    ) -> dict[tuple[str, str], str]:
        """Credentials for every realm that challenged and that has not refused them before.

        Args:
            asked: the request as it was put on the wire.
            challenged: the 401 or 407.
            body: the body of the request.
            retried: how often each header field and realm was answered; counted up here.

        Returns:
            The value of the header field to send, for each of its name (Authorization, Proxy-Authorization) and the realm.

        Raises:
            HeaderError: a challenge cannot be read.
        """
        asking, answering = (
            ("Proxy-Authenticate", "Proxy-Authorization")
            if challenged.status == 407
            else ("WWW-Authenticate", "Authorization")
        )
        best: dict[str, dict[str, str]] = {}
        for field in challenged.headers_all(asking):
            for scheme, params in challenges(field):
                rank = _rank(scheme, params)
                realm = params.get("realm", "")
                if rank is not None and (realm not in best or rank < (_rank("digest", best[realm]) or 0)):
                    best[realm] = params
        answers: dict[tuple[str, str], str] = {}
        for realm, params in best.items():
            key = (answering, realm)
            times = retried.get(key, 0)
            # The same credentials again would be refused again; only a stale nonce is worth another attempt.
            if times and (params.get("stale", "").lower() != "true" or times > _MAX_STALE):
                continue
            retried[key] = times + 1
            answers[key] = self.authorization(params, asked.method, asked.uri, body)
        return answers

    def authorization(
        self, params: dict[str, str], method: str, uri: str, body: bytes, cnonce: str | None = None
    ) -> str:
        """The value of Authorization or Proxy-Authorization that answers a challenge.

        Args:
            params: the parameters of the challenge, names in lower case.
            method: the method of the request.
            uri: its request-URI as sent.
            body: its body; counts for `qop=auth-int` only.
            cnonce: the client's nonce; a random one when None.
        """
        algorithm = params.get("algorithm", "MD5")
        realm, nonce = params.get("realm", ""), params.get("nonce", "")
        qop = _chosen_qop(params)
        hashing = _hashing(algorithm)
        username = self.username
        hashed = params.get("userhash", "").lower() == "true"
        if hashed:
            username = hashing(f"{self.username}:{realm}".encode())
        fields = [
            f'username="{_escaped(username)}"',
            f'realm="{_escaped(realm)}"',
            f'nonce="{_escaped(nonce)}"',
        ]
        fields.append(f'uri="{_escaped(uri)}"')
        cnonce = cnonce or secrets.token_hex(16)
        count = self._count(nonce) if qop else 0
        response = digest_response(
            algorithm, self.username, realm, self.password, method, uri, nonce, qop, count, cnonce, body
        )
        fields.append(f'response="{response}"')
        fields.append(f"algorithm={algorithm}")
        if qop:
            fields += [f"qop={qop}", f"nc={count:08x}"]
        if qop or algorithm.lower().endswith("-sess"):
            fields.append(f'cnonce="{cnonce}"')
        if "opaque" in params:
            fields.append(f'opaque="{_escaped(params["opaque"])}"')
        if hashed:
            fields.append("userhash=true")
        return "Digest " + ", ".join(fields)

    def _count(self, nonce: str) -> int:
        count = self._counts.pop(nonce, 0) + 1
        self._counts[nonce] = count
        if len(self._counts) > _MAX_NONCES:
            del self._counts[next(iter(self._counts))]
        return count

    def __repr__(self) -> str:
        return f"Digest({self.username!r}, ...)"


Credentials: TypeAlias = Digest | tuple[str, str]


def digest_response(
    algorithm: str,
    username: str,
    realm: str,
    password: str,
    method: str,
    uri: str,
    nonce: str,
    qop: str | None,
    count: int,
    cnonce: str,
    body: bytes = b"",
) -> str:
    """The `response` of RFC 7616 §3.4.1, in lower-case hexadecimal digits.

    Args:
        algorithm: as in the challenge: `MD5`, `SHA-256`, `SHA-512-256`, each perhaps with `-sess`.
        qop: `auth`, `auth-int`, or None for a challenge without (RFC 2069).
        count: the nonce count.
    """
    hashing = _hashing(algorithm)
    secret = hashing(f"{username}:{realm}:{password}".encode())
    if algorithm.lower().endswith("-sess"):
        secret = hashing(f"{secret}:{nonce}:{cnonce}".encode())
    asked = f"{method}:{uri}"
    if qop == "auth-int":
        asked = f"{asked}:{hashing(body)}"
    hashed = hashing(asked.encode("utf-8", "surrogateescape"))
    if qop is None:
        return hashing(f"{secret}:{nonce}:{hashed}".encode())
    return hashing(f"{secret}:{nonce}:{count:08x}:{cnonce}:{qop}:{hashed}".encode())


def challenges(field: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The challenges of one WWW-Authenticate or Proxy-Authenticate field: scheme and parameters, names in lower case.

    Raises:
        HeaderError: it cannot be read.
    """
    scheme: str | None = None
    params: dict[str, str] = {}
    at, end = 0, len(field)
    while at < end:
        if field[at] in " \t,":
            at += 1
            continue
        start = at
        while at < end and field[at] not in ' \t,="':
            at += 1
        word = field[start:at]
        while at < end and field[at] in " \t":
            at += 1
        if at < end and field[at] == "=" and word and scheme is not None:
            value, at = _value(field, at + 1)
            params[word.lower()] = value
        elif word and (at >= end or field[at] not in '="'):
            # A word without `=` begins another challenge.
            if scheme is not None:
                yield scheme, params
            scheme, params = word, {}
        else:
            raise HeaderError(f"a challenge cannot be read at character {start}: {field!r}")
    if scheme is not None:
        yield scheme, params


def pinned_hop(asked: Message, origin: Origin | None) -> str | None:
    """Where to send the request with credentials: to the server that challenged, since another one behind the same host name
    need not know the nonce. None where the name decides nothing, or where a certificate is checked against it."""
    from dracht._core import parse_uri

    if origin is None or origin.transport not in ("udp", "tcp") or asked.header("Route") is not None:
        return None
    uri = parse_uri(asked.uri)
    if uri.scheme != "sip" or _is_address(uri.host):
        return None
    address, port = origin.peer
    host = f"[{address}]" if ":" in address else address
    return f"sip:{host}:{port};transport={origin.transport}"


def _value(field: str, at: int) -> tuple[str, int]:
    end = len(field)
    while at < end and field[at] in " \t":
        at += 1
    if at < end and field[at] == '"':
        text: list[str] = []
        at += 1
        while at < end:
            sign = field[at]
            if sign == '"':
                return "".join(text), at + 1
            if sign == "\\" and at + 1 < end:
                at += 1
                sign = field[at]
            text.append(sign)
            at += 1
        raise HeaderError(f"a quoted value of a challenge does not end: {field!r}")
    start = at
    while at < end and field[at] not in " \t,":
        at += 1
    return field[start:at], at


def _rank(scheme: str, params: dict[str, str]) -> int | None:
    """How strong a challenge is, 0 the strongest; None when it cannot be answered."""
    if scheme.lower() != "digest" or "nonce" not in params:
        return None
    if "qop" in params and _chosen_qop(params) is None:
        return None
    base = params.get("algorithm", "MD5").upper().removesuffix("-SESS")
    return _STRENGTH.index(base) if base in _ALGORITHMS and _available(base) else None


def _chosen_qop(params: dict[str, str]) -> str | None:
    offered = [one.strip().lower() for one in params.get("qop", "").split(",")]
    # Bodies are changed on the way more often than they are attacked (SDP by media proxies): auth where there is a choice.
    return next((qop for qop in ("auth", "auth-int") if qop in offered), None)


def _available(base: str) -> bool:
    return _ALGORITHMS[base] in hashlib.algorithms_available


class _Hashing:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, data: bytes) -> str:
        return hashlib.new(self.name, data, usedforsecurity=False).hexdigest()


def _hashing(algorithm: str) -> _Hashing:
    base = algorithm.upper().removesuffix("-SESS")
    if base not in _ALGORITHMS:
        raise HeaderError(
            f"the digest algorithm {algorithm!r} is not known; known are {', '.join(_ALGORITHMS)}"
        )
    return _Hashing(_ALGORITHMS[base])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
