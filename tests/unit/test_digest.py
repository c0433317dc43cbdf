"""Digest responses are those of the RFCs, the strongest challenge is answered, and each challenger once."""

from __future__ import annotations

import hashlib

import pytest
from dracht import Digest, HeaderError
from dracht._core import Message
from dracht.digest import challenges, digest_response, pinned_hop
from dracht.link.memory import MemoryOrigin

REQUEST = Message.parse(
    b"REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
    b"To: <sip:a@h>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"
)


def challenged(status: int, *fields: str) -> Message:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    lines = "".join(f"{name}: {field}\r\n" for field in fields)
    return Message.parse(
        f"SIP/2.0 {status} No\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>;tag=2\r\n"
        f"Call-ID: c\r\nCSeq: 1 REGISTER\r\n{lines}Content-Length: 0\r\n\r\n".encode()
    )


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_3_9_1(algorithm: str, response: str) -> None:
    assert response == digest_response(
        algorithm,
        "Mufasa",
        "http-auth@example.org",
        "Circle of Life",
        "GET",
        "/dir/index.html",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "auth",
        1,
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )


def test_rfc_7616_3_9_2_with_its_erratum_4897() -> None:
    # The figures printed in the RFC were made with a truncated SHA-512; erratum 4897 has those of SHA-512/256.
    params = {
        "realm": "api@example.org",
        "qop": "auth",
        "algorithm": "SHA-512-256",
        "nonce": "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        "opaque": "HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS",
        "charset": "UTF-8",
        "userhash": "true",
    }
    answer = Digest("J\u00e4s\u00f8n Doe", "Secret, or not?").authorization(
        params, "GET", "/doe.json", b"", "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
    )
    assert 'username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"' in answer
    assert 'response="3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"' in answer
    assert "userhash=true" in answer
    assert 'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"' in answer


def test_rfc_2617_3_5() -> None:
    assert (
        digest_response(
            "MD5",
            "Mufasa",
            "testrealm@host.com",
            "Circle Of Life",
            "GET",
            "/dir/index.html",
            "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "auth",
            1,
            "0a4f113b",
        )
        == "6629fae49393a05397450978507c4ef1"
    )


def test_auth_int_covers_the_body() -> None:
    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    body = b"v=0\r\n"
    asked = hashed(f"INVITE:sip:b@h:{hashlib.sha256(body).hexdigest()}")
    expected = hashed(f"{hashed('u:r:p')}:n:00000002:c:auth-int:{asked}")
    assert expected == digest_response(
        "SHA-256", "u", "r", "p", "INVITE", "sip:b@h", "n", "auth-int", 2, "c", body
    )


def test_sess_binds_the_secret_to_the_nonces() -> None:
    def hashed(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    secret = hashed(f"{hashed('u:r:p')}:n:c")
    expected = hashed(f"{secret}:n:00000001:c:auth:{hashed('INVITE:sip:b@h')}")
    assert expected == digest_response("MD5-sess", "u", "r", "p", "INVITE", "sip:b@h", "n", "auth", 1, "c")


def test_the_strongest_challenge_is_answered() -> None:
    answers = Digest("u", "p").answer(
        REQUEST,
        challenged(
            401,
            'Digest realm="r", nonce="1", algorithm=MD5, qop="auth"',
            'Digest realm="r", nonce="2", algorithm=SHA-512-256, qop="auth"',
            'Digest realm="r", nonce="3", algorithm=SHA-256, qop="auth"',
            'Digest realm="r", nonce="4", algorithm=FUTURE, qop="auth"',
        ),
        b"",
        {},
    )
    assert list(answers) == [("Authorization", "r")]
    assert 'nonce="2"' in answers["Authorization", "r"]
    assert "algorithm=SHA-512-256" in answers["Authorization", "r"]
    assert 'uri="sip:example.org"' in answers["Authorization", "r"]


def test_each_challenger_is_answered_once() -> None:
    digest = Digest("u", "p")
    retried: dict[tuple[str, str], int] = {}
    first = challenged(407, 'Digest realm="proxy", nonce="1", qop="auth"')
    second = challenged(401, 'Digest realm="server", nonce="1", qop="auth"')
    assert list(digest.answer(REQUEST, first, b"", retried)) == [("Proxy-Authorization", "proxy")]
    assert list(digest.answer(REQUEST, second, b"", retried)) == [("Authorization", "server")]
    assert digest.answer(REQUEST, first, b"", retried) == {}
    assert digest.answer(REQUEST, second, b"", retried) == {}


def test_a_stale_nonce_is_another_attempt_but_not_for_ever() -> None:
    digest = Digest("u", "p")
    retried: dict[tuple[str, str], int] = {}
    stale = challenged(401, 'Digest realm="r", nonce="1", stale=TRUE, qop="auth"')
    assert [bool(digest.answer(REQUEST, stale, b"", retried)) for _ in range(5)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_nonce_seen_before_is_counted_on() -> None:
    digest = Digest("u", "p")
    challenge = challenged(401, 'Digest realm="r", nonce="1", qop="auth"')
    assert "nc=00000001" in digest.answer(REQUEST, challenge, b"", {})["Authorization", "r"]
    assert "nc=00000002" in digest.answer(REQUEST, challenge, b"", {})["Authorization", "r"]


def test_a_challenge_without_qop_gets_neither_count_nor_cnonce() -> None:
    answer = Digest("u", "p").answer(REQUEST, challenged(401, 'Digest realm="r", nonce="1"'), b"", {})
    assert "nc=" not in answer["Authorization", "r"]
    assert "cnonce" not in answer["Authorization", "r"]


@pytest.mark.parametrize(
    "field", ['Basic realm="r"', 'Digest realm="r"', 'Digest realm="r", nonce="1", qop="other"', ""]
)
def test_what_cannot_be_answered_is_not(field: str) -> None:
    assert Digest("u", "p").answer(REQUEST, challenged(401, field), b"", {}) == {}


def test_a_401_without_a_challenge_is_not_answered() -> None:
    assert Digest("u", "p").answer(REQUEST, challenged(401), b"", {}) == {}


def test_challenges_are_read_with_commas_and_quotes_in_realms() -> None:
    field = 'Digest realm="a, \\"b\\"", nonce=abc , qop="auth,auth-int", Basic realm="x", Digest nonce="y"'
    assert list(challenges(field)) == [
        ("Digest", {"realm": 'a, "b"', "nonce": "abc", "qop": "auth,auth-int"}),
        ("Basic", {"realm": "x"}),
        ("Digest", {"nonce": "y"}),
    ]


@pytest.mark.parametrize("field", ['Digest realm="open', "=x", 'Digest "x"'])
def test_a_challenge_that_cannot_be_read_is_an_error(field: str) -> None:
    with pytest.raises(HeaderError):
        list(challenges(field))


@pytest.mark.parametrize(
    ("uri", "origin", "hop"),
    [
        ("sip:example.org", MemoryOrigin(), "sip:192.0.2.1:5060;transport=udp"),
        (
            "sip:example.org",
            MemoryOrigin("tcp", ("2001:db8::1", 5070)),
            "sip:[2001:db8::1]:5070;transport=tcp",
        ),
        ("sip:example.org", MemoryOrigin("tls"), None),
        ("sip:example.org", None, None),
        ("sip:192.0.2.7", MemoryOrigin(), None),
        ("sip:[2001:db8::7]", MemoryOrigin(), None),
        ("sips:example.org", MemoryOrigin(), None),
    ],
)
def test_the_second_request_goes_to_who_challenged(
    uri: str, origin: MemoryOrigin | None, hop: str | None
) -> None:
    asked = Message.parse(bytes(REQUEST).replace(b"sip:example.org", uri.encode()))
    assert pinned_hop(asked, origin) == hop
