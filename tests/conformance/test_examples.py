"""Every example does what its opening comment says, embedded and connected, with real sockets and real messages."""

from __future__ import annotations

import itertools
import json
import runpy
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("dracht._core", reason="the Rust core is not built: make setup")

from dracht import Agent, App, Digest, Dns, IncomingResponse, Request, Response
from dracht.cli.processes import Process, run

from tests.conformance.phone import Phone
from tests.nameserver import NameServer

EXAMPLES = Path(__file__).parents[2] / "examples"
LISTEN = "sip:127.0.0.1:0;transport=udp,tcp"
UDP = r"udp/127\.0\.0\.1:(\d+)"
WAYS = ("embedded", "connected")

pytestmark = pytest.mark.parametrize("way", WAYS)


@contextmanager
def example(name: str, way: str, target: str | None = None, **given: str) -> Iterator[str]:
    """Runs an example, with variables in its environment; the port on which it is reached."""
    file = str(EXAMPLES / f"{name}.py")
    environment = {"DRACHT_TARGET": target, **given} if target else given
    if way == "embedded":
        with Process("run", file, "--listen", LISTEN, environment=environment) as application:
            yield application.until(UDP)[1]
        return
    with Process("serve", "--listen", LISTEN, "--control", "127.0.0.1:0", "--secret", "cymru") as server:
        port, control = server.until(UDP)[1], server.until(r"tcp://(127\.0\.0\.1:\d+)")[1]
        connect = ("--connect", f"tcp://{control}", "--secret", "cymru")
        with Process("run", file, *connect, environment=environment) as application:
            application.until("serves through")
            yield port


def calls(port: str, count: int) -> dict[str, object]:
    """What `dracht call` says of so many calls."""
    result = run(
        "call", f"sip:1234@127.0.0.1:{port}", "--count", str(count), "--rate", "100", "--json", timeout=30
    )
    summary: dict[str, object] = json.loads(result.stdout)
    return summary


def test_the_proxy_takes_calls_to_its_target_and_stays_on_their_path(way: str, tmp_path: Path) -> None:
    seen = tmp_path / "callee"
    with Process("answer", "--listen", LISTEN, "--trace", str(seen)) as callee:
        target = f"sip:127.0.0.1:{callee.until(UDP)[1]}"
        with example("proxy", way, target) as port:
            summary = calls(port, 20)
    assert (summary["answered"], summary["failed"]) == (20, 0)
    methods = [json.loads(line)["label"] for line in seen.read_text().splitlines()]
    assert [methods.count(label) for label in ("INVITE (SDP)", "ACK", "BYE")] == [20, 20, 20]


def test_the_proxy_passes_on_a_refusal(way: str) -> None:
    with Process("answer", "--listen", LISTEN, "--status", "486") as callee:
        target = f"sip:127.0.0.1:{callee.until(UDP)[1]}"
        with example("proxy", way, target) as port:
            assert calls(port, 5)["failures"] == {"486": 5}


def test_the_user_agent_answers_and_takes_the_bye(way: str) -> None:
    with example("uas", way) as port:
        summary = calls(port, 20)
    assert (summary["answered"], summary["failed"]) == (20, 0)


async def test_options_says_what_it_can(way: str) -> None:
    with example("options", way) as port:
        async with Agent(answer).serving(listen=LISTEN) as agent:
            response = await final(agent, f"sip:127.0.0.1:{port}", "OPTIONS")
            assert response.status == 200
            assert response.headers["Allow"] == "OPTIONS"
            assert response.headers["Accept"] == "application/sdp"
            assert (await final(agent, f"sip:127.0.0.1:{port}", "INFO")).status in (405, 503)


async def test_the_registrar_keeps_bindings_and_rings_them(way: str) -> None:
    with example("registrar", way) as port:
        async with Agent(answer).route("*").serving(listen=LISTEN) as phone:
            here = next(one for one in phone.hostports if one.startswith("udp/")).removeprefix("udp/")
            first, second = f"sip:alice@{here}", f"sip:desk@{here}"

            tags = itertools.count()
            account = Digest("alice", "wonderland")

            async def register(
                number: int, auth: Digest = account, **headers: str | list[str]
            ) -> tuple[int, list[str]]:
                address = f"<sip:alice@127.0.0.1:{port}>"
                given = {
                    "To": address,
                    "From": f"{address};tag=r{next(tags)}",
                    "Call-ID": "reg",
                    "CSeq": f"{number} REGISTER",
                }
                transaction = await phone.request(
                    f"sip:127.0.0.1:{port}",
                    "REGISTER",
                    headers={**given, **headers},
                    auth=auth,
                    timeout=10,
                    retry_interval=False,
                )
                response = await transaction.final()
                return response.status, response.headers.getlist("Contact")

            for stranger in (Digest("alice", "wrong"), Digest("nobody", "wonderland")):
                assert await register(1, stranger) == (401, [])
            assert await register(1, Digest("bob", "builder")) == (403, []), "bob is not alice"
            assert await register(1) == (200, [])
            # The first one was challenged, so that it took two numbers; from then on the nonce is used again.
            status, contacts = await register(
                3, Contact=[f"<{first}>;expires=600", f"<{second}>"], Expires="900"
            )
            assert status == 200
            assert contacts == [f"<{first}>;expires=600", f"<{second}>;expires=900"]
            assert (await register(3, Contact=f"<{first}>;expires=0"))[0] == 500, (
                "an older request changes nothing"
            )
            assert (await register(4, Contact=f"<{first}>;expires=10"))[0] == 423
            assert (await register(5, Contact="*"))[0] == 400
            for number, contact in enumerate(("<tel:123>", "<http://x>", f"<{first}>, <mailto:a@b>"), 51):
                assert (await register(number, Contact=contact))[0] == 400, f"{contact} cannot be rung"
            assert await register(60, Contact=f"<{second}>;expires=0") == (200, [f"<{first}>;expires=600"])

            call = await phone.request(f"sip:alice@127.0.0.1:{port}", "INVITE", body=b"v=0\r\n", timeout=10)
            answered = await call.final()
            assert answered.status == 200
            assert answered.headers["X-Phone"] == first
            await answered.ack()
            bye = await phone.request(method="BYE", dialog=answered.dialog_id, timeout=10)
            assert (await bye.final()).status == 200

            assert await register(70, Contact="*", Expires="0") == (200, [])
            assert (await final(phone, f"sip:alice@127.0.0.1:{port}", "INVITE")).status == 480


async def test_the_registrar_bounds_what_a_phone_asks_for(way: str) -> None:
    with example("registrar", way, DRACHT_OPEN="1") as port:
        async with Agent(answer).serving(listen=LISTEN) as phone:
            numbers = itertools.count(1)

            async def register(*contacts: str) -> tuple[int, str, int]:
                given = {"Call-ID": "many", "CSeq": f"{next(numbers)} REGISTER", "Contact": list(contacts)}
                asked = await phone.request(
                    f"sip:127.0.0.1:{port}",
                    "REGISTER",
                    headers={"To": f"<sip:alice@127.0.0.1:{port}>", **given},
                    timeout=10,
                )
                response = await asked.final()
                return response.status, response.reason, len(response.headers.getlist("Contact"))

            ten = [f"<sip:alice@192.0.2.{number}>" for number in range(10)]
            assert await register(f"{ten[0]};expires={'9' * 5000}") == (200, "OK", 1)
            assert await register(*ten) == (200, "OK", 10)
            assert await register("<sip:alice@192.0.2.10>") == (403, "At Most 10 Contacts", 0)
            # One that makes room for itself is not one too many.
            assert await register(f"{ten[0]};expires=0", "<sip:alice@192.0.2.10>") == (200, "OK", 10)


async def test_the_browsers_registrar_keeps_ten_contacts_of_a_user_that_can_be_rung(way: str) -> None:
    rung: list[str] = []

    async def busy(req: Request, res: Response) -> None:
        rung.append(f"<{req.msg.uri}>")
        await res.send(486)

    with example("browser_phones", way) as port:
        async with Agent(busy).route("*").serving(listen=LISTEN) as phone:
            account = Digest("alice", "wonderland")

            async def register(*contacts: str) -> tuple[int, str, list[str]]:
                asked = await phone.request(
                    f"sip:127.0.0.1:{port}",
                    "REGISTER",
                    headers={"To": f"<sip:alice@127.0.0.1:{port}>", "Contact": list(contacts)},
                    auth=account,
                    timeout=10,
                    retry_interval=False,
                )
                response = await asked.final()
                return response.status, response.reason, response.headers.getlist("Contact")

            here = next(one for one in phone.hostports if one.startswith("udp/")).removeprefix("udp/")
            for wrong in (["<tel:123>"], [f"<sip:alice@{here}>", "<mailto:a@b>"], ["<http://x>"]):
                assert await register(*wrong) == (400, "Contact Must Be a SIP URI", [])
            assert (await final(phone, f"sip:alice@127.0.0.1:{port}", "INVITE")).status == 480, (
                "nothing of what was refused is kept"
            )
            eleven = [f"<sip:page{number}@{here}>" for number in range(11)]
            assert await register(*eleven) == (403, "At Most 10 Contacts", [])
            # A page that is loaded anew has another contact: the oldest gives way, and the user is not kept out.
            for one in eleven:
                assert await register(one) == (200, "OK", [f"{one};expires=120"])
            assert (await final(phone, f"sip:alice@127.0.0.1:{port}", "INVITE")).status == 486
            assert sorted(rung) == sorted(eleven[1:])
            assert await register(*eleven[1:]) == (200, "OK", [f"{one};expires=120" for one in eleven[1:]])


async def test_an_open_registrar_registers_anybody(way: str) -> None:
    with example("registrar", way, DRACHT_OPEN="1") as port:
        async with Agent(answer).serving(listen=LISTEN) as phone:
            assert (await final(phone, f"sip:alice@127.0.0.1:{port}", "REGISTER")).status == 200


@asynccontextmanager
async def trunk(way: str, folder: Path, names: NameServer) -> AsyncIterator[str]:
    """The trunk's application, with an engine that asks these names and waits a tenth as long; the port where it is reached."""
    held = runpy.run_path(str(EXAMPLES / "trunk.py"))
    app: App = held["app"]
    dns: Dns = replace(held["DNS"], target_timeout=0.3)
    assert dns.servers == (names.address,)
    if way == "embedded":
        async with app.serving(listen=LISTEN, dns=dns):
            (here,) = (one for one in app.agent.hostports if one.startswith("udp/"))
            yield here.rpartition(":")[2]
        return
    config = folder / "server.toml"
    config.write_text(f'[dns]\nservers = ["{names.address}"]\ntarget_timeout = 0.3\n')
    link = ("--listen", LISTEN, "--control", "127.0.0.1:0", "--secret", "cymru")
    with Process("serve", "--config", str(config), *link) as server:
        port, control = server.until(UDP)[1], server.until(r"tcp://(127\.0\.0\.1:\d+)")[1]
        async with app.serving(connect=f"tcp://{control}", secret="cymru"):
            yield port


async def test_the_trunk_takes_the_server_of_its_carrier_that_answers(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await Phone.open()
    dead.drop = lambda message: True
    async with NameServer() as names, Agent(answer).route("*").serving(listen=LISTEN) as carrier:
        (here,) = (one for one in carrier.hostports if one.startswith("udp/"))
        alive = int(here.rpartition(":")[2])
        names.srv("_sip._udp.trunk.example", (1, 0, dead.port, "one.example"), (2, 0, alive, "two.example"))
        names.host("one.example", "127.0.0.1")
        names.host("two.example", "127.0.0.1")
        monkeypatch.setenv("DRACHT_TRUNK", "trunk.example")
        monkeypatch.setenv("DRACHT_NAME_SERVERS", names.address)
        async with (
            trunk(way, tmp_path, names) as port,
            Agent(answer).route("*").serving(listen=LISTEN) as caller,
        ):
            for _ in range(5):
                call = await caller.request(
                    f"sip:+15550100@127.0.0.1:{port}", "INVITE", body=b"v=0\r\n", timeout=10
                )
                answered = await call.final()
                assert answered.status == 200
                assert answered.headers["X-Phone"] == "sip:+15550100@trunk.example"
                await answered.ack()
                bye = await caller.request(method="BYE", dialog=answered.dialog_id, timeout=10)
                assert (await bye.final()).status == 200
            assert (await final(caller, f"sip:alice@127.0.0.1:{port}", "INVITE")).status == 404
    assert len({message["Call-ID"] for message in dead.dropped}) == 1, "the dead one was tried once"
    await dead.close()


async def answer(req: Request, res: Response) -> None:
    """A phone that answers."""
    await res.send(200, headers={"X-Phone": req.msg.uri}, body=b"v=0\r\n" if req.method == "INVITE" else b"")


async def final(agent: Agent, uri: str, method: str) -> IncomingResponse:
    """The final response to a request."""
    return await (await agent.request(uri, method, timeout=10)).final()
