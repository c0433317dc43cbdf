"""A publication is kept while its block lasts; a compositor keeps what it was given for as long as it said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dracht import Agent, ConnectionLost, RequestRefused
from dracht.compositor import Publications, PublishedState
from dracht.link.memory import Given, MemoryLink
from dracht.publication import Publication

from tests.unit.test_subscription import given_request, header, played

KIND = "application/pidf+xml"


class Compositor:
    """Answers the PUBLISHes of a link."""

    def __init__(self, link: MemoryLink) -> None:
        self.link = link
        self.number = 0

    async def answer(
        self, status: int = 200, *, etag: str = "", expires: int | None = None, **headers: str
    ) -> Given:
        self.number += 1
        given = await given_request(self.link, self.number)
        assert (given.method, header(given, "Event")) == ("PUBLISH", "presence")
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if status == 200:
            granted = header(given, "Expires") if expires is None else str(expires)
            fields |= {"SIP-ETag": etag or f"tag{self.number}", "Expires": granted}
        self.link.respond_to(given, status, headers=fields)
        await asyncio.sleep(0)
        return given


async def published(agent: Agent, compositor: Compositor, **options: Any) -> Publication:
    publication = agent.publish(
        "sip:alice@192.0.2.1", "<open/>", event="presence", content_type=KIND, **options
    )
    starting = asyncio.ensure_future(publication.start())
    first = await compositor.answer(expires=600)
    assert (first.body, header(first, "Content-Type"), header(first, "SIP-If-Match")) == (
        b"<open/>",
        KIND,
        "",
    )
    return await starting


async def removed(publication: Publication, compositor: Compositor) -> None:
    leaving = asyncio.ensure_future(publication.remove())
    last = await compositor.answer()
    assert (header(last, "Expires"), last.body) == ("0", b"")
    await leaving


def test_it_is_refreshed_without_a_body_and_removed_at_the_end() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        compositor = Compositor(link)
        publication = await published(agent, compositor)
        for number in range(1, 10):
            await asyncio.sleep(510)
            assert len(link.sent("request")) == number, "not before"
            refresh = await compositor.answer(expires=600)
            assert (refresh.body, header(refresh, "SIP-If-Match")) == (b"", f"tag{number}")
        await removed(publication, compositor)
        await asyncio.sleep(10_000)
        assert len(link.sent("request")) == compositor.number

    played(play)


def test_a_change_carries_the_state_and_the_tag() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        compositor = Compositor(link)
        publication = await published(agent, compositor)
        changing = asyncio.ensure_future(publication.modify("<closed/>"))
        change = await compositor.answer(etag="second")
        await changing
        assert (change.body, header(change, "SIP-If-Match")) == (b"<closed/>", "tag1")
        assert publication.etag == "second"
        await removed(publication, compositor)

    played(play)


def test_what_the_compositor_forgot_is_published_anew() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        compositor = Compositor(link)
        publication = await published(agent, compositor)
        await compositor.answer(412)
        again = await compositor.answer(etag="anew")
        assert (again.body, header(again, "SIP-If-Match")) == (b"<open/>", "")
        await asyncio.sleep(0.01)
        assert publication.etag == "anew"
        await removed(publication, compositor)

    played(play)


def test_an_interval_too_brief_is_made_longer() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        compositor = Compositor(link)
        publication = agent.publish(
            "sip:alice@192.0.2.1", "x", event="presence", content_type=KIND, expires=10
        )
        starting = asyncio.ensure_future(publication.start())
        await compositor.answer(423, Min_Expires="90")
        assert header(await compositor.answer(), "Expires") == "90"
        await starting
        await removed(publication, compositor)

    played(play)


def test_a_compositor_that_fails_for_a_while_is_asked_again_and_one_that_refuses_is_not() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        compositor = Compositor(link)
        publication = await published(agent, compositor)
        for _ in range(5):
            await compositor.answer(503)
        await compositor.answer(etag="back")
        await asyncio.sleep(0.01)
        assert publication.etag == "back"
        assert publication.error is None
        await compositor.answer(403)
        with pytest.raises(RequestRefused):
            await publication.lost()
        await publication.remove()

    played(play)


def test_a_refusal_and_a_lost_link_are_raised() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        compositor = Compositor(link)
        publication = agent.publish("sip:alice@192.0.2.1", "x", event="presence", content_type=KIND)
        starting = asyncio.ensure_future(publication.start())
        await compositor.answer(489)
        with pytest.raises(RequestRefused):
            await starting
        kept = await published(agent, compositor)
        link.lose()
        await asyncio.sleep(600)
        with pytest.raises(ConnectionLost):
            await kept.lost()
        await kept.remove()

    played(play)


# ---- the other end


class Desk:
    """A compositor of ours on a link, and what it told."""

    def __init__(self, agent: Agent, link: MemoryLink, **options: Any) -> None:
        self.link = link
        self.told: list[tuple[str, str, list[bytes]]] = []
        self.publications = Publications({"presence": [KIND]}, on_change=self.changed, **options)
        agent.handler = self.publications

    def changed(self, resource: str, event: str, states: list[PublishedState]) -> None:
        self.told.append((resource, event, [state.body for state in states]))

    async def publish(self, body: str = "", *, event: str = "presence", **headers: str) -> Given:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if event:
            fields["Event"] = event
        if body:
            fields.setdefault("Content-Type", KIND)
        count = len(self.link.sent("respond"))
        self.link.receive("PUBLISH", "sip:alice@EXAMPLE.org;transport=tcp", headers=fields, body=body)
        return await self.link.wait_for("respond", count + 1)


def test_a_compositor_keeps_changes_and_forgets() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        desk = Desk(agent, link)
        first = await desk.publish("one", Expires="100")
        assert (first.status, header(first, "Expires")) == (200, "100")
        second = await desk.publish("two", Expires="200")
        tags = [header(one, "SIP-ETag") for one in (first, second)]
        assert len(set(tags)) == 2
        states = desk.publications.states("sip:alice@example.org", "presence")
        assert [(state.resource, state.body) for state in states] == [
            ("alice@example.org", b"one"),
            ("alice@example.org", b"two"),
        ]
        # A refresh has a tag of its own, changes nothing, and makes the old tag void.
        refresh = await desk.publish(SIP_If_Match=tags[0], Expires="300")
        assert refresh.status == 200
        assert header(refresh, "SIP-ETag") not in tags
        assert (await desk.publish(SIP_If_Match=tags[0])).status == 412
        changed = await desk.publish("three", SIP_If_Match=tags[1], Expires="60")
        assert changed.status == 200
        gone = await desk.publish(SIP_If_Match=header(refresh, "SIP-ETag"), Expires="0")
        assert (gone.status, header(gone, "Expires")) == (200, "0")
        assert len(desk.publications) == 1
        await asyncio.sleep(61)
        assert len(desk.publications) == 0
        assert desk.publications._kept == {}
        assert [states for _, _, states in desk.told] == [
            [b"one"],
            [b"one", b"two"],
            [b"one", b"three"],
            [b"three"],
            [],
        ]

    played(play)


def test_a_compositor_refuses_what_it_should() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        desk = Desk(agent, link, limit=1)
        for event in ("dialog", ""):
            refused = await desk.publish("x", event=event)
            assert (refused.status, header(refused, "Allow-Events")) == (489, "presence")
        brief = await desk.publish("x", Expires="59")
        assert (brief.status, header(brief, "Min-Expires")) == (423, "60")
        assert (await desk.publish("x", Expires="nonsense")).status == 400
        assert (await desk.publish()).status == 400
        assert (await desk.publish("x", SIP_If_Match="unknown")).status == 412
        assert (await desk.publish("x", SIP_If_Match="a, b")).status == 400
        other = await desk.publish("x", Content_Type="text/plain")
        assert (other.status, header(other, "Accept")) == (415, KIND)
        assert (await desk.publish("x" * 65_537)).status == 413
        long = await desk.publish("x", Expires="999999")
        assert (long.status, header(long, "Expires")) == (200, "3600")
        full = await desk.publish("y")
        assert (full.status, header(full, "Retry-After")) == (503, "60")
        desk.publications.clear()
        assert (await desk.publish("y")).status == 200

    played(play)
