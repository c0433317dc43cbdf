"""An application starts with its lifespan, asks for what it handles, drains at its end, and leaves no call behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from dracht import App, Request, RequestTimeout, Response, Uri
from dracht.link.memory import MemoryLink

DIALOG = "call-1@192.0.2.1;from-tag=alice"


def answering() -> App:
    """An application that answers calls, and waits for none at its end."""
    app = App(shutdown_timeout=0.01)

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await res.send(200)

    return app


async def turns(count: int = 20) -> None:
    """Lets the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_lifespans_are_entered_before_and_left_after_and_give_state() -> None:
    told: list[str] = []

    @asynccontextmanager
    async def outer(app: App) -> AsyncIterator[dict[str, int]]:
        told.append("outer in")
        yield {"pool": 1}
        told.append("outer out")

    @asynccontextmanager
    async def inner(app: App) -> AsyncIterator[None]:
        told.append("inner in")
        yield
        told.append("inner out")

    app, mounted = App(lifespan=outer), App(lifespan=inner)
    app.use(mounted)
    async with app.serving(link=MemoryLink()):
        assert app.state.pool == 1
        told.append("served")
    assert told == ["outer in", "inner in", "served", "inner out", "outer out"]


async def test_a_call_is_counted_from_its_200_to_its_bye() -> None:
    app, link = answering(), MemoryLink()
    async with app.serving(link=link):
        link.receive("INVITE")
        await turns()
        assert [str(dialog) for dialog in app.calls] == [DIALOG]
        link.receive("BYE", dialog=DIALOG, to_tag="local", cseq=2)
        await turns()
        assert len(app.calls) == 0


async def test_draining_refuses_new_calls_and_waits_for_those_that_run() -> None:
    app, link = answering(), MemoryLink()
    async with app.serving(link=link):
        invite = link.receive("INVITE")
        await turns()
        link.receive("ACK", transaction=invite, dialog=DIALOG, to_tag="local")
        draining = asyncio.create_task(app.drain(5))
        await turns()
        link.receive("INVITE", call_id="call-2@192.0.2.1")
        refusal = await link.wait_for("respond", 2)
        assert refusal.status == 503
        assert ("Retry-After", "10") in refusal.headers
        assert not draining.done()
        link.receive("BYE", dialog=DIALOG, to_tag="local", cseq=2)
        assert (await link.wait_for("respond", 3)).status == 200
        assert await draining


async def test_at_the_end_calls_that_did_not_end_get_a_bye() -> None:
    app, link = answering(), MemoryLink()

    async def answer_bye() -> None:
        async with asyncio.timeout(5):  # shutdown_timeout, of the loop's real clock, goes before it
            while not link.sent("request"):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        (bye,) = link.sent("request")
        await turns(2)
        link.respond_to(bye, 200, dialog=DIALOG)

    async with app.serving(link=link):
        invite = link.receive("INVITE")
        await turns()
        link.receive("ACK", transaction=invite, dialog=DIALOG, to_tag="local")
        leaving = asyncio.create_task(app._shut_down(app.agent))
        await answer_bye()
        await leaving
        assert len(app.calls) == 0
    bye = link.sent("request")[0]
    assert (bye.method, bye.dialog) == ("BYE", DIALOG)
    assert dict(bye.headers)["Reason"] == 'SIP ;cause=503 ;text="Shutdown"'


async def test_a_lost_link_takes_its_calls_with_it() -> None:
    app, link = answering(), MemoryLink()
    async with app.serving(link=link):
        link.receive("INVITE")
        await turns()
        link.lose()
        assert len(app.calls) == 0


async def test_a_request_of_ours_needs_an_application_that_serves() -> None:
    with pytest.raises(RuntimeError, match="does not serve"):
        await App().request("sip:bob@192.0.2.1")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, ValueError, "exactly one of listen"),
        ({"listen": "sip:a", "connect": "tcp://b"}, ValueError, "exactly one of listen"),
        ({"listen": "sip:a", "accept": "tcp://b"}, ValueError, "exactly one of listen"),
        ({"accept": "http://127.0.0.1:3001"}, ValueError, "tcp://"),
    ],
)
async def test_link_options_that_cannot_work_are_named(
    options: dict[str, str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        async with App().serving(**options):  # type: ignore[arg-type]
            pass


def test_a_connected_application_asks_for_what_it_handles() -> None:
    app = answering()
    app.on("MESSAGE", "FOO")(lambda req, res: None)
    assert app._routes(embedded=False) == ["FOO", "INVITE", "MESSAGE"]
    assert app._routes(embedded=True) == ["*"]
    app.ack(lambda req, res: None)
    assert app._routes(embedded=True) == ["*", "ACK"]


async def test_a_bye_that_overtakes_a_lost_ack_ends_the_wait_for_it() -> None:
    app, link, told = App(), MemoryLink(), []

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        sent = await res.send(200)
        with pytest.raises(RequestTimeout):
            await sent.acked()
        told.append("not acknowledged")

    async with app.serving(link=link):
        link.receive("INVITE")
        await link.wait_for("respond")
        await turns()
        link.receive("BYE", dialog=DIALOG, to_tag="local", cseq=2)
        await turns()
        assert told == ["not acknowledged"]
        assert app.agent.idle


@pytest.mark.parametrize(("contact", "status"), [("junk", 400), ("<sip:a@192.0.2.1>", 500)])
async def test_what_a_peer_wrote_wrongly_gets_400_and_a_fault_of_the_application_500(
    contact: str, status: int
) -> None:
    app, link = App(), MemoryLink()

    @app.register
    async def register(req: Request, res: Response) -> None:
        assert [contact.uri for contact in req.contacts]
        Uri.parse("no scheme")

    async with app.serving(link=link):
        link.receive("REGISTER", headers={"Contact": contact})
        assert (await link.wait_for("respond")).status == status
