"""Requests are challenged, and who answers rightly comes to the handler: new ones, those within a dialog, and over both links."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from dracht import Agent, App, Digest, Request, Response
from dracht.digest import Challenger, challenges, digest_response, ha1
from dracht.middleware import DigestAuth, Next

from tests.conformance.phone import Leg, Phone, Received
from tests.conformance.sip import Sip
from tests.conformance.station import Station, Stations, nobody

DOCS = Path(__file__).resolve().parents[2] / "docs"
REALM = "example.com"
SDP = ("Content-Type", "application/sdp")
OFFER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"


def password_for(user: str, realm: str) -> str | None:
    return {"alice": "secret"}.get(user)


def asked(response: Received) -> list[dict[str, str]]:
    """The challenges of a 401 or 407."""
    name = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}[response.status]
    return [params for value in response.all(name) for _, params in challenges(value)]


def answered(
    challenge: dict[str, str],
    method: str,
    uri: str,
    *,
    count: int = 1,
    qop: str = "auth",
    body: bytes = b"",
    password: str = "secret",
    proxy: bool = False,
) -> tuple[str, str]:
    """The header field that answers a challenge, as a phone reckons it."""
    algorithm, nonce = challenge["algorithm"], challenge["nonce"]
    secret = ha1(algorithm, "alice", REALM, password)
    response = digest_response(
        algorithm, secret, method, uri, nonce, qop=qop, count=f"{count:08x}", cnonce="c", body=body
    )
    value = (
        f'Digest username="alice", realm="{REALM}", nonce="{nonce}", uri="{uri}", response="{response}", '
        f'algorithm={algorithm}, qop={qop}, nc={count:08x}, cnonce="c"'
    )
    return ("Proxy-Authorization" if proxy else "Authorization", value)


def application(**options: Any) -> tuple[App, list[str]]:
    """An application that authenticates everything, and what came to its handlers."""
    app, seen = App(), list[str]()
    app.use(DigestAuth(password_for, realm=REALM, **options))

    @app.use
    async def record(req: Request, res: Response, next: Next) -> None:
        if req.method != "ACK":
            seen.append(f"{req.method} {req.user}")
        await next()

    @app.register
    async def register(req: Request, res: Response) -> None:
        await res.send(200)

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await (await res.send(200, body=OFFER)).acked()

    return app, seen


async def refused(phone: Phone, leg: Leg, invite: Sip, status: int) -> Received:
    response = await phone.expect(status)
    await leg.refused(invite, response)
    return response


async def test_a_registration_needs_the_password(stations: Stations, phone: Phone) -> None:
    app, seen = application()
    station = await stations.start(app)
    leg = phone.leg(station.address)
    await leg.send("REGISTER")
    refusal = await phone.expect(401)
    first, second = asked(refusal)
    assert (first["algorithm"], second["algorithm"]) == ("SHA-256", "MD5"), "RFC 8760 §2.3"
    assert {first["realm"], second["realm"]} == {REALM}
    for challenge, count in ((first, 1), (second, 2), (first, 3)):
        credentials = answered(challenge, "REGISTER", leg.target, count=count)
        await leg.send("REGISTER", credentials)
        assert (await phone.expect(200)).method == "REGISTER"
        await leg.send("REGISTER", credentials)
        assert "stale=true" in (await phone.expect(401))["WWW-Authenticate"], "the same again is a replay"
    await leg.send("REGISTER", answered(first, "REGISTER", leg.target, count=9, password="wrong"))
    assert "stale" not in (await phone.expect(401))["WWW-Authenticate"]
    await leg.send("REGISTER", answered(first, "REGISTER", "sip:service@elsewhere", count=9))
    await phone.expect(400)
    assert seen == ["REGISTER alice"] * 3


async def test_a_call_is_challenged_in_all_its_requests(stations: Stations, phone: Phone) -> None:
    app, seen = application(proxy=True, qop=("auth-int",))
    station = await stations.start(app)
    leg = phone.leg(station.address)

    async def challenged(method: str, body: bytes = b"") -> Received:
        fields = [SDP] if body else []
        sent = await leg.send(method, *fields, body=body)
        refusal = await refused(phone, leg, sent, 407) if method == "INVITE" else await phone.expect(407)
        params = asked(refusal)[0]
        for wrong in (b"v=1\r\n", body):
            given = answered(params, method, sent.uri, qop="auth-int", body=wrong, proxy=True)
            sent = await leg.send(method, *fields, given, body=body)
            if wrong != body and method == "INVITE":
                await refused(phone, leg, sent, 407)
            elif wrong != body:
                await phone.expect(407)
                assert len(app.calls) == 1, "a BYE that is refused ends nothing"
        return await phone.expect(200, of=method)

    for body in (OFFER, OFFER.replace(b"1 1", b"1 2")):
        await leg.ack(await challenged("INVITE", body))
    await challenged("INFO", b"x")
    assert (len(app.calls), station.counts()["dialogs"]) == (1, 1)
    await challenged("BYE")
    assert (len(app.calls), station.counts()["dialogs"]) == (0, 0)
    assert seen == ["INVITE alice", "INVITE alice", "INFO alice", "BYE alice"]


async def test_a_cancel_is_never_challenged(stations: Stations, phone: Phone) -> None:
    app, ringing = App(), asyncio.Event()
    app.use(DigestAuth(password_for, realm=REALM))

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await res.send(180)
        ringing.set()
        await asyncio.sleep(60)

    station = await stations.start(app)
    leg = phone.leg(station.address)
    params = asked(await refused(phone, leg, await leg.send("INVITE"), 401))[0]
    sent = await leg.send("INVITE", answered(params, "INVITE", leg.target))
    await phone.expect(180)
    await ringing.wait()
    await leg.cancel(sent)
    await phone.expect(200)
    await refused(phone, leg, sent, 487)


@pytest.mark.parametrize(
    "value", ["Digest", 'Digest realm="example.com"', 'Digest "', "Digest " + "a=b," * 900]
)
async def test_what_cannot_be_read_is_400(stations: Stations, phone: Phone, value: str) -> None:
    app, seen = application()
    station = await stations.start(app)
    leg = phone.leg(station.address)
    await leg.send("REGISTER", ("Authorization", value))
    await phone.expect(400)
    await leg.send("REGISTER")
    await phone.expect(401)
    assert seen == []


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256-sess", "SHA-512-256"])
async def test_our_client_and_our_server_agree(stations: Stations, algorithm: str) -> None:
    """A call between two of ours, each request authenticated, only the first of each place challenged."""
    clock = [1_700_000_000.0]
    app, seen = application(algorithms=(algorithm,), confirm=True, nonce_lifetime=60, clock=lambda: clock[0])
    server, client = await stations.start(app), await stations.start(nobody)
    auth = Digest("alice", "secret")
    # By TCP, where a refused INVITE does not linger (timer D, RFC 3261 §17.1.1.2).
    tx = await client.agent.request(f"{server.uri};transport=tcp", "INVITE", body=OFFER, auth=auth)
    final = await tx.final()
    await final.ack()
    assert (final.status, final.server_authenticated) == (200, True)
    assert [one.cause for one in tx.attempts] == ["first", "challenge"]
    causes = []
    for method, passed in (("INFO", 0), ("INVITE", 0), ("INFO", 100), ("BYE", 0)):
        clock[0] += passed
        tx = await client.agent.request(method=method, dialog=final.dialog_id, auth=auth)
        answer = await tx.final()
        if method == "INVITE":
            await answer.ack()
        assert answer.status == 200
        causes.append([one.cause for one in tx.attempts])
    assert causes == [["first"], ["first"], ["first", "challenge"], ["first"]], "the nonce had expired"
    assert seen == [f"{method} alice" for method in ("INVITE", "INFO", "INVITE", "INFO", "BYE")]


async def test_the_pieces_serve_an_agent_as_well(stations: Stations) -> None:
    challenger = Challenger(password_for, realm=REALM, proxy=True)

    async def handler(req: Request, res: Response) -> None:
        user = await challenger.authenticate(req)
        await res.send(200, headers={"X-User": str(user)})

    server, client = await stations.start(handler, "options"), await stations.start(nobody)

    async def options(agent: Agent, station: Station, **how: Any) -> tuple[int, str | None]:
        final = await (await agent.request(station.uri, "OPTIONS", **how)).final()
        return final.status, final.headers.get("X-User")

    assert await options(client.agent, server) == (407, None)
    assert await options(client.agent, server, auth=("alice", "secret")) == (200, "alice")
    assert await options(client.agent, server, auth=("alice", "wrong")) == (407, None)


@pytest.mark.parametrize("options", [{}, {"type": "stateless"}, {"record_route": True, "trusted": False}])
async def test_a_proxy_keeps_the_credentials_that_it_accepted_and_passes_on_the_others(
    stations: Stations, phone: Phone, options: dict[str, Any]
) -> None:
    callee = await stations.phone()
    app = App()
    app.use(DigestAuth(password_for, realm=REALM, proxy=True))

    @app.message
    async def message(req: Request, res: Response) -> None:
        await req.proxy(callee.uri, **options)

    station = await stations.start(app)
    leg = phone.leg(station.address)
    sent = await leg.send("MESSAGE")
    params = asked(await phone.expect(407))[0]
    name, right = answered(params, "MESSAGE", sent.uri, proxy=True)
    _, wrong = answered(params, "MESSAGE", sent.uri, proxy=True, password="guessed")
    before, behind = (
        f'Digest username="alice", realm="{realm}", nonce="n", uri="{sent.uri}", response="{"0" * 32}"'
        for realm in ("one.example", "two.example")
    )
    others = [("Authorization", right)]
    await leg.send(
        "MESSAGE", (name, before), (name, wrong), ("proxy-authorization", right), (name, behind), *others
    )
    forwarded = await callee.expect("MESSAGE")
    # One of the same realm that was not accepted may be another server's (RFC 3261 §22.3).
    assert forwarded.all(name) == [before, wrong, behind]
    assert forwarded.all("Authorization") == [right]
    callee.reply(forwarded, 200)
    await phone.expect(200)


async def test_the_python_of_the_documents_works(stations: Stations) -> None:

    apps: dict[str, dict[str, Any]] = {}
    for page in ("howto/authenticate.md", "rfc/rfc7616.md", "rfc/rfc8760.md"):
        for number, code in enumerate(
            re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
        ):
            names = apps[f"{page} {number}"] = {}
            exec(compile(code, page, "exec"), names)
    asking, pieces, giving = (apps[f"howto/authenticate.md {number}"] for number in range(3))
    server, client = await stations.start(asking["app"]), await stations.start(nobody)
    call = await client.agent.request(
        server.uri, "REGISTER", headers={"To": "<sip:bob@h>"}, auth=giving["account"]
    )
    assert (await call.final()).status == 403, "alice may not register as bob"
    headers = {"To": "<sip:alice@h>"}
    call = await client.agent.request(server.uri, "REGISTER", headers=headers, auth=giving["account"])
    assert (await call.final()).status == 200
    low = await stations.start(pieces["handler"], "options")
    options = await client.agent.request(low.uri, auth=giving["account"])
    assert (await options.final()).headers["X-User"] == "alice"
