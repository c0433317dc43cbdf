"""Challenges are answered with the credentials given (RFC 7616, RFC 8760), and the challenger finds them right."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable

import pytest
from dracht import Digest
from dracht.digest import Keyring

from tests.conformance.phone import Phone
from tests.conformance.sip import Sip
from tests.conformance.station import Stations, nobody

HASHES: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: hashlib.md5(data).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}
WAYS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


def fields(value: str) -> dict[str, str]:
    return {
        name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', value)
    }


def is_right(value: str, request: Sip, algorithm: str, nonce: str, password: str = "secret") -> bool:
    """Whether these credentials answer the challenge, as the challenger reckons (RFC 7616 §3.4.1)."""
    given, digest = fields(value), HASHES[algorithm]
    first = digest(f"{given['username']}:{given['realm']}:{password}".encode())
    second = digest(f"{request.method}:{given['uri']}".encode())
    middle = f"{nonce}:{given['nc']}:{given['cnonce']}:{given['qop']}"
    return (
        given["nonce"] == nonce
        and given["uri"] == request.uri
        and given["response"] == digest(f"{first}:{middle}:{second}".encode())
    )


def challenge(nonce: str, algorithm: str = "MD5", realm: str = "example.com", more: str = "") -> str:
    return f'Digest realm="{realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"{more}'


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("method", ["INVITE", "REGISTER"])
async def test_a_challenge_is_answered(
    stations: Stations, phone: Phone, method: str, status: int, algorithm: str
) -> None:
    asking, answering = WAYS[status]
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, method, auth=("alice", "secret"))
    first = await phone.expect(method)
    assert first.get(answering) is None
    phone.reply(first, status, (asking, challenge("n1", algorithm)))
    if method == "INVITE":
        await phone.expect("ACK")
    second = await phone.expect(method)
    assert is_right(second[answering], second, algorithm, "n1")
    assert (second["Call-ID"], second["From"]) == (first["Call-ID"], first["From"])
    assert second.cseq == first.cseq + 1
    phone.reply(second, 200, tag="c")
    final = await tx.final()
    assert (final.status, [one.status for one in tx.responses]) == (200, [200])
    assert tx.request.headers[answering] == second[answering]
    if method == "INVITE":
        await final.ack()
        assert (await phone.expect("ACK"))[answering] == second[answering], "RFC 3261 §13.2.2.4"
        bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
        phone.reply(await phone.expect("BYE"), 200)
        await bye.final()


async def test_a_proxy_and_a_server_may_both_challenge(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "REGISTER", auth=("alice", "secret"))
    phone.reply(await phone.expect("REGISTER"), 407, ("Proxy-Authenticate", challenge("p", realm="proxy")))
    phone.reply(await phone.expect("REGISTER"), 401, ("WWW-Authenticate", challenge("s", realm="server")))
    third = await phone.expect("REGISTER")
    assert is_right(third["Proxy-Authorization"], third, "MD5", "p")
    assert is_right(third["Authorization"], third, "MD5", "s")
    phone.reply(third, 200)
    assert (await tx.final()).status == 200


async def test_the_strongest_of_several_challenges_is_answered(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "REGISTER", auth=("alice", "secret"))
    first = await phone.expect("REGISTER")
    phone.reply(
        first,
        401,
        ("WWW-Authenticate", challenge("weak")),
        ("WWW-Authenticate", challenge("strong", "SHA-256", more=', opaque="o"')),
    )
    second = await phone.expect("REGISTER")
    assert len(second.all("Authorization")) == 1
    assert is_right(second["Authorization"], second, "SHA-256", "strong")
    assert fields(second["Authorization"])["opaque"] == "o"
    phone.reply(second, 200)
    assert (await tx.final()).status == 200


async def test_wrong_credentials_are_not_sent_again(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "REGISTER", auth=("alice", "wrong"))
    phone.reply(await phone.expect("REGISTER"), 401, ("WWW-Authenticate", challenge("n1")))
    second = await phone.expect("REGISTER")
    assert not is_right(second["Authorization"], second, "MD5", "n1")
    phone.reply(second, 401, ("WWW-Authenticate", challenge("n2")))
    assert (await tx.final()).status == 401
    assert phone.ladder == ["< REGISTER", "> 401", "< REGISTER", "> 401"]


async def test_a_stale_nonce_is_answered_again(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "REGISTER", auth=("alice", "secret"))
    phone.reply(await phone.expect("REGISTER"), 401, ("WWW-Authenticate", challenge("n1")))
    phone.reply(
        await phone.expect("REGISTER"), 401, ("WWW-Authenticate", challenge("n2", more=", stale=true"))
    )
    third = await phone.expect("REGISTER")
    assert is_right(third["Authorization"], third, "MD5", "n2")
    phone.reply(third, 200)
    assert (await tx.final()).status == 200


@pytest.mark.parametrize("value", [None, "", "Digest", "Basic realm=x", "Digest realm="])
async def test_a_challenge_that_cannot_be_answered_is_the_answer(
    stations: Stations, phone: Phone, value: str | None
) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "REGISTER", auth=("alice", "secret"))
    given = [] if value is None else [("WWW-Authenticate", value)]
    phone.reply(await phone.expect("REGISTER"), 401, *given)
    try:
        assert (await tx.final(timeout=5)).status == 401
    finally:
        assert phone.ladder == ["< REGISTER", "> 401"]


async def test_a_challenge_without_credentials_is_the_answer(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "OPTIONS")
    phone.reply(await phone.expect("OPTIONS"), 407, ("Proxy-Authenticate", challenge("n")))
    assert (await tx.final()).status == 407


async def test_requests_within_a_dialog_are_challenged_as_well(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE")
    invite = await phone.expect("INVITE")
    phone.reply(invite, 200, tag="c")
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    auth = Digest("alice", "secret")
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id, auth=auth)
    first = await phone.expect("BYE")
    phone.reply(first, 407, ("Proxy-Authenticate", challenge("n")))
    second = await phone.expect("BYE")
    assert second.cseq == first.cseq + 1
    assert is_right(second["Proxy-Authorization"], second, "MD5", "n")
    phone.reply(second, 200)
    assert (await bye.final()).status == 200


async def test_a_nonce_is_used_again_and_counted_on(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    auth = Digest("alice", "secret")
    for count in (1, 2, 3):
        tx = await station.agent.request(phone.uri, "OPTIONS", auth=auth)
        asked = await phone.expect("OPTIONS")
        if count == 1:
            phone.reply(asked, 401, ("WWW-Authenticate", challenge("same")))
            asked = await phone.expect("OPTIONS")
        assert fields(asked["Authorization"])["nc"] == f"{count:08x}"
        assert is_right(asked["Authorization"], asked, "MD5", "same")
        phone.reply(asked, 200)
        assert (await tx.final()).status == 200
    assert phone.ladder == ["< OPTIONS", "> 401"] + ["< OPTIONS", "> 200"] * 3


async def test_a_cancel_that_meets_a_challenge_cancels_what_is_sent_again(
    stations: Stations, phone: Phone
) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE", auth=("alice", "secret"))
    phone.reply(await phone.expect("INVITE"), 401, ("WWW-Authenticate", challenge("n")))
    await phone.expect("ACK")
    second = await phone.expect("INVITE")
    cancelling = asyncio.create_task(tx.cancel())
    phone.reply(second, 180)
    phone.reply(await phone.expect("CANCEL"), 200)
    await cancelling
    phone.reply(second, 487)
    assert (await tx.final()).status == 487
    await phone.expect("ACK")


async def test_the_challenges_of_several_branches_are_answered_at_once(
    stations: Stations, phone: Phone
) -> None:
    station = await stations.start(nobody)
    ring = Keyring({"a": ("anna", "secret"), "b": ("bert", "secret"), "p": ("paul", "secret")})
    tx = await station.agent.request(phone.uri, "INVITE", auth=ring)
    phone.reply(
        await phone.expect("INVITE"),
        401,
        ("WWW-Authenticate", challenge("1", "SHA-256", realm="a")),
        ("WWW-Authenticate", challenge("2", realm="b")),
        ("WWW-Authenticate", challenge("3", realm="c")),
        ("Proxy-Authenticate", challenge("4", realm="p")),
    )
    await phone.expect("ACK")
    second = await phone.expect("INVITE")
    given = {fields(value)["realm"]: value for value in second.all("Authorization")}
    assert sorted(given) == ["a", "b"], "of realm c there are no credentials"
    assert is_right(given["a"], second, "SHA-256", "1")
    assert is_right(given["b"], second, "MD5", "2")
    assert is_right(second["Proxy-Authorization"], second, "MD5", "4")
    phone.reply(second, 200, tag="c")
    final = await tx.final()
    await final.ack()
    ack = await phone.expect("ACK")
    assert ack.all("Authorization") == second.all("Authorization"), "RFC 3261 §22.1"
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id, auth=ring)
    asked = await phone.expect("BYE")
    assert {fields(value)["nc"] for value in asked.all("Authorization")} == {"00000002"}
    assert is_right(asked["Proxy-Authorization"], asked, "MD5", "4")
    phone.reply(asked, 200)
    assert (await bye.final()).status == 200


async def test_a_registration_is_sent_again_with_the_interval_asked_for(
    stations: Stations, phone: Phone
) -> None:
    station = await stations.start(nobody)
    contact = "<sip:alice@192.0.2.1>;expires=60"
    headers = {"To": f"<{phone.uri}>", "Contact": contact}
    tx = await station.agent.request(phone.uri, "REGISTER", headers=headers)
    first = await phone.expect("REGISTER")
    phone.reply(first, 423, ("Min-Expires", "600"), contact=False)
    second = await phone.expect("REGISTER")
    assert second["Contact"] == contact.replace("60", "600")
    assert (second["Call-ID"], second["From"]) == (first["Call-ID"], first["From"])
    assert second.cseq == first.cseq + 1
    phone.reply(second, 200, contact=False)
    assert (await tx.final()).status == 200


async def test_a_session_interval_is_raised(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    headers = {"Session-Expires": "90;refresher=uac", "Supported": "timer"}
    tx = await station.agent.request(phone.uri, "INVITE", headers=headers)
    phone.reply(await phone.expect("INVITE"), 422, ("Min-SE", "1800"))
    await phone.expect("ACK")
    second = await phone.expect("INVITE")
    assert (second.all("Session-Expires"), second.all("Min-SE")) == (["1800;refresher=uac"], ["1800"])
    phone.reply(second, 486)
    assert (await tx.final()).status == 486
    await phone.expect("ACK")


async def test_a_reinvite_that_met_another_is_sent_again(stations: Stations, phone: Phone) -> None:
    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "INVITE")
    phone.reply(await phone.expect("INVITE"), 200, tag="c")
    final = await tx.final()
    await final.ack()
    await phone.expect("ACK")
    # As if the call were theirs: then the wait is short (RFC 3261 §14.1).
    final.dialog_id.dispatcher.initiated.clear()  # type: ignore[union-attr]
    again = await station.agent.request(method="INVITE", dialog=final.dialog_id)
    first = await phone.expect("INVITE")
    phone.reply(first, 491)
    await phone.expect("ACK")
    second = await phone.expect("INVITE")
    assert second.cseq == first.cseq + 1
    phone.reply(second, 200)
    changed = await again.final()
    assert (changed.status, [one.cause for one in again.attempts]) == (200, ["first", "glare"])
    await changed.ack()
    await phone.expect("ACK")
    bye = await station.agent.request(method="BYE", dialog=final.dialog_id)
    phone.reply(await phone.expect("BYE"), 200)
    await bye.final()


async def test_an_error_in_the_choice_of_credentials_is_raised_where_the_response_is_awaited(
    stations: Stations, phone: Phone
) -> None:
    def passwords(realm: str) -> tuple[str, str]:
        raise KeyError(realm)

    station = await stations.start(nobody)
    tx = await station.agent.request(phone.uri, "OPTIONS", auth=passwords)
    phone.reply(await phone.expect("OPTIONS"), 401, ("WWW-Authenticate", challenge("n1")), tag="c")
    with pytest.raises(KeyError, match="example"):
        await asyncio.wait_for(tx.final(), 5)
    assert station.agent.idle
