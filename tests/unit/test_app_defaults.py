"""What no handler takes is answered as the table of defaults says, and what a handler leaves open is answered 500 and logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from dracht import App, Request, Response
from dracht.link.memory import Given, MemoryLink

DIALOG = "call-1@192.0.2.1;from-tag=alice"
SDP = b"v=0\r\no=us 1 1 IN IP4 192.0.2.9\r\n"


@asynccontextmanager
async def serve(app: App) -> AsyncIterator[MemoryLink]:
    """The application over a fake link; calls that are left are ended by the other side."""
    app.shutdown_timeout = 0.01
    link = MemoryLink()
    async with app.serving(link=link):
        yield link
        await asyncio.sleep(0)
        for dialog in app.calls:
            link.receive("BYE", dialog=str(dialog), to_tag="local", cseq=9)


def calling() -> App:
    """An application that answers calls with SDP and handles nothing else."""
    app = App()

    @app.invite
    async def invite(req: Request, res: Response) -> None:
        await res.send(200, body=SDP)

    return app


async def answered(link: MemoryLink, method: str, *, dialog: str | None = None, body: bytes = b"") -> Given:
    """What is answered to a request, in the dialog of the call or outside of it."""
    before = len(link.sent("respond"))
    link.receive(method, dialog=dialog, body=body, to_tag="local" if dialog else None, cseq=2)
    return await link.wait_for("respond", before + 1)


@pytest.mark.parametrize(
    ("method", "status"),
    [("REGISTER", 405), ("MESSAGE", 405), ("FOO", 501), ("REFER", 603), ("SUBSCRIBE", 489)],
)
async def test_a_new_request_that_nobody_handles(method: str, status: int) -> None:
    async with serve(calling()) as link:
        given = await answered(link, method)
    assert given.status == status
    if status in (405, 501):
        assert given.headers == [("Allow", "ACK, BYE, CANCEL, INVITE, PRACK")]


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("BYE", 200),
        ("INFO", 200),
        ("OPTIONS", 200),
        ("MESSAGE", 200),
        ("NOTIFY", 200),
        ("UPDATE", 200),
        ("INVITE", 200),
        ("REFER", 603),
        ("SUBSCRIBE", 489),
        ("PUBLISH", 405),
    ],
)
async def test_a_request_within_a_dialog_that_nobody_handles(method: str, status: int) -> None:
    async with serve(calling()) as link:
        await answered(link, "INVITE")
        given = await answered(link, method, dialog=DIALOG)
    assert given.status == status


async def test_options_and_info_packages_are_answered_in_the_application_s_name() -> None:
    async with serve(calling()) as link:
        for dialog in (None, DIALOG):
            given = await answered(link, "OPTIONS", dialog=dialog)
            assert (given.status, dict(given.headers)) == (
                200,
                {
                    "Allow": "ACK, BYE, CANCEL, INVITE, OPTIONS, PRACK",
                    "Supported": "100rel",
                    "Accept": "application/sdp",
                },
            )
        link.receive("INFO", dialog=DIALOG, headers={"Info-Package": "foo"}, to_tag="local")
        refused = await link.wait_for("respond", 3)
        assert (refused.status, refused.headers) == (469, [("Recv-Info", "")])


async def test_a_reinvite_gets_the_sdp_that_this_side_gave() -> None:
    async with serve(calling()) as link:
        await answered(link, "INVITE")
        for method in ("INVITE", "UPDATE"):
            given = await answered(
                link, method, dialog=DIALOG, body=b"v=0\r\no=them 1 2 IN IP4 192.0.2.1\r\n"
            )
            assert (given.status, given.body) == (200, SDP)


async def test_a_reinvite_in_a_dialog_without_a_session_of_ours_gets_488() -> None:
    async with serve(calling()) as link:
        assert (await answered(link, "INVITE", dialog="unknown;from-tag=x")).status == 488


async def test_a_handler_for_reinvites_is_asked_for_by_name() -> None:
    app, seen = calling(), list[bool]()

    @app.invite(in_dialog=True)
    async def reinvite(req: Request, res: Response) -> None:
        seen.append(True)
        await res.send(488)

    async with serve(app) as link:
        assert (await answered(link, "INVITE")).status == 200
        assert (await answered(link, "INVITE", dialog=DIALOG)).status == 488
    assert seen == [True]


async def test_ack_and_cancel_are_not_answered() -> None:
    app, seen = calling(), list[str]()

    @app.ack
    async def ack(req: Request, res: Response) -> None:
        seen.append(req.method)

    async with serve(app) as link:
        invite = link.receive("INVITE")
        await link.wait_for("respond")
        link.receive("ACK", transaction=invite, dialog=DIALOG, to_tag="local")
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(link.sent("respond")) == 1
    assert seen == ["ACK"]


async def test_a_handler_that_returns_without_answering_gets_500_and_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.message
    async def forgetful(req: Request, res: Response) -> None:
        return

    with caplog.at_level(logging.ERROR):
        async with serve(app) as link:
            assert (await answered(link, "MESSAGE")).status == 500
    assert "forgetful (" in caplog.text
    assert "test_app_defaults.py" in caplog.text


async def test_a_handler_of_a_mounted_application_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    app, inner = App(), App()

    @inner.message
    async def deep(req: Request, res: Response) -> None:
        return

    app.use(inner)
    with caplog.at_level(logging.ERROR):
        async with serve(app) as link:
            await answered(link, "MESSAGE")
    assert ".deep (" in caplog.text


async def test_a_traceback_is_logged_and_never_sent(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.message
    async def broken(req: Request, res: Response) -> None:
        raise RuntimeError("the secret of the house")

    with caplog.at_level(logging.ERROR):
        async with serve(app) as link:
            given = await answered(link, "MESSAGE")
    assert given.status == 500
    assert "secret" not in str((given.headers, given.body))
    assert "the secret of the house" in caplog.text
    assert "broken (" in caplog.text
