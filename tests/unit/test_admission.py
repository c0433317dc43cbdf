"""`Admission` and `Filter` refuse what cannot be used, and say what to do."""

from __future__ import annotations

import asyncio

import pytest
from dracht import Admission, Agent, Filter, Request, Response
from dracht.admission import network
from dracht.link.control import ControlLink
from dracht.link.memory import MemoryLink

from .control_peer import ControlPeer


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"trusted": "10.0.0.0/8"}, "give a list"),
        ({"trusted": ["10.0.0.0/33"]}, "no address or network"),
        ({"rate": 0}, "rate=0"),
        ({"burst": 0}, "burst=0"),
        ({"byte_rate": 0}, "byte_rate=0"),
        ({"half_open": -1}, "half_open=-1"),
        ({"known_for": -1.0}, "known_for"),
        ({"ban": 0.0}, "ban=0"),
        ({"filters": ["sipcli"]}, "takes Filter"),
    ],
)
def test_an_admission_that_cannot_be(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Admission(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "fit every request"),
        ({"user_agent": ""}, "fits nothing"),
        ({"methods": "INVITE"}, "give a list"),
        ({"methods": ["BYE", "invte"]}, r"'invte' is no known SIP method; did you mean 'invite'\?$"),
        ({"methods": ["INVITE BYE"]}, "'INVITE BYE' cannot be a SIP method"),
        ({"methods": [""]}, "cannot be a SIP method"),
        ({"methods": ["*"], "user_agent": "x"}, "a filter without methods fits every one"),
        ({"user_agent": "a", "action": "block"}, "'drop', 'ban', 'admit'"),
        ({"user_agent": "a", "action": 200}, "no refusal"),
        ({"user_agent": "a", "seconds": 0}, "seconds=0"),
    ],
)
def test_a_filter_that_cannot_be(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Filter(**options)  # type: ignore[arg-type]


def test_networks_are_written_one_way() -> None:
    assert network("192.0.2.7/24") == "192.0.2.0/24"
    assert network("192.0.2.7") == "192.0.2.7"
    assert network("[2001:DB8::1]") == "2001:db8::1"
    assert Admission(trusted=["10.1.2.3/8"]).trusted == ("10.0.0.0/8",)


def test_a_filter_has_a_name_for_the_log() -> None:
    assert Filter(user_agent="sipcli*", methods=["invite"]).name == "INVITE sipcli*"
    assert Filter(message_over=4000).name == "size"
    assert Filter(user_agent="x", name="mine").name == "mine"


def test_a_filter_for_a_method_of_somebody_s_own_is_taken_and_said(caplog: pytest.LogCaptureFixture) -> None:
    assert Filter(methods=["ping"]).methods == ("PING",)
    assert "PING is no SIP method that dracht knows" in caplog.text
    with pytest.raises(ValueError, match="did you mean 'options'"):
        Filter(methods=["option"], action="admit")


def test_off_trusts_everybody() -> None:
    assert Admission.off().trusted == ("0.0.0.0/0", "::/0")


async def test_a_ban_goes_to_every_link() -> None:
    agent = Agent(nothing)
    links = [MemoryLink(), MemoryLink()]
    for link in links:
        await agent.attach(link)
    agent.ban("192.0.2.7/24", 60)
    agent.unban("2001:DB8::1")
    for link in links:
        assert [(given.uri, given.status) for given in link.sent("ban")] == [
            ("192.0.2.0/24", 60),
            ("2001:db8::1", 0),
        ]
    await agent.close()


async def test_a_drachtio_server_is_sent_no_word_that_it_does_not_know(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ControlPeer() as peer, asyncio.timeout(10):
        link = ControlLink(peer.target, secret="cymru")
        agent = Agent(nothing)
        opening = asyncio.create_task(agent.attach(link))
        await peer.welcome("v0.9.10")
        await opening
        link.drop("t1")
        agent.ban("192.0.2.7", 60)
        agent.route("message")
        assert (await peer.frame()).tokens[1:] == ["route", "message"], "the next word that it gets"
        assert "no dracht server" in caplog.text
        await agent.close()


async def test_a_dracht_server_is_told_in_its_own_words() -> None:
    async with ControlPeer() as peer, asyncio.timeout(10):
        link = ControlLink(peer.target, secret="cymru")
        agent = Agent(nothing)
        opening = asyncio.create_task(agent.attach(link))
        await peer.welcome("v0.9.10-dracht-0.1.0")
        await opening
        link.drop("t1")
        agent.ban("192.0.2.7", 1.5)
        agent.unban("192.0.2.7")
        opening_words = [["flows"], ["certificates"]]
        frames = [(await peer.frame()).tokens[1:] for _ in range(3 + len(opening_words))]
        assert [frame for frame in frames if frame not in opening_words] == [
            ["drop", "t1"],
            ["ban", "192.0.2.7", "1500"],
            ["unban", "192.0.2.7"],
        ]
        await agent.close()


async def nothing(req: Request, res: Response) -> None:
    """A handler for agents that get no request."""
