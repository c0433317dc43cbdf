"""A client answers the strongest challenge of every realm it has credentials for, each realm once, and uses nonces again."""

from __future__ import annotations

import re

import pytest
from dracht import Digest
from dracht._core import Message
from dracht.digest import Keyring, ha1
from dracht.digest.answering import Answering
from dracht.digest.computing import digest_response
from dracht.digest.credentials import Credentials, keyring
from dracht.digest.fields import Params, challenges

URI = "sip:example.org"


def challenged(status: int, *fields: str, proxies: tuple[str, ...] = ()) -> Message:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return response(
        status, *((name, field) for field in fields), *(("Proxy-Authenticate", one) for one in proxies)
    )


def response(status: int, *fields: tuple[str, str], body: bytes = b"") -> Message:
    lines = "".join(f"{name}: {field}\r\n" for name, field in fields)
    return Message.parse(
        f"SIP/2.0 {status} No\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>;tag=2\r\n"
        f"Call-ID: c\r\nCSeq: 1 REGISTER\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def answering(credentials: Credentials) -> Answering:
    ring = keyring(credentials)
    assert ring is not None
    return Answering(ring)


def fields(asked: Answering, body: bytes = b"") -> dict[tuple[str, str], Params]:
    """The parameters of each credential of the next attempt, by header field and realm."""
    found = {}
    for name, value in asked.fields("REGISTER", URI, body):
        ((scheme, params),) = challenges(value)
        assert scheme == "Digest"
        found[name, params["realm"]] = params
    return found


def test_the_strongest_challenge_is_answered() -> None:
    asked = answering(("u", "p"))
    assert asked.challenged(
        challenged(
            401,
            'Digest realm="r", nonce="1", algorithm=MD5, qop="auth"',
            'Digest realm="r", nonce="2", algorithm=SHA-512-256, qop="auth"',
            'Digest realm="r", nonce="3", algorithm=SHA-256, qop="auth"',
            'Digest realm="r", nonce="4", algorithm=FUTURE, qop="auth"',
        )
    )
    given = fields(asked)
    assert list(given) == [("Authorization", "r")]
    params = given["Authorization", "r"]
    assert (params["nonce"], params["algorithm"], params["uri"]) == ("2", "SHA-512-256", URI)


def test_each_challenger_is_answered_once() -> None:
    asked = answering(("u", "p"))
    first = challenged(407, 'Digest realm="proxy", nonce="1", qop="auth"')
    second = challenged(401, 'Digest realm="server", nonce="2", qop="auth"')
    assert asked.challenged(first)
    assert list(fields(asked)) == [("Proxy-Authorization", "proxy")]
    assert asked.challenged(second)
    given = fields(asked)
    assert {key: one["nc"] for key, one in given.items()} == {
        ("Proxy-Authorization", "proxy"): "00000002",
        ("Authorization", "server"): "00000001",
    }, "what goes to the proxy a second time is no replay"
    assert not asked.challenged(first)
    assert not asked.challenged(second)


def test_a_forking_proxy_puts_the_challenges_of_its_branches_into_one_response() -> None:
    asked = answering(("u", "p"))
    assert asked.challenged(
        challenged(
            401,
            'Digest realm="a", nonce="1"',
            'Digest realm="b", nonce="2"',
            proxies=('Digest realm="c", nonce="3"',),
        )
    )
    assert set(fields(asked)) == {
        ("Authorization", "a"),
        ("Authorization", "b"),
        ("Proxy-Authorization", "c"),
    }


def test_two_servers_of_one_realm_get_one_credential_each() -> None:
    asked = answering(("u", "p"))
    asked.challenged(challenged(407, *(f'Digest realm="r", nonce="{n}", qop="auth"' for n in range(9))))
    given = asked.fields("INVITE", URI, b"")
    assert [re.findall(r'nonce="(\d)"', value) for _, value in given] == [["0"], ["1"], ["2"], ["3"]], (
        "a bounded number"
    )


def test_credentials_are_chosen_by_realm() -> None:
    ring: dict[str, Digest | tuple[str, str]] = {"a": ("anna", "x"), "b": Digest("bert", "y")}
    both = 'Digest realm="a", nonce="1"', 'Digest realm="b", nonce="2"', 'Digest realm="c", nonce="3"'
    for credentials in (ring, ring.get, Keyring(ring)):
        asked = answering(credentials)
        assert asked.challenged(challenged(401, *both))
        assert {key[1]: one["username"] for key, one in fields(asked).items()} == {"a": "anna", "b": "bert"}
    assert not answering({"z": ("u", "p")}).challenged(challenged(401, *both))
    only = answering(Digest("u", "p", realm="b"))
    only.challenged(challenged(401, *both))
    assert list(fields(only)) == [("Authorization", "b")]


def test_a_stale_nonce_is_another_attempt_and_then_it_is_enough() -> None:
    asked = answering(("u", "p"))
    stale = [challenged(401, f'Digest realm="r", nonce="{n}", stale=TRUE, qop="auth"') for n in range(4)]
    assert [asked.challenged(one) for one in stale] == [True, True, False, False]


def test_realms_invented_one_after_the_other_end() -> None:
    asked = answering(("u", "p"))
    results = [asked.challenged(challenged(401, f'Digest realm="{n}", nonce="{n}"')) for n in range(30)]
    assert 0 < results.count(True) <= 10
    assert results[-1] is False


def test_a_nonce_seen_before_is_counted_on() -> None:
    digest = Digest("u", "p")
    for count in ("00000001", "00000002"):
        asked = answering(digest)
        asked.challenged(challenged(401, 'Digest realm="r", nonce="1", qop="auth"'))
        assert fields(asked)["Authorization", "r"]["nc"] == count


def test_accepted_credentials_are_given_unasked_to_the_same_place() -> None:
    digest = Digest("u", "p")
    first = answering(digest)
    assert not first.begin(["here"])
    first.challenged(
        challenged(401, 'Digest realm="r", nonce="1", qop="auth"', proxies=('Digest realm="p", nonce="2"',))
    )
    fields(first)
    first.accepted(response(200), [("here", True), ("there", False)], "sip:target")
    second = answering(digest)
    assert second.begin(["here"])
    assert second.target == "sip:target"
    assert fields(second)["Authorization", "r"]["nc"] == "00000002"
    assert second.unasked
    third = answering(digest)
    assert third.begin(["there"])
    assert list(fields(third)) == [("Authorization", "r")], (
        "a proxy's count within a Call-ID only (RFC 3261 §22.3)"
    )
    assert not answering(digest).begin(["elsewhere"])
    assert not answering(("u", "p")).begin(["here"])


def test_refused_credentials_are_not_given_again() -> None:
    digest = Digest("u", "p")
    asked = answering(digest)
    asked.challenged(challenged(401, 'Digest realm="r", nonce="1", qop="auth"'))
    fields(asked)
    asked.accepted(response(200), [("here", True)], "")
    again = answering(digest)
    again.begin(["here"])
    fields(again)
    assert again.challenged(challenged(401, 'Digest realm="r", nonce="2", qop="auth"')), (
        "the nonce may have expired"
    )
    fields(again)
    assert not again.challenged(challenged(401, 'Digest realm="r", nonce="3", qop="auth"'))
    again.withdraw()
    assert not answering(digest).begin(["here"])


def test_what_is_remembered_is_bounded() -> None:
    digest = Digest("u", "p")
    for number in range(1000):
        asked = answering(digest)
        asked.challenged(challenged(401, f'Digest realm="r", nonce="{number}", qop="auth"'))
        fields(asked)
        asked.accepted(response(200), [(number, True)], "")
    assert len(digest.sessions._places) <= 256
    assert len(digest.sessions._counts) <= 256


# ---- Authentication-Info


def info(params: Params, **changed: str) -> str:
    rspauth = digest_response(
        "MD5",
        ha1("MD5", "u", "r", "p"),
        "",
        URI,
        params["nonce"],
        qop="auth",
        count=params["nc"],
        cnonce=params["cnonce"],
    )
    given = {"qop": "auth", "rspauth": rspauth, "cnonce": params["cnonce"], "nc": params["nc"], **changed}
    return ", ".join(f'{name}="{value}"' for name, value in given.items())


@pytest.mark.parametrize(
    ("changed", "verified"),
    [({}, True), ({"rspauth": "0" * 32}, False), ({"rspauth": "\u00e4"}, False), ({"nc": "00000009"}, None)],
)
def test_the_server_shows_that_it_knows_the_password(changed: dict[str, str], verified: bool | None) -> None:
    digest = Digest("u", "p")
    asked = answering(digest)
    asked.challenged(challenged(401, 'Digest realm="r", nonce="1", qop="auth"'))
    params = fields(asked)["Authorization", "r"]
    answer = response(200, ("Authentication-Info", info(params, **changed)))
    assert asked.accepted(answer, [("here", True)], "") is verified
    assert answering(digest).begin(["here"]) is (verified is not False), (
        "nothing is kept of a server that lied"
    )
    assert asked.accepted(response(200), [], "") is None
    assert asked.accepted(response(200, ("Authentication-Info", 'rspauth="')), [], "") is None


@pytest.mark.parametrize(("algorithm", "nonce"), [("MD5", "next"), ("MD5-sess", "1")])
def test_the_next_nonce_is_taken_but_not_with_sess(algorithm: str, nonce: str) -> None:
    digest = Digest("u", "p")
    asked = answering(digest)
    asked.challenged(challenged(401, f'Digest realm="r", nonce="1", qop="auth", algorithm={algorithm}'))
    first = fields(asked)["Authorization", "r"]
    asked.accepted(response(200, ("Authentication-Info", 'nextnonce="next"')), [("here", True)], "")
    later = answering(digest)
    later.begin(["here"])
    second = fields(later)["Authorization", "r"]
    assert (second["nonce"], second["nc"]) == (nonce, "00000001" if nonce == "next" else "00000002")
    assert (first["cnonce"] == second["cnonce"]) is (algorithm == "MD5-sess"), "the secret is bound to it"


# ---- what cannot be answered, and what may not be


def test_a_challenge_without_qop_gets_neither_count_nor_cnonce() -> None:
    asked = answering(("u", "p"))
    asked.challenged(challenged(401, 'Digest realm="r", nonce="1"'))
    assert not {"nc", "cnonce", "qop"} & set(fields(asked)["Authorization", "r"])


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ('Basic realm="r"', "scheme is 'Basic'"),
        ('Digest realm="r"', "no nonce"),
        ('Digest realm="r", nonce="1", qop="other"', "qop is 'other'"),
        ('Digest realm="r", nonce="1", algorithm=FUTURE', "'FUTURE' is not known"),
        ('Digest realm="r', "does not end"),
        ("", ""),
    ],
)
def test_what_cannot_be_answered_is_not_and_the_log_says_why(
    field: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not answering(("u", "p")).challenged(challenged(401, field))
    assert why in caplog.text
    asked = answering(("u", "p"))
    assert asked.challenged(challenged(401, field, 'Digest realm="good", nonce="1"')), "another one can be"
    assert list(fields(asked)) == [("Authorization", "good")]


@pytest.mark.parametrize("sign", ["\0", "\\\0"])
@pytest.mark.parametrize("name", ["realm", "nonce", "opaque"])
def test_a_challenge_that_could_not_be_given_back_is_not_answered(name: str, sign: str) -> None:
    params = {"realm": "r", "nonce": "n", "opaque": "o"}
    params[name] += sign
    asked = answering(("u", "p"))
    field = ", ".join(f'{one}="{value}"' for one, value in params.items())
    assert not asked.challenged(challenged(401, f"Digest {field}"))


def test_a_hundred_realms_at_once_are_not_all_answered(caplog: pytest.LogCaptureFixture) -> None:
    many = [f'Digest realm="r{n}", nonce="n", qop="auth"' for n in range(100)]
    asked = answering(("u", "p"))
    caplog.set_level("INFO")
    assert asked.challenged(challenged(401, *many))
    assert len(fields(asked)) == 16
    assert not asked.challenged(challenged(401, *many))
    assert len(caplog.records) <= 4, "the log says it in a line for each response"
    assert max(len(record.getMessage()) for record in caplog.records) < 2000


def test_a_401_without_a_challenge_is_not_answered() -> None:
    assert not answering(("u", "p")).challenged(challenged(401))


def test_weak_algorithms_can_be_left_out() -> None:
    weak = challenged(401, 'Digest realm="r", nonce="1", qop="auth"')
    assert not answering(Digest("u", "p", algorithms=("SHA-256",))).challenged(weak)


def test_a_stored_hash_does_instead_of_a_password() -> None:
    digest = Digest("u", realm="r", ha1={"SHA-256": ha1("SHA-256", "u", "r", "p")})
    one = 'Digest realm="r", nonce="1", algorithm=SHA-256, qop="auth"'
    stored, known = answering(digest), answering(("u", "p"))
    for asked in (stored, known):
        assert asked.challenged(challenged(401, one))
    params = fields(stored)["Authorization", "r"]
    assert params["response"] == digest_response(
        "SHA-256",
        ha1("SHA-256", "u", "r", "p"),
        "REGISTER",
        URI,
        "1",
        qop="auth",
        count="00000001",
        cnonce=params["cnonce"],
    )
    assert not answering(digest).challenged(challenged(401, 'Digest realm="r", nonce="1"')), (
        "there is no HA1 of MD5"
    )
    assert not answering(digest).challenged(challenged(401, one.replace('"r"', '"other"')))


def test_auth_is_preferred_unless_it_is_said_otherwise() -> None:
    both = challenged(401, 'Digest realm="r", nonce="1", qop="auth-int, auth"')
    for digest, qop in ((Digest("u", "p"), "auth"), (Digest("u", "p", qop=("auth-int", "auth")), "auth-int")):
        asked = answering(digest)
        asked.challenged(both)
        assert fields(asked)["Authorization", "r"]["qop"] == qop


@pytest.mark.parametrize(
    "arguments",
    [
        {"username": "u"},
        {"username": "u", "password": "p", "ha1": {}, "realm": "r"},
        {"username": "u", "ha1": {}},
        {"username": "u", "password": "p", "algorithms": ("SHA1",)},
        {"username": "u", "password": "p", "qop": ("auth-conf",)},
        {"username": "u\r\nX: y", "password": "p"},
    ],
)
def test_credentials_that_cannot_be_used_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"password|realm|unknown|line breaks"):
        Digest(**arguments)  # type: ignore[arg-type]


def test_the_password_is_nowhere_to_be_read() -> None:
    digest = Digest("u", "hush")
    session = digest.session({"realm": "r", "nonce": "n"})
    for one in (
        digest,
        Keyring({"r": ("u", "hush")}),
        session,
        digest.authorization(session, "A", "b", b"", 1),
    ):
        assert "hush" not in repr(one)
    with pytest.raises(TypeError) as raised:
        keyring(["u", "hush"])  # type: ignore[arg-type]
    assert "hush" not in str(raised.value)
