"""Digest responses are those that the RFCs print, and header fields are read and written without loss."""

from __future__ import annotations

import hashlib

import pytest
from dracht import Digest, HeaderError
from dracht.digest import challenges, digest_response, ha1, userhash
from dracht.digest.fields import ext_value, parameters, read_ext_value, written


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
        ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life"),
        "GET",
        "/dir/index.html",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        qop="auth",
        count="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
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
    digest = Digest("J\u00e4s\u00f8n Doe", "Secret, or not?")
    answer, _ = digest.authorization(
        digest.session(params), "GET", "/doe.json", b"", 1, "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
    )
    assert 'username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"' in answer
    assert 'response="3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"' in answer
    assert "userhash=true" in answer
    assert 'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"' in answer


def test_rfc_7616_3_9_2_without_userhash_names_the_user_in_extended_notation() -> None:
    digest = Digest("J\u00e4s\u00f8n Doe", "Secret, or not?")
    params = {"realm": "r", "nonce": "n", "charset": "UTF-8", "qop": "auth"}
    answer, _ = digest.authorization(digest.session(params), "GET", "/", b"", 1)
    assert "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe," in answer
    assert "username=" not in answer
    del params["charset"]
    plain, _ = digest.authorization(digest.session(params), "GET", "/", b"", 1)
    assert 'username="J\u00e4s\u00f8n Doe"' in plain, "who does not name the charset may not know username*"


def test_rfc_2617_3_5() -> None:
    assert (
        digest_response(
            "MD5",
            ha1("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life"),
            "GET",
            "/dir/index.html",
            "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            qop="auth",
            count="00000001",
            cnonce="0a4f113b",
        )
        == "6629fae49393a05397450978507c4ef1"
    )


def test_rfc_2069_has_neither_count_nor_cnonce() -> None:
    # The example of RFC 2069 §2.4, with the response of its erratum 749.
    secret = ha1("MD5", "Mufasa", "testrealm@host.com", "CircleOfLife")
    response = digest_response("MD5", secret, "GET", "/dir/index.html", "dcd98b7102dd2f0e8b11d0f600bfb0c093")
    assert response == "1949323746fe6a43ef61f9606e7febea"


@pytest.mark.parametrize("body", [b"v=0\r\n", b""])
def test_auth_int_covers_the_body_an_empty_one_too(body: bytes) -> None:
    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    asked = hashed(f"INVITE:sip:b@h:{hashlib.sha256(body).hexdigest()}")
    expected = hashed(f"{hashed('u:r:p')}:n:00000002:c:auth-int:{asked}")
    assert expected == digest_response(
        "SHA-256",
        ha1("SHA-256", "u", "r", "p"),
        "INVITE",
        "sip:b@h",
        "n",
        qop="auth-int",
        count="00000002",
        cnonce="c",
        body=body,
    )


def test_sess_binds_the_secret_to_the_nonces() -> None:
    def hashed(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    secret = hashed(f"{hashed('u:r:p')}:n:c")
    expected = hashed(f"{secret}:n:00000001:c:auth:{hashed('INVITE:sip:b@h')}")
    assert expected == digest_response(
        "MD5-sess",
        ha1("MD5-sess", "u", "r", "p"),
        "INVITE",
        "sip:b@h",
        "n",
        qop="auth",
        count="00000001",
        cnonce="c",
    )


def test_unknown_algorithms_are_named() -> None:
    with pytest.raises(HeaderError, match="'SHA-3' is not known; known are SHA-512-256, SHA-256, MD5"):
        ha1("SHA-3", "u", "r", "p")
    assert userhash("MD5", "u", "r") == hashlib.md5(b"u:r", usedforsecurity=False).hexdigest()


def test_challenges_are_read_with_commas_and_quotes_in_realms() -> None:
    field = 'Digest realm="a, \\"b\\"", nonce=abc , qop="auth,auth-int", Basic realm="x", Digest nonce="y"'
    assert list(challenges(field)) == [
        ("Digest", {"realm": 'a, "b"', "nonce": "abc", "qop": "auth,auth-int"}),
        ("Basic", {"realm": "x"}),
        ("Digest", {"nonce": "y"}),
    ]


@pytest.mark.parametrize(
    "field",
    [
        'Digest realm="open',
        "=x",
        'Digest "x"',
        'Digest realm="a", realm="b"',
        'realm="a"',
        "Digest " + ", ".join(f"a{n}=b" for n in range(41)),
    ],
)
def test_a_challenge_that_cannot_be_read_is_an_error(field: str) -> None:
    with pytest.raises(HeaderError):
        list(challenges(field))


@pytest.mark.parametrize(
    "text", ["", "plain", 'a "b", c=d', "back\\slash\\", "J\u00e4s\u00f8n", "=,;", "\udcff\udcfe"]
)
def test_what_is_written_is_read_again(text: str) -> None:
    assert parameters(written([("realm", text), ("nc", "00000001")])) == {"realm": text, "nc": "00000001"}


@pytest.mark.parametrize("text", ["J\u00e4s\u00f8n Doe", "a'b%c", "\U0001f98a", ""])
def test_extended_values_are_read_as_written(text: str) -> None:
    assert read_ext_value(ext_value(text)) == text


@pytest.mark.parametrize("value", ["x", "UTF-8'x", "ISO-8859-1''x", "UTF-8''%ff", "UTF-8'" + "l" * 65 + "'x"])
def test_extended_values_that_cannot_be_read_are_an_error(value: str) -> None:
    with pytest.raises(HeaderError):
        read_ext_value(value)


def test_no_line_break_gets_into_a_header_field() -> None:
    with pytest.raises(HeaderError):
        written([("username", "a\r\nX: y")])
