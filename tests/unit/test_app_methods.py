"""`app.subscribe`, `app.refer` and `app.publish` register a handler when they are given one, and ask when they are given whom."""

from __future__ import annotations

import pytest
from dracht import App, Request, Response, SubscriptionEnd, accept_refer
from dracht.link.memory import MemoryLink
from dracht.publication import Publication
from dracht.referral import Referral
from dracht.subscription import Subscription


async def take(req: Request, res: Response) -> None:
    await res.send(202)


def test_with_a_function_each_is_a_decorator() -> None:
    app = App()
    assert app.subscribe(take) is take
    assert app.refer(in_dialog=True)(take) is take
    assert app.publish()(take) is take
    with pytest.raises(ValueError, match="SUBSCRIBE has a handler already"):
        app.subscribe(take)


async def test_with_whom_to_ask_each_asks() -> None:
    app, link = App(shutdown_timeout=0.01), MemoryLink()
    app.subscribe(take)
    async with app.serving(link=link):
        subscription = app.subscribe("sip:bob@example.com", event="presence", expires=600)
        referral = app.refer("sip:bob@example.com", refer_to="sip:carol@example.com")
        publication = app.publish(
            "sip:bob@example.com", "<presence/>", event="presence", content_type="application/pidf+xml"
        )
        assert isinstance(subscription, Subscription)
        assert isinstance(referral, Referral)
        assert isinstance(publication, Publication)
        # What is not awaited asks nobody.
        assert not link.sent("request")


def test_what_is_neither_is_refused_with_both_spellings() -> None:
    app = App()
    for method, needed in ((app.subscribe, "event"), (app.refer, "refer_to"), (app.publish, "event")):
        with pytest.raises(TypeError, match=rf"takes a handler, as @app\.\w+, or .*{needed}="):
            method("sip:bob@example.com")  # type: ignore[call-overload]


async def test_an_application_that_does_not_serve_cannot_ask() -> None:
    with pytest.raises(RuntimeError, match="does not serve"):
        App().subscribe("sip:bob@example.com", event="presence")


def test_the_names_of_the_package_are_there() -> None:
    import dracht

    for name in dracht.__all__:
        assert getattr(dracht, name) is not None, name
    assert accept_refer.__module__ == "dracht.referral"
    assert SubscriptionEnd.__module__ == "dracht.notices"
