"""A subscription keeps itself alive, says how it ended, and begins again when RFC 6665 §4.1.3 allows.

No test sleeps: a loop with a clock of its own lets hours pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from dracht import Agent, ConnectionLost, RequestRefused
from dracht.link.memory import Given, MemoryLink
from dracht.subscription import Subscription

from tests.unit.clock import clocked

Play = Callable[[Agent, MemoryLink], Coroutine[Any, Any, None]]


async def nobody(req: Any, res: Any) -> None:
    """NOTIFYs that belong to nothing come here."""
    res.send(481)


def played(play: Play) -> None:
    """Runs a test with an agent on a link without an engine, under a clock of its own."""

    async def run() -> None:
        link = MemoryLink()
        agent = Agent(nobody)
        await agent.attach(link)
        await play(agent, link)
        await agent.close()

    clocked(run())


def header(given: Given, name: str) -> str:
    return next((value for key, value in given.headers if key == name), "")


async def given_request(link: MemoryLink, count: int) -> Given:
    """The request of that number, once the agent knows that it is on the wire."""
    while len(link.sent("request")) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.5)  # of the loop's own clock
    for _ in range(3):
        await asyncio.sleep(0)
    return link.sent("request")[count - 1]


class Notifier:
    """Answers the SUBSCRIBEs of a link, and sends NOTIFYs."""

    def __init__(self, link: MemoryLink) -> None:
        self.link = link
        self.number = 0
        self.cseq = 0
        self.first: Given | None = None

    async def asked(self) -> Given:
        """The next SUBSCRIBE; what it is about, too."""
        self.number += 1
        given = await given_request(self.link, self.number)
        assert given.method == "SUBSCRIBE"
        if given.dialog is None:
            self.first = given
        return given

    async def accept(self, expires: int | None = None) -> Given:
        given = await self.asked()
        granted = header(given, "Expires") if expires is None else str(expires)
        self.link.respond_to(given, 200, headers={"Expires": granted}, dialog=f"d{self.dialog}")
        return given

    async def refuse(self, status: int, **headers: str) -> Given:
        given = await self.asked()
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.link.respond_to(given, status, headers=fields)
        return given

    @property
    def dialog(self) -> int:
        assert self.first is not None
        return int(self.first.transaction)

    def notify(
        self, state: str, body: str = "", *, event: str = "presence", tag: str = "remote"
    ) -> Given | None:
        """A NOTIFY; returns what it is answered with, if it is answered at once."""
        self.cseq += 1
        before = len(self.link.sent("respond"))
        self.link.receive(
            "NOTIFY",
            headers={"Event": event, "Subscription-State": state},
            body=body,
            dialog=f"d{self.dialog}",
            call_id=f"call-{self.dialog}@192.0.2.9",
            cseq=self.cseq,
            to_tag=f"t{self.dialog}",
            from_tag=tag,
        )
        answers = self.link.sent("respond")
        return answers[-1] if len(answers) > before else None


async def begun(agent: Agent, notifier: Notifier, **options: Any) -> Subscription:
    """A subscription that is accepted and active, for 600 seconds."""
    subscription = agent.subscribe("sip:bob@192.0.2.1", event="presence", expires=600, **options)
    starting = asyncio.ensure_future(subscription.start())
    await notifier.accept()
    await starting
    notifier.notify("active;expires=600", "hello")
    assert (await anext(subscription)).body == b"hello"
    return subscription


async def ended(subscription: Subscription) -> str:
    """Reads to the end; how it ended."""
    async for _ in subscription:
        pass
    assert subscription.over is not None
    return subscription.over.reason


def test_it_is_refreshed_at_about_nine_tenths_of_the_time_granted() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        loop = asyncio.get_running_loop()
        subscription = await begun(agent, notifier)
        for _ in range(20):
            began = loop.time()
            await asyncio.sleep(500)
            assert len(link.sent("request")) == notifier.number, "not before"
            refresh = await notifier.accept()
            assert refresh.dialog == f"d{notifier.dialog}"
            assert refresh.uri == ""
            assert (header(refresh, "Event"), header(refresh, "Expires")) == ("presence", "600")
            assert 510 <= loop.time() - began <= 565
            await asyncio.sleep(0)
            notifier.notify("active;expires=600")
        assert subscription.over is None
        assert subscription.expires_in == 600
        await unsubscribed(subscription, notifier)

    played(play)


async def unsubscribed(subscription: Subscription, notifier: Notifier) -> None:
    leaving = asyncio.ensure_future(subscription.unsubscribe())
    assert header(await notifier.accept(), "Expires") == "0"
    await asyncio.sleep(0.1)
    notifier.notify("terminated;reason=timeout")
    await leaving
    assert subscription.over is not None


def test_the_shorter_time_of_a_notify_counts() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier)
        notifier.notify("active;expires=100")
        await notifier.accept()
        await asyncio.sleep(0.01)
        assert subscription.expires_in > 590
        assert asyncio.get_running_loop().time() < 1095
        await unsubscribed(subscription, notifier)

    played(play)


def test_leaving_the_block_unsubscribes_and_gives_up_after_a_while() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier)
        before = asyncio.get_running_loop().time()
        async with subscription:
            pass
        assert header(await notifier.asked(), "Expires") == "0"
        assert asyncio.get_running_loop().time() - before == pytest.approx(5)
        assert await ended(subscription) == "unsubscribed"
        late = notifier.notify("active;expires=600")
        assert late is not None
        assert late.status == 481, "what is over here is over there"

    played(play)


@pytest.mark.parametrize(
    "reason", ["deactivated", "rejected", "noresource", "giveup", "timeout", "invariant"]
)
def test_the_last_notify_ends_it_and_says_why(reason: str) -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier)
        notifier.notify(f"terminated;reason={reason};retry-after=7", "bye")
        last = await anext(subscription)
        assert (last.state, last.reason, last.body) == ("terminated", reason, b"bye")
        assert await ended(subscription) == reason
        assert subscription.over is not None
        assert subscription.over.retry_after == 7

    played(play)


@pytest.mark.parametrize(
    ("reason", "least", "most"),
    [
        ("deactivated", 0, 1),
        ("timeout", 0, 1),
        ("probation", 60, 61),
        ("giveup;retry-after=7", 7, 8),
        # Of these two the time has no meaning (RFC 6665 §4.1.3).
        ("deactivated;retry-after=900", 0, 1),
        ("timeout;retry-after=900", 0, 1),
    ],
)
def test_it_begins_again_when_asked_to(reason: str, least: float, most: float) -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier, retry=True)
        old = notifier.dialog
        await asyncio.sleep(100)
        notifier.notify(f"terminated;reason={reason}")
        assert (await anext(subscription)).state == "terminated"
        began = asyncio.get_running_loop().time()
        again = await notifier.accept()
        assert again.dialog is None
        assert notifier.dialog != old, "a new dialog"
        assert least <= asyncio.get_running_loop().time() - began <= most + 1
        notifier.notify("active;expires=600", "again")
        assert (await anext(subscription)).body == b"again"
        await unsubscribed(subscription, notifier)

    played(play)


def test_it_does_not_begin_again_when_that_makes_no_sense() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier, retry=True)
        notifier.notify("terminated;reason=noresource")
        assert await ended(subscription) == "noresource"
        await asyncio.sleep(10_000)
        assert len(link.sent("request")) == 1

    played(play)


def test_a_notifier_that_ends_it_at_once_is_not_asked_in_a_circle() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier, retry=True)
        began = asyncio.get_running_loop().time()
        for _ in range(10):
            notifier.notify("terminated;reason=deactivated")
            await notifier.accept()
            await asyncio.sleep(0.01)
        pauses = asyncio.get_running_loop().time() - began
        assert pauses >= 500, "longer each time"
        await subscription.unsubscribe(timeout=0.1)

    played(play)


def test_without_a_notify_it_is_over() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        starting = asyncio.ensure_future(agent.subscribe("sip:bob@192.0.2.1", event="presence").start())
        await notifier.accept()
        subscription = await starting
        assert await ended(subscription) == "no-notify"

    played(play)


def test_a_notify_that_overtakes_the_answer_counts() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        starting = asyncio.ensure_future(agent.subscribe("sip:bob@192.0.2.1", event="presence").start())
        given = await notifier.asked()
        await asyncio.sleep(0)
        early = notifier.notify("active;expires=50", "early")
        assert early is not None
        assert early.status == 200
        link.respond_to(given, 200, headers={"Expires": "3600"}, dialog=f"d{notifier.dialog}")
        subscription = await starting
        assert (await anext(subscription)).body == b"early"
        assert subscription.expires_in == 50, "what a NOTIFY says counts"
        await subscription.unsubscribe(timeout=0.1)

    played(play)


def test_another_fork_is_refused() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier)
        other = notifier.notify("active;expires=600", tag="another")
        assert other is not None
        assert other.status == 481
        await unsubscribed(subscription, notifier)

    played(play)


def test_another_event_goes_to_the_handler() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        seen: list[str] = []

        async def handler(req: Any, res: Any) -> None:
            seen.append(req.headers["Event"])
            res.send(200)

        agent.handler = handler
        notifier = Notifier(link)
        subscription = await begun(agent, notifier)
        notifier.notify("active", event="presence;id=2")
        notifier.notify("active", event="dialog")
        await asyncio.sleep(0)
        assert seen == ["presence;id=2", "dialog"]
        await unsubscribed(subscription, notifier)

    played(play)


def test_a_refusal_is_raised() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        starting = asyncio.ensure_future(agent.subscribe("sip:bob@192.0.2.1", event="x").start())
        await notifier.refuse(489)
        with pytest.raises(RequestRefused) as refused:
            await starting
        assert refused.value.status == 489
        assert not agent._dispatchers[0].watchers, "nothing is left"

    played(play)


def test_an_interval_too_brief_is_made_longer() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        starting = asyncio.ensure_future(
            agent.subscribe("sip:bob@192.0.2.1", event="presence", expires=10).start()
        )
        await notifier.refuse(423, Min_Expires="120")
        assert header(await notifier.accept(), "Expires") == "120"
        subscription = await starting
        notifier.notify("active")
        assert subscription.expires_in == 120
        await subscription.unsubscribe(timeout=0.1)

    played(play)


@pytest.mark.parametrize(("status", "reason"), [(481, "refused"), (489, "refused")])
def test_a_refresh_that_the_notifier_does_not_know_ends_it(status: int, reason: str) -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier)
        await notifier.refuse(status)
        assert await ended(subscription) == reason
        assert subscription.over is not None
        assert subscription.over.status == status

    played(play)


def test_a_refresh_that_fails_is_tried_again_in_what_is_left() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier)
        tries = 0
        while subscription.over is None:
            await asyncio.sleep(0.5)
            if len(link.sent("request")) > notifier.number:
                await notifier.refuse(503)
                tries += 1
        assert tries >= 3
        assert await ended(subscription) == "expired"

    played(play)


def test_who_does_not_read_loses_the_oldest() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier, backlog=3)
        for number in range(10):
            notifier.notify("active;expires=600", str(number))
        assert [(await anext(subscription)).body for _ in range(3)] == [b"7", b"8", b"9"]
        assert subscription.dropped == 7
        await subscription.unsubscribe(timeout=0.1)

    played(play)


def test_a_lost_link_is_raised() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        subscription = await begun(agent, notifier)
        reading = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0)
        link.lose()
        with pytest.raises(ConnectionLost):
            await reading
        await subscription.unsubscribe()
        assert not agent._dispatchers[0].watchers

    played(play)


def test_what_the_engine_ends_is_over() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        notifier = Notifier(link)
        ends: list[Any] = []
        agent.on_subscription_ended(ends.append)
        subscription = await begun(agent, notifier)
        agent._dispatchers[0].subscription_ended(f"d{notifier.dialog}", "presence", False, "expired")
        assert await ended(subscription) == "expired"
        assert [(one.event, one.is_notifier, one.reason) for one in ends] == [("presence", False, "expired")]

    played(play)
