"""What an application gives wrongly is refused where it is given, with what to give instead, and spoils nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from dracht import Agent, App, Request, Response, SipError
from dracht.middleware import DigestAuth, Next

from tests.unit.serving import serving, settled


async def layer(req: Request, res: Response, next: Next) -> None:
    await next()


async def handler(req: Request, res: Response) -> None:
    await res.send(200)


async def never(req: Request) -> bool:
    return False


def password(user: str, realm: str) -> None: ...


def wrong(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """What a call with these arguments is refused with."""
    with pytest.raises((TypeError, ValueError)) as caught:
        function(*arguments, **options)
    return f"{caught.type.__name__}: {caught.value}"


@pytest.mark.parametrize(
    "name", ["invte", "nvite", "INVIT", "invites", "registr", "option", "ok-bye bye", "FOO BAR", ""]
)
def test_a_misspelt_method_registers_nothing(name: str) -> None:
    app = App()
    for call in (
        lambda: app.use(name, DigestAuth(password, realm="a.example")),
        lambda: app.use(name),
        lambda: app.on(name),
        lambda: Agent(handler).route("bye", name),
    ):
        with pytest.raises(
            (ValueError, TypeError), match=r"did you mean '|cannot be a SIP method|given by name"
        ):
            call()
    assert not app._stack.entries
    assert "did you mean 'invite'" in wrong(app.on, "invte")


def test_a_star_is_no_method_of_an_application_and_all_of_them_for_an_agent() -> None:
    assert "app.use(layer)" in wrong(App().use, "*", layer)
    assert list(Agent(handler).route("*", "cdr:start", " INVITE ").routes) == ["*", "cdr:start", "invite"]


def test_an_extension_method_is_allowed_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        App().on("ping", "BENOTIFY")(handler)
    assert [record.getMessage().partition(" is")[0] for record in caplog.records] == ["PING"]


def test_methods_are_texts() -> None:
    assert wrong(Agent(handler).route, 5) == "TypeError: a SIP method is given by name, as 'invite', not 5"
    assert "given by name" in wrong(App().use, 5, layer)


def test_a_predicate_is_a_plain_function_of_the_request() -> None:
    app = App()
    assert "not True" in wrong(app.use, layer, when=True)
    assert "a coroutine is always true" in wrong(app.use, layer, when=never)
    assert "takes (req)" in wrong(app.use, layer, when=lambda: True)
    app.use(layer, when=lambda req: True)


def test_digest_takes_a_function_and_several_algorithms() -> None:
    told = wrong(DigestAuth, {"alice": "wonderland"}, realm="a.example")
    assert "TypeError: password_for= takes a function" in told
    assert "lambda user, realm: passwords.get(user)" in told
    assert 'as ("SHA-256", "MD5"), not \'MD5\'' in wrong(DigestAuth, password, realm="a", algorithms="MD5")
    assert "qop= takes several texts" in wrong(DigestAuth, password, realm="a", qop="auth")
    assert "not 5 among them" in wrong(DigestAuth, password, realm="a", algorithms=["MD5", 5])


def test_a_sip_error_that_could_not_be_sent_is_not_made() -> None:
    assert wrong(SipError, "404") == "TypeError: SipError takes a status that is a number, as 404, not '404'"
    assert wrong(SipError, 404, "a\r\nb") == "ValueError: a reason phrase has no line breaks: 'a\\r\\nb'"
    assert wrong(SipError, 404, 5) == "TypeError: a reason phrase is text, not 5"
    assert "header fields are a mapping" in wrong(SipError, 404, headers="x")
    assert "header fields are a mapping" in wrong(SipError, 404, headers=5)


async def test_an_answer_of_the_wrong_kind_is_refused_and_another_can_be_sent() -> None:
    told: list[str] = []

    async def mistaken(req: Request, res: Response) -> None:
        told.extend(
            (
                wrong(res.send, "200"),
                wrong(res.send, 404, 5),
                wrong(res.send, 404, body={"a": 1}),
                wrong(res.send, 404, body={}),
                wrong(res.send, 404, headers=["X: y"]),
                wrong(res.send, 404, headers=5),
                wrong(res.send, 404, headers={5: "x"}),
            )
        )
        await res.send(480)

    async with serving(mistaken) as (agent, link):
        link.receive("INVITE")
        await settled(agent)
        assert [one.status for one in link.given] == [480]
    assert told == [
        "TypeError: a response has a status that is a number, as 200, not '200'",
        "TypeError: a reason phrase is text, not 5",
        "TypeError: a body is text or bytes, not {'a': 1}",
        "TypeError: a body is text or bytes, not {}",
        'TypeError: a header field is a pair, as ("X-Name", "value"), not \'X: y\'',
        'TypeError: header fields are a mapping, as {"X-Name": "value"}, or pairs, not 5',
        "HeaderError: 5 cannot be the name of a header field (RFC 3261 §25.1, token)",
    ]
