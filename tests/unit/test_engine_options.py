"""Options of an engine that there are none of: the message says where they belong, or what was meant."""

from __future__ import annotations

import pytest
from dracht import Agent, Request, Response
from dracht.link.native import NativeLink


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("certificates", r"no option 'certificates': give tls=Tls\(certificates=...\)"),
        ("trusted", r"give admission=Admission\(trusted=...\)"),
        ("shard", "did you mean shards?"),
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


async def nobody(req: Request, res: Response) -> None:
    """Gets nothing."""
