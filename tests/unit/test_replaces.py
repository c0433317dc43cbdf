"""An INVITE that is to replace a call finds it, or gets the status that RFC 3891 §3 has for it."""

from __future__ import annotations

import asyncio
from typing import Any

from dracht import Agent, SipError
from dracht.calls import Calls
from dracht.link.memory import MemoryLink
from dracht.replaces import Replaced

from tests.unit.test_subscription import played


async def asked(
    agent: Agent, link: MemoryLink, *values: str, method: str = "INVITE"
) -> Replaced | int | None:
    """A request with these Replaces comes: what it is to replace, or the status it gets."""
    outcome: asyncio.Future[Replaced | int | None] = asyncio.get_running_loop().create_future()

    async def handler(req: Any, res: Any) -> None:
        try:
            outcome.set_result(req.replaced)
        except SipError as error:
            outcome.set_result(error.status)
        res.send(486)

    agent.handler = handler
    link.receive(method, headers=[("Replaces", value) for value in values], call_id="new@192.0.2.1")
    return await outcome


async def answered(agent: Agent, link: MemoryLink, call_id: str = "old@192.0.2.1") -> None:
    """A call comes in and is answered: our tag is `local`, the caller's `alice`."""

    async def handler(req: Any, res: Any) -> None:
        res.send(200)

    agent.handler = handler
    number = link.receive("INVITE", call_id=call_id)
    for _ in range(5):
        await asyncio.sleep(0)
    link.receive(
        "ACK", transaction=number, dialog=f"{call_id};from-tag=alice", call_id=call_id, to_tag="local"
    )


def test_an_answered_call_is_found_and_ended_by_bye() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        agent.calls = Calls()
        await answered(agent, link)
        found = await asked(agent, link, "old@192.0.2.1;to-tag=local;from-tag=alice")
        assert isinstance(found, Replaced)
        assert not found.early
        assert found.dialog == agent.find_dialog("old@192.0.2.1", "local", "alice")
        await found.end()
        bye = link.sent("request")[-1]
        assert (bye.method, bye.dialog) == ("BYE", "old@192.0.2.1;from-tag=alice")
        link.respond_to(bye, 200, dialog="old@192.0.2.1;from-tag=alice")
        # It has just ended, and later it is as if it had never been.
        assert await asked(agent, link, "old@192.0.2.1;to-tag=local;from-tag=alice") == 603
        await asyncio.sleep(100)
        assert await asked(agent, link, "old@192.0.2.1;to-tag=local;from-tag=alice") == 481
        assert agent.calls._names == {}

    played(play)


def test_what_cannot_be_replaced_is_refused() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        agent.calls = Calls()
        await answered(agent, link)
        right = "old@192.0.2.1;to-tag=local;from-tag=alice"
        assert await asked(agent, link) is None
        assert await asked(agent, link, f"{right};early-only") == 486
        assert await asked(agent, link, "other@192.0.2.1;to-tag=local;from-tag=alice") == 481
        assert await asked(agent, link, "old@192.0.2.1;to-tag=alice;from-tag=local") == 481
        assert await asked(agent, link, right, right) == 400
        assert await asked(agent, link, f"{right}, {right}") == 400
        assert await asked(agent, link, "nonsense") == 400
        assert await asked(agent, link, right, method="MESSAGE") == 400

    played(play)


def test_a_call_of_ours_is_found_ringing_and_answered() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        agent.calls = Calls()
        tx = await agent.request("sip:carol@192.0.2.1", "INVITE")
        given = link.sent("request")[0]
        number = given.transaction
        value = f"call-{number}@192.0.2.9;to-tag=t{number};from-tag=remote"
        assert await asked(agent, link, value) == 481, "no dialog before a response"
        link.respond_to(given, 180, dialog="d")
        found = await asked(agent, link, f"{value};early-only")
        assert isinstance(found, Replaced)
        assert found.early
        await found.end()
        assert link.sent("cancel")[0].transaction == number
        link.respond_to(given, 200, dialog="d", headers={"Contact": "<sip:carol@192.0.2.1>"})
        response = await tx.final()
        await response.ack()
        answered = await asked(agent, link, value)
        assert isinstance(answered, Replaced)
        assert not answered.early
        assert await asked(agent, link, f"{value};early-only") == 486

    played(play)


def test_one_that_rings_here_is_not_to_be_replaced() -> None:
    async def play(agent: Agent, link: MemoryLink) -> None:
        agent.calls = Calls()
        ringing = asyncio.Event()
        done = asyncio.Event()

        async def handler(req: Any, res: Any) -> None:
            await res.send(180)
            ringing.set()
            await done.wait()
            res.send(486)

        agent.handler = handler
        link.receive("INVITE", call_id="old@192.0.2.1")
        await ringing.wait()
        assert await asked(agent, link, "old@192.0.2.1;to-tag=local;from-tag=alice") == 481
        done.set()

    played(play)
