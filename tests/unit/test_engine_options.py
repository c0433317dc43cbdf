"""Options of an engine that there are none of: the message says where they belong, or what was meant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from dracht import Agent, App, Request, Response
from dracht.link.native import NativeLink


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("certificates", r"no option 'certificates': give tls=Tls\(certificates=...\)"),
        ("trusted", r"give admission=Admission\(trusted=...\)"),
        ("shard", "did you mean shards?"),
        ("tsl", "did you mean tls?"),
        ("log_level", "there is admission, advertise, "),
        ("zzz", "there is admission, advertise, .*trying_after"),
    ],
)
def test_an_unknown_option_is_named_and_its_place_is_told(name: str, said: str) -> None:
    options = {name: 1}
    with pytest.raises(TypeError, match=said):
        NativeLink(["sip:127.0.0.1:0"], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("tls", "chain.pem", r"tls= takes Tls\(...\), not 'chain.pem'"),
        ("streams", 5, r"streams= takes Streams\(...\), not 5"),
        ("admission", {"rate": 5}, r"admission= takes Admission\(...\), not"),
        ("dns", ["192.0.2.53"], r"dns= takes Dns\(...\)"),
        ("network", "10.0.0.0/8", r"network= takes Network\(...\)"),
    ],
)
def test_an_option_that_is_a_table_says_what_it_takes(name: str, value: object, said: str) -> None:
    options = {name: value}
    with pytest.raises(TypeError, match=said):
        NativeLink(["sip:127.0.0.1:0"], **options)  # type: ignore[arg-type]


def test_what_is_no_listener_at_all_is_told() -> None:
    with pytest.raises(TypeError, match=r'listen= takes a text, as "sip:\*:5060", or a list of them, not 5'):
        NativeLink(5)  # type: ignore[arg-type]


async def test_an_agent_says_so_too() -> None:
    for options in ({"tls": "chain.pem"}, {"listen": 5}, {"streams": 5}):
        with pytest.raises(TypeError, match=r"(tls|listen|streams)= takes "):
            async with Agent(nobody).serving(**{"listen": "sip:127.0.0.1:0", **options}):  # type: ignore[arg-type]
                pass


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"listen": [5060]}, "TypeError: listen= takes a text, as \"sip:*:5060\", or a list of them, not 5060 among them"),
        ({"listen": b"sip:*:5060"}, "TypeError: listen= takes a text, as \"sip:*:5060\", or a list of them, not b'sip:*:5060'"),
        ({"shards": "2"}, "TypeError: shards= takes a whole number, not '2'"),
        ({"shards": True}, "TypeError: shards= takes a whole number, not True"),
        ({"advertise": 5}, "TypeError: advertise= takes a text, not 5"),
        ({"t1": "fast"}, "TypeError: t1= takes a number, not 'fast'"),
        ({"session_refresher": 5}, "TypeError: session_refresher= takes 'uac' or 'uas', not 5"),
        ({"max_message_bytes": 10**20}, f"ValueError: max_message_bytes={10**20} is out of range: less than 4,294,967,296"),
        ({"secret": 5}, "TypeError: secret= takes a text, not 5"),
        ({"listen": None, "connect": 9022}, "TypeError: connect= takes a text or a list of texts, not 9022"),
        ({"listen": None, "accept": ["tcp://h"]}, "TypeError: accept= takes a text, not ['tcp://h']"),
        ({"listne": "sip:*:5060"}, "TypeError: a server has no option 'listne': did you mean listen?"),
        ({"listen": None, "listne": "sip:*:5060"}, "TypeError: a server has no option 'listne': did you mean listen?"),
        ({"tls": "chain.pem"}, "TypeError: tls= takes Tls(...), SSLContext(...) or True or False, not 'chain.pem'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["app.run", "agent.run", "app.serving", "agent.serving"])
def test_options_of_serving_are_of_their_types(way: str, options: dict[str, object], said: str) -> None:
    given: Any = {key: value for key, value in ({"listen": "sip:127.0.0.1:0"} | options).items() if value}
    served: App | Agent = App() if way.startswith("app") else Agent(nobody)

    async def serve() -> None:
        async with served.serving(**given):
            pass

    def begin() -> None:
        if way.endswith("run"):
            served.run(**given)
        else:
            asyncio.run(serve())

    with pytest.raises((TypeError, ValueError)) as caught:
        begin()
    assert f"{caught.type.__name__}: {caught.value}" == said


@pytest.mark.parametrize("made", [App, lambda: Agent(nobody)])
async def test_a_run_inside_a_loop_names_what_serves_in_it(made: Callable[[], App | Agent]) -> None:
    with pytest.raises(RuntimeError, match=r"async with app\.serving\("):
        made().run(listen="sip:127.0.0.1:0")


async def nobody(req: Request, res: Response) -> None:
    """Gets nothing."""
