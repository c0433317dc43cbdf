"""A server knows who sent a request by every algorithm and quality it offers, and takes nothing twice, old or forged."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Any, cast

import pytest
from dracht import Digest, Request, SipError
from dracht._core import Message
from dracht.digest import Challenger, Identity, ha1, userhash
from dracht.digest.answering import Answering
from dracht.digest.fields import challenges
from dracht.link.memory import MemoryOrigin
from dracht.message import DraftHeaders
from dracht.middleware import DigestAuth

from tests.unit.test_digest import response
from tests.unit.test_digest_nonces import Clock

USERS = {"alice": "secret", 'J\u00e4s\u00f8n "J" Doe': "p\u00e4ss, w\u00f6rd"}
BODY = b"v=0\r\n"


def password_for(user: str, realm: str) -> str | None:
    return USERS.get(user)


def request(
    *fields: tuple[str, str],
    method: str = "REGISTER",
    uri: str = "sip:example.com",
    body: bytes = BODY,
    peer: str = "192.0.2.1",
) -> Request:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    data = (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
        f"To: <sip:a@h>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    )
    message = Message.parse(data.encode("utf-8", "surrogateescape") + body)
    return Request(cast(Any, None), 1, None, message, MemoryOrigin("udp", (peer, 5060)))


async def refused(challenger: Challenger, req: Request) -> SipError:
    with pytest.raises(SipError) as raised:
        await challenger.authenticate(req)
    assert req.user is None
    return raised.value


def pairs(error: SipError) -> list[tuple[str, str]]:
    assert isinstance(error.headers, list)
    return error.headers


def stale(error: SipError) -> bool:
    return all("stale=true" in value for _, value in pairs(error))


class Client:
    """A client of a challenger."""

    def __init__(self, challenger: Challenger, digest: Digest) -> None:
        self.challenger = challenger
        self.digest = digest
        self.answering = Answering(digest)

    async def challenged(self, **how: Any) -> SipError:
        error = await refused(self.challenger, request(**how))
        assert self.answering.challenged(response(error.status, *pairs(error)))
        return error

    def credentials(
        self, *, method: str = "REGISTER", uri: str = "sip:example.com", body: bytes = BODY
    ) -> list[tuple[str, str]]:
        return self.answering.fields(method, uri, body)

    async def authenticated(self, **how: Any) -> Identity:
        req = request(*self.credentials(**{key: how[key] for key in how if key != "peer"}), **how)
        identity: Identity = await self.challenger.authenticate(req)
        assert [req.user, req.state.user] == [identity, identity]
        return identity


# ---- client and server agree


@pytest.mark.parametrize("proxy", [False, True])
@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("charset", [False, True])
@pytest.mark.parametrize("qop", ["auth", "auth-int", None])
@pytest.mark.parametrize("sess", ["", "-sess"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
async def test_client_and_server_agree(
    algorithm: str, sess: str, qop: str | None, charset: bool, hashed: bool, proxy: bool
) -> None:
    names = {userhash(algorithm, user, "r"): user for user in USERS}
    challenger = Challenger(
        password_for,
        realm="r",
        algorithms=(algorithm + sess,),
        qop=(qop or "auth",),
        allow_without_qop=qop is None,
        proxy=proxy,
        charset=charset,
        username_for=(lambda name, realm, algorithm: names.get(name)) if hashed else None,
        confirm=True,
    )
    for (user, password), body in itertools.product(USERS.items(), (BODY, b"")):
        client = Client(challenger, Digest(user, password))
        error = await client.challenged()
        assert error.status == (407 if proxy else 401)
        if qop is None:
            for held in client.answering._sessions.values():
                del held[0].params["qop"]
        for _ in range(3):
            identity = await client.authenticated(body=body)
            assert identity == Identity(user, "r", algorithm + sess, qop)
        wrong = Client(challenger, Digest(user, "wrong"))
        await wrong.challenged()
        assert not stale(await refused(challenger, request(*wrong.credentials())))


async def test_one_challenge_for_each_algorithm_the_preferred_first() -> None:
    error = await refused(
        Challenger(password_for, realm='a, "b"', opaque="o", domain="sip:a sip:b"), request()
    )
    assert [name for name, _ in pairs(error)] == ["WWW-Authenticate"] * 2
    params = [next(challenges(value))[1] for _, value in pairs(error)]
    assert [one["algorithm"] for one in params] == ["SHA-256", "MD5"]
    for one in params:
        assert (one["realm"], one["qop"], one["opaque"], one["domain"]) == (
            'a, "b"',
            "auth,auth-int",
            "o",
            "sip:a sip:b",
        )
        assert "stale" not in one
    client = Client(Challenger(password_for, realm="r"), Digest("alice", "secret"))
    await client.challenged()
    assert (await client.authenticated()).algorithm == "SHA-256", "the client takes the strongest"


async def test_nobody_is_let_in_even_by_the_password_that_is_reckoned_with_for_nobody() -> None:
    challenger = Challenger(password_for, realm="r")
    challenger._nobody = "guessed"
    client = Client(challenger, Digest("nobody", "guessed"))
    await client.challenged()
    assert not stale(await refused(challenger, request(*client.credentials())))


@pytest.mark.parametrize("way", ["sync", "async", "hashes"])
async def test_passwords_come_as_the_application_has_them(way: str) -> None:
    async def later(user: str, realm: str) -> str | None:
        await asyncio.sleep(0)
        return password_for(user, realm)

    def hashes(user: str, realm: str) -> dict[str, str] | None:
        password = USERS.get(user)
        return password and {one: ha1(one, user, realm, password) for one in ("MD5", "SHA-256")}  # type: ignore[return-value]

    source: Any = {"sync": password_for, "async": later, "hashes": hashes}[way]
    client = Client(Challenger(source, realm="r"), Digest("alice", "secret"))
    await client.challenged()
    assert str(await client.authenticated()) == "alice"
    nobody = Client(client.challenger, Digest("nobody", "secret"))
    await nobody.challenged()
    assert (await refused(client.challenger, request(*nobody.credentials()))).status == 401


async def test_a_hash_that_is_missing_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    challenger = Challenger(lambda user, realm: {"MD5": ha1("MD5", user, realm, "secret")}, realm="r")
    client = Client(challenger, Digest("alice", "secret"))
    await client.challenged()
    await refused(challenger, request(*client.credentials()))
    assert "no HA1 of algorithm SHA-256" in caplog.text


async def test_several_realms_in_one_request() -> None:
    proxy = Client(Challenger(password_for, realm="p", proxy=True), Digest("alice", "secret"))
    server = Client(Challenger(password_for, realm="s"), Digest("alice", "secret"))
    await proxy.challenged()
    await server.challenged()
    other = ("Authorization", 'Digest realm="else", nonce="x"')
    both = request(other, *proxy.credentials(), *server.credentials())
    assert (await proxy.challenger.authenticate(both)).realm == "p"
    assert (await server.challenger.authenticate(both)).realm == "s"


# ---- what is refused


async def test_nothing_is_taken_twice() -> None:
    challenger = Challenger(password_for, realm="r")
    client = Client(challenger, Digest("alice", "secret"))
    await client.challenged()
    captured = client.credentials()
    await challenger.authenticate(request(*captured))
    error = await refused(challenger, request(*captured))
    assert (error.status, stale(error)) == (401, True), (
        "a client that does not count gets a fresh nonce each time"
    )
    later, sooner = client.credentials(), client.credentials()
    await challenger.authenticate(request(*sooner))
    await challenger.authenticate(request(*later))


async def test_an_old_nonce_is_stale_for_who_knows_the_password_only() -> None:
    clock = Clock()
    challenger = Challenger(password_for, realm="r", nonce_lifetime=60, clock=clock)
    right, wrong = Client(challenger, Digest("alice", "secret")), Client(challenger, Digest("alice", "wrong"))
    for client in (right, wrong):
        await client.challenged()
    clock.now += 61
    assert not stale(await refused(challenger, request(*wrong.credentials())))
    error = await refused(challenger, request(*right.credentials()))
    assert stale(error)
    assert right.answering.challenged(response(401, *pairs(error)))
    assert str(await right.authenticated()) == "alice"


async def test_processes_with_one_secret_take_one_anothers_nonces() -> None:
    clock = Clock()
    first, second = (Challenger(password_for, realm="r", secret="k" * 16, clock=clock) for _ in range(2))
    client = Client(first, Digest("alice", "secret"))
    await client.challenged()
    client.challenger = second
    assert str(await client.authenticated()) == "alice"
    client.challenger = Challenger(password_for, realm="r", clock=clock)
    assert stale(await refused(client.challenger, request(*client.credentials()))), (
        "another secret: a new nonce, no new password"
    )


async def test_nonces_may_be_bound_to_the_source() -> None:
    challenger = Challenger(password_for, realm="r", bind_source=True)
    client = Client(challenger, Digest("alice", "secret"))
    await client.challenged()
    assert stale(await refused(challenger, request(*client.credentials(), peer="192.0.2.2")))
    await client.authenticated()


async def test_the_method_and_the_body_are_covered() -> None:
    challenger = Challenger(password_for, realm="r", qop=("auth-int",))
    client = Client(challenger, Digest("alice", "secret"))
    await client.challenged()
    assert not stale(await refused(challenger, request(*client.credentials(), body=b"v=1\r\n")))
    assert not stale(await refused(challenger, request(*client.credentials(), method="OPTIONS")))
    assert (await client.authenticated(method="OPTIONS")).qop == "auth-int"


async def test_what_was_not_offered_is_not_taken() -> None:
    offered = Challenger(password_for, realm="r", algorithms=("MD5",), qop=("auth",))
    weaker = Challenger(password_for, realm="r", algorithms=("SHA-256",), qop=("auth-int",))
    client = Client(offered, Digest("alice", "secret"))
    await client.challenged()
    failures: list[str] = []
    weaker._refused = lambda req, user: failures.append(user)
    assert (await refused(weaker, request(*client.credentials()))).status == 401
    assert failures == [], "that is no wrong password"
    for held in client.answering._sessions.values():
        del held[0].params["qop"]
    assert (await refused(offered, request(*client.credentials()))).status == 401, (
        "without qop nothing is counted"
    )


@pytest.mark.parametrize(
    ("check", "given", "asked", "taken"),
    [
        ("resource", "sip:Example.com:5060;transport=tcp", "sip:example.com", True),
        ("resource", "sip:bob@example.com", "sip:alice@example.com", False),
        ("resource", "sip:example.org", "sip:example.com", False),
        ("resource", "sip:example.com", "sip:alice@example.com", False),
        ("resource", "nonsense", "sip:example.com", False),
        ("exact", "sip:example.com;transport=tcp", "sip:example.com", False),
        ("exact", "sip:Example.COM", "sip:example.com", True),
        (None, "sip:bob@example.org", "sip:alice@192.0.2.7", True),
        (lambda req, uri: uri == "sip:bob@example.org", "sip:bob@example.org", "sip:alice@192.0.2.7", True),
        (lambda req, uri: False, "sip:bob@example.org", "sip:alice@192.0.2.7", False),
    ],
)
async def test_the_digest_uri_agrees_with_the_request_uri(
    check: Any, given: str, asked: str, taken: bool
) -> None:
    challenger = Challenger(password_for, realm="r", uri_check=check)
    client = Client(challenger, Digest("alice", "secret"))
    await client.challenged()
    req = request(*client.credentials(uri=given), uri=asked)
    if taken:
        await challenger.authenticate(req)
    else:
        assert (await refused(challenger, req)).status == 400, "RFC 7616 §3.4.6"


GOOD = 'Digest username="alice", realm="r", nonce="n", uri="sip:example.com", response="0", qop=auth, nc=00000001, cnonce="c"'


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (GOOD, 401),
        ("Basic YTpi", 401),
        ("Bearer x", 401),
        ("", 401),
        ("Digest", 400),
        (GOOD.replace('"r"', '"other"'), 401),
        (GOOD.replace('username="alice", ', ""), 400),
        (GOOD.replace('nonce="n", ', ""), 400),
        (GOOD.replace('uri="sip:example.com", ', ""), 400),
        (GOOD.replace('response="0", ', ""), 400),
        (GOOD.replace('realm="r", ', ""), 400),
        (GOOD.replace(', cnonce="c"', ""), 400),
        (GOOD.replace("nc=00000001", "nc=1"), 400),
        (GOOD.replace("nc=00000001", "nc=0000000g"), 400),
        (GOOD.replace("nc=00000001", "nc=+0000001"), 400),
        (GOOD.replace("nc=00000001", "nc=\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661"), 400),
        (GOOD + ', username="bob"', 400),
        (GOOD + ", username*=UTF-8''bob", 400),
        (GOOD.replace('username="alice"', "username*=UTF-8''%ff"), 400),
        (GOOD.replace('username="alice"', "username*=UTF-8''alice") + ", userhash=true", 400),
        (GOOD + ", userhash=true", 401),
        (GOOD + ', algorithm="FUTURE"', 401),
        (GOOD.replace("qop=auth", "qop=auth-conf"), 401),
        (GOOD.replace("qop=auth, ", ""), 401),
        (GOOD.replace('"alice"', '"' + "a" * 2000 + '"'), 400),
        (GOOD.replace('"0"', '"\u00e4"'), 401),
        (GOOD.replace('"0"', '"\udcff"'), 401),
        (GOOD.replace('"n"', '"\udcff"'), 401),
        (GOOD.replace('"alice"', '"\udcff\\\\\\""'), 401),
        (GOOD.replace('"c"', '"c'), 400),
        ("Digest " + "," * 3000, 400),
        ("Digest " + "a=b," * 500, 400),
        (f"{GOOD}, {GOOD}, {GOOD}, {GOOD}, {GOOD}, {GOOD}", 401),
        ('Digest "=', 400),
    ],
)
async def test_hostile_credentials_get_400_or_a_challenge(value: str, status: int) -> None:
    for bound in (False, True):
        challenger = Challenger(password_for, realm="r", bind_source=bound)
        assert (await refused(challenger, request(("Authorization", value)))).status == status
        assert len(challenger._nonces) == 0


async def test_a_flood_of_header_fields_costs_a_bounded_number_of_lookups() -> None:
    asked: list[str] = []

    def count(user: str, realm: str) -> str:
        asked.append(user)
        return "secret"

    challenger = Challenger(count, realm="r")
    await refused(challenger, request(*[("Authorization", GOOD.replace("nc=", "algorithm=MD5, nc="))] * 100))
    assert len(asked) <= 4


async def test_unknown_users_cost_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    work: list[tuple[str, int]] = []
    from dracht.digest import computing

    original = computing._hashed

    def counted(algorithm: str, data: bytes) -> str:
        work.append((algorithm, len(data)))
        return original(algorithm, data)

    monkeypatch.setattr(computing, "_hashed", counted)
    amounts = []
    for user in ("alice", "nobod"):
        client = Client(Challenger(password_for, realm="r"), Digest(user, "wrong"))
        await client.challenged()
        credentials = client.credentials()
        work.clear()
        await refused(client.challenger, request(*credentials))
        amounts.append([algorithm for algorithm, _ in work])
    assert amounts[0] == amounts[1] == ["SHA-256"] * 3


# ---- the rest


async def test_the_application_hears_of_failures_and_may_shut_somebody_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "dracht")
    failures: dict[str, int] = {}

    async def count(req: Request, user: str) -> None:
        failures[user] = failures.get(user, 0) + 1
        if failures[user] > 2:
            raise SipError(403)

    challenger = Challenger(password_for, realm="r", refused=count)
    client = Client(challenger, Digest("alice\u2028", "hush"))
    await client.challenged()
    statuses = [(await refused(challenger, request(*client.credentials()))).status for _ in range(3)]
    assert statuses == [401, 401, 403]
    assert "hush" not in caplog.text
    assert "\u2028" not in caplog.text
    assert "192.0.2.1" in caplog.text


@pytest.mark.parametrize("proxy", [False, True])
async def test_authentication_info_confirms_and_renews(proxy: bool) -> None:
    clock = Clock()
    challenger = Challenger(
        password_for, realm="r", proxy=proxy, nonce_lifetime=60, confirm=True, clock=clock
    )
    client = Client(challenger, Digest("alice", "secret"))
    await client.challenged()
    name = "Proxy-Authentication-Info" if proxy else "Authentication-Info"

    async def answered(status: int) -> DraftHeaders:
        req = request(*client.credentials())
        await challenger.authenticate(req)
        headers = DraftHeaders()
        for hook in req._before_send or ():
            hook(status, headers)
        return headers

    assert name not in await answered(404)
    given = (await answered(200))[name]
    assert client.answering.accepted(response(200, (name, given)), [("here", True)], "") is True
    assert "nextnonce" not in given
    clock.now += 40
    given = (await answered(200))[name]
    assert client.answering.accepted(response(200, (name, given)), [("here", True)], "") is True
    clock.now += 40
    assert str(await client.authenticated()) == "alice", "with the next nonce, without being challenged"


async def test_ack_and_cancel_cannot_be_challenged() -> None:
    for method in ("ACK", "CANCEL"):
        with pytest.raises(ValueError, match="cannot be challenged"):
            await Challenger(password_for, realm="r").authenticate(request(method=method))


async def test_the_layer_lets_pass_who_is_known_and_what_nobody_may_challenge() -> None:
    passed: list[str] = []
    layer = DigestAuth(password_for, realm="r")

    def next_of(req: Request) -> Any:
        async def next() -> None:
            passed.append(f"{req.method} {req.user}")

        return next

    async def take(req: Request) -> None:
        await layer(req, req.res, next_of(req))

    with pytest.raises(SipError):
        await take(request())
    client = Client(layer, Digest("alice", "secret"))
    await client.challenged()
    await take(request(*client.credentials()))
    await take(request(method="ACK"))
    await take(request(method="CANCEL"))
    made = request(method="BYE")
    made.generated = True
    await take(made)
    assert passed == ["REGISTER alice", "ACK None", "CANCEL None", "BYE None"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"algorithms": ()},
        {"algorithms": ("SHA1",)},
        {"qop": ()},
        {"qop": ("auth-conf",)},
        {"nonce_lifetime": 0},
        {"secret": "short"},
        {"max_nonces": 0},
        {"realm": "a\r\nb"},
        {"opaque": "a\nb"},
    ],
)
def test_what_cannot_work_is_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Challenger(password_for, **{"realm": "r", **arguments})


def test_a_challenger_shows_no_secret() -> None:
    assert repr(Challenger(password_for, realm="r", secret="k" * 16)) == "<Challenger for 'r'>"
