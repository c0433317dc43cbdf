"""Layers run around handlers in the order they were added, and errors are answered where they leave a layer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from dracht import App, Request, Response, SipError
from dracht.link.memory import Given, MemoryLink
from dracht.middleware import Layer, Next


@asynccontextmanager
async def serve(app: App) -> AsyncIterator[MemoryLink]:
    """The application over a fake link, without a wait for calls at the end."""
    app.shutdown_timeout = 0.01
    link = MemoryLink()
    async with app.serving(link=link):
        yield link


async def answer(link: MemoryLink, method: str, uri: str = "sip:bob@192.0.2.9") -> Given:
    """What the application answers to a new request."""
    before = len(link.sent("respond"))
    link.receive(method, uri)
    return await link.wait_for("respond", before + 1)


async def test_layers_run_around_the_handler_in_the_order_they_were_added() -> None:
    app, told = App(), list[str]()

    @app.message
    async def handler(req: Request, res: Response) -> None:
        told.append("handler")
        await res.send(200)

    def layer(name: str) -> Layer:
        async def run(req: Request, res: Response, next: Next) -> None:
            told.append(f"{name} before")
            await next()
            told.append(f"{name} after {res.status}")

        return run

    app.use([layer("a"), layer("b")])
    app.use("invite", layer("never"))
    app.use(["message", "info"], layer("c"))
    async with serve(app) as link:
        assert (await answer(link, "MESSAGE")).status == 200
        for _ in range(10):
            await asyncio.sleep(0)
    assert told == [
        "a before",
        "b before",
        "c before",
        "handler",
        "c after 200",
        "b after 200",
        "a after 200",
    ]


async def test_a_layer_that_does_not_call_next_keeps_the_handler_out() -> None:
    app = App()

    @app.use
    async def closed(req: Request, res: Response, next: Next) -> None:
        await res.send(403)

    @app.message
    async def handler(req: Request, res: Response) -> None:
        raise AssertionError("not reached")

    async with serve(app) as link:
        assert (await answer(link, "MESSAGE")).status == 403


async def test_a_mounted_application_takes_what_its_predicate_lets_in_and_has_a_handler_for() -> None:
    app, tenant, seen = App(), App(), list[str]()

    @app.message
    async def outer(req: Request, res: Response) -> None:
        await res.send(200, headers={"X-By": "outer"})

    @app.options
    async def options(req: Request, res: Response) -> None:
        await res.send(200, headers={"X-By": "outer"})

    @tenant.use
    async def around(req: Request, res: Response, next: Next) -> None:
        seen.append(req.method)
        await next()

    @tenant.message
    async def inner(req: Request, res: Response) -> None:
        await res.send(200, headers={"X-By": "tenant"})

    app.use(tenant, when=lambda req: req.uri.host == "a.example")
    async with serve(app) as link:
        by = [
            dict((await answer(link, method, uri=f"sip:x@{host}")).headers)["X-By"]
            for method, host in (("MESSAGE", "a.example"), ("MESSAGE", "b.example"), ("OPTIONS", "a.example"))
        ]
    assert by == ["tenant", "outer", "outer"]
    assert seen == ["MESSAGE", "OPTIONS"]


async def test_an_error_is_answered_where_it_leaves_a_layer_and_layers_outside_see_the_status() -> None:
    app, seen = App(), list[int]()

    @app.use
    async def watching(req: Request, res: Response, next: Next) -> None:
        await next()
        seen.append(res.status)

    @app.use("register")
    async def refusing(req: Request, res: Response, next: Next) -> None:
        raise SipError(401, headers={"WWW-Authenticate": 'Digest realm="a"'})

    @app.message
    async def refused(req: Request, res: Response) -> None:
        raise SipError(404)

    async with serve(app) as link:
        given = await answer(link, "REGISTER")
        assert (given.status, given.headers) == (401, [("WWW-Authenticate", 'Digest realm="a"')])
        assert (await answer(link, "MESSAGE")).status == 404
    assert seen == [401, 404]


async def test_error_handlers_are_found_by_status_then_by_the_nearest_class() -> None:
    app = App()
    raised: list[Exception] = [ConnectionResetError("gone"), KeyError("x"), SipError(404), SipError(403)]

    @app.message
    async def handler(req: Request, res: Response) -> None:
        raise raised.pop(0)

    @app.error(ConnectionError)
    async def backend_down(req: Request, res: Response, error: Exception) -> None:
        await res.send(503, headers={"Retry-After": "30"})

    @app.error(LookupError)
    def not_found(req: Request, res: Response, error: Exception) -> None:
        res.send(480)

    @app.error(404)
    async def moved(req: Request, res: Response, error: SipError) -> None:
        await res.send(302, headers={"Contact": "<sip:elsewhere.example>"})

    async with serve(app) as link:
        assert [(await answer(link, "MESSAGE")).status for _ in range(4)] == [503, 480, 302, 403]


async def test_an_error_of_a_mounted_application_comes_to_its_own_handlers_before_the_outer_ones() -> None:
    app, inner = App(), App()
    raised: list[Exception] = [KeyError("x"), ValueError("x")]

    @inner.message
    async def handler(req: Request, res: Response) -> None:
        raise raised.pop(0)

    @inner.error(KeyError)
    async def own(req: Request, res: Response, error: Exception) -> None:
        await res.send(404)

    @app.error(Exception)
    async def outer(req: Request, res: Response, error: Exception) -> None:
        await res.send(502)

    app.use(inner)
    async with serve(app) as link:
        assert [(await answer(link, "MESSAGE")).status for _ in range(2)] == [404, 502]


async def test_a_plain_function_may_be_a_handler() -> None:
    app = App()

    @app.on("MESSAGE", "INFO")
    def handler(req: Request, res: Response) -> None:
        res.send(200)

    async with serve(app) as link:
        assert (await answer(link, "MESSAGE")).status == 200
        assert (await answer(link, "INFO")).status == 200


async def test_a_layer_as_an_object_with_an_async_call_is_accepted() -> None:
    class Stamp:
        async def __call__(self, req: Request, res: Response, next: Next) -> None:
            res.headers["X-Stamp"] = "1"
            await next()

    app = App()
    app.use(Stamp())
    async with serve(app) as link:
        given = await answer(link, "MESSAGE")
    assert ("X-Stamp", "1") in given.headers


def test_what_cannot_work_is_refused_when_it_is_registered() -> None:
    app = App()

    def not_async(req: Request, res: Response, next: Next) -> None: ...

    async def handler(req: Request, res: Response) -> None: ...

    with pytest.raises(TypeError, match="async def"):
        app.use(not_async)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="a layer takes"):
        app.use(handler)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="a layer, which takes `next`"):
        app.invite(not_async)  # type: ignore[type-var]
    app.invite(handler)
    with pytest.raises(ValueError, match=r"INVITE has a handler already, .*handler.*test_app_onion.py"):
        app.invite(handler)
    with pytest.raises(TypeError, match="exception classes and statuses"):
        app.error("404")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="in itself"):
        app.use(app)


async def test_nothing_can_be_added_while_it_serves() -> None:
    app = App()
    async with serve(app):
        with pytest.raises(RuntimeError, match="before it starts"):
            app.use(lambda: None)  # type: ignore[type-var]


async def test_an_error_in_an_error_handler_is_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.message
    async def handler(req: Request, res: Response) -> None:
        raise KeyError("first")

    @app.error(KeyError)
    async def broken(req: Request, res: Response, error: Exception) -> None:
        raise RuntimeError("second")

    with caplog.at_level(logging.ERROR):
        async with serve(app) as link:
            given = await answer(link, "MESSAGE")
    assert given.status == 500
    assert "second" in caplog.text
