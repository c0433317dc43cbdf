"""A REFER is followed to its outcome; its recipient tells how the call goes, and learns whom to call and what to replace."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dracht import Agent, ConnectionLost, DrachtError, RequestRefused, RequestTimeout, SipError
from dracht._core import Replaces
from dracht.link.memory import Given, MemoryLink
from dracht.referral import Referral, Referred, accept_refer

from tests.unit.test_subscription import given_request, header, played


async def referred(link: MemoryLink, referral: Referral, status: int = 202, **headers: str) -> Given:
    """The REFER is answered so."""
    starting = asyncio.ensure_future(referral.start())
    given = await given_request(link, len(link.sent("request")) + 1)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    link.respond_to(given, status, headers=fields, dialog=f"d{given.transaction}")
    await starting
    return given


def notify(link: MemoryLink, refer: Given, state: str, body: str, event: str = "refer") -> int:
    """A NOTIFY of that REFER; the status that it is answered with."""
    number = refer.transaction
    link.receive(
        "NOTIFY",
        headers={"Event": event, "Subscription-State": state, "Content-Type": "message/sipfrag"},
        body=body,
        dialog=f"d{number}",
        call_id=f"call-{number}@192.0.2.9",
        to_tag=f"t{number}",
        from_tag="remote",
    )
    return link.sent("respond")[-1].status


def test_progress_and_outcome_are_told() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        referral = agent.refer("sip:bob@192.0.2.1", refer_to="sip:carol@192.0.2.3")
        refer = await referred(link, referral)
        assert (refer.method, header(refer, "Refer-To")) == ("REFER", "<sip:carol@192.0.2.3>")
        for line in ("SIP/2.0 100 Trying\r\n", "SIP/2.0 180 Ringing"):
            assert notify(link, refer, "active;expires=60", line) == 200
        assert (
            notify(
                link, refer, "terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\nX: y\r\n", "refer;id=1"
            )
            == 200
        )
        outcome = await referral.outcome(timeout=5)
        assert (outcome.status, outcome.reason, outcome.ok, outcome.final) == (486, "Busy Here", False, True)
        assert [(one.status, one.reason) async for one in referral] == [
            (100, "Trying"),
            (180, "Ringing"),
            (486, "Busy Here"),
        ]
        assert referral.ended == "noresource"
        assert not agent._dispatchers[0].watchers

    played(play)


def test_what_was_told_last_is_the_outcome_of_a_reference_that_ends_without_one() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        referral = agent.refer("sip:bob@192.0.2.1", refer_to="sip:carol@192.0.2.3")
        refer = await referred(link, referral)
        notify(link, refer, "active;expires=60", "SIP/2.0 180 Ringing\r\n")
        notify(link, refer, "terminated;reason=timeout", "nonsense")
        outcome = await referral.outcome()
        assert (outcome.status, outcome.final, referral.ended) == (180, False, "timeout")

    played(play)


@pytest.mark.parametrize("told", [True, False])
def test_a_recipient_that_falls_silent_is_not_waited_for(told: bool) -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        referral = agent.refer("sip:bob@192.0.2.1", refer_to="sip:carol@192.0.2.3")
        refer = await referred(link, referral)
        if told:
            notify(link, refer, "active;expires=60", "SIP/2.0 100 Trying\r\n")
            assert (await referral.outcome()).status == 100
        else:
            with pytest.raises(RequestTimeout, match="no-notify"):
                await referral.outcome()
        assert referral.ended == ("expired" if told else "no-notify")

    played(play)


def test_the_outcome_may_be_waited_for_so_long_only() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        async with agent.refer("sip:bob@192.0.2.1", refer_to="sip:c@192.0.2.3"):
            pass

    async def run(agent: Agent, link: MemoryLink) -> None:
        playing = asyncio.ensure_future(play(agent, link))
        given = await given_request(link, 1)
        link.respond_to(given, 202, dialog="d")
        await playing
        referral = agent.refer("sip:bob@192.0.2.1", refer_to="sip:carol@192.0.2.3")
        refer = await referred(link, referral)
        with pytest.raises(RequestTimeout):
            await referral.outcome(timeout=1)
        referral.give_up()
        assert notify(link, refer, "active", "SIP/2.0 100 Trying") == 481
        await asyncio.sleep(100)
        assert not agent._dispatchers[0].watchers

    played(run)


def test_without_a_subscription_there_is_nothing_to_follow() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        referral = agent.refer("sip:bob@192.0.2.1", refer_to="sip:carol@192.0.2.3", subscribe=False)
        refer = await referred(link, referral, 200, Refer_Sub="false")
        assert header(refer, "Refer-Sub") == "false"
        assert not referral.followed
        with pytest.raises(DrachtError, match="no subscription"):
            await referral.outcome()
        assert not agent._dispatchers[0].watchers

    played(play)


def test_a_refusal_is_raised() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        with pytest.raises(RequestRefused) as refused:
            await referred(link, agent.refer("sip:bob@192.0.2.1", refer_to="sip:c@192.0.2.3"), 603)
        assert refused.value.status == 603
        assert not agent._dispatchers[0].watchers

    played(play)


def test_a_lost_link_is_raised() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        referral = agent.refer("sip:bob@192.0.2.1", refer_to="sip:carol@192.0.2.3")
        await referred(link, referral)
        waiting = asyncio.ensure_future(referral.outcome())
        await asyncio.sleep(0)
        link.lose()
        with pytest.raises(ConnectionLost):
            await waiting

    played(play)


async def accepted(agent: Agent, link: MemoryLink, **headers: str) -> Referred | SipError:
    """A REFER comes, and is accepted as far as it can be."""
    outcome: asyncio.Future[Referred | SipError] = asyncio.get_running_loop().create_future()

    async def handler(req: Any, res: Any) -> None:
        try:
            outcome.set_result(await accept_refer(req, res))
        except SipError as error:
            outcome.set_result(error)
            raise

    agent.handler = handler
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    link.receive("REFER", headers=fields, dialog="call", cseq=7, to_tag="bob")
    return await outcome


def test_a_recipient_answers_and_tells() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        refer = await accepted(
            agent, link, Refer_To="<sip:carol@192.0.2.3>", Referred_By="<sip:alice@192.0.2.1>"
        )
        assert isinstance(refer, Referred)
        assert (refer.target, refer.replaces, refer.referred_by) == (
            "sip:carol@192.0.2.3",
            None,
            "<sip:alice@192.0.2.1>",
        )
        assert link.sent("respond")[0].status == 202
        await refer.notify(180)
        await refer.notify(200, "Fine")
        assert await refer.notify(200) is None, "it is over"
        told = link.sent("request")
        assert [one.body for one in told] == [
            b"SIP/2.0 100 Trying\r\n",
            b"SIP/2.0 180 Ringing\r\n",
            b"SIP/2.0 200 Fine\r\n",
        ]
        assert {header(one, "Event") for one in told} == {"refer;id=7"}
        assert [header(one, "Subscription-State") for one in told] == [
            "active;expires=180",
            "active;expires=180",
            "terminated;reason=noresource",
        ]
        for one in told:
            link.respond_to(one, 200)

    played(play)


def test_a_recipient_need_not_tell_who_does_not_want_to_know() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        refer = await accepted(agent, link, Refer_To="<sip:carol@192.0.2.3>", Refer_Sub="false")
        assert isinstance(refer, Referred)
        assert not refer.followed
        assert header(link.sent("respond")[0], "Refer-Sub") == "false"
        assert await refer.notify(200) is None
        assert link.sent("request") == []

    played(play)


def test_the_call_to_replace_is_read_from_refer_to() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        to = "<sip:carol@192.0.2.3?Replaces=12345%40192.168.118.3%3Bto-tag%3D12%3Bfrom-tag%3D5FFE-3994&X-Y=a%20b>"
        refer = await accepted(agent, link, Refer_To=to)
        assert isinstance(refer, Referred)
        assert refer.target == "sip:carol@192.0.2.3"
        assert refer.replaces == Replaces("12345@192.168.118.3", "12", "5FFE-3994")
        assert str(refer.replaces) == "12345@192.168.118.3;to-tag=12;from-tag=5FFE-3994"
        assert refer.headers == [("X-Y", "a b")]
        link.respond_to(link.sent("request")[0], 200)

    played(play)


@pytest.mark.parametrize("to", ["", "<>", "carol", "<sip:c@x?Replaces=1>", "<sip:c@x?X=a%0d%0aEvil%3A1>"])
def test_a_refer_to_that_cannot_be_read_gets_400(to: str) -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        error = await accepted(agent, link, **({"Refer_To": to} if to else {}))
        assert isinstance(error, SipError)
        assert error.status == 400
        await asyncio.sleep(0)
        assert link.sent("respond")[0].status == 400

    played(play)
