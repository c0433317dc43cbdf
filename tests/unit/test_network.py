"""`Network` says what is wrong with it when it is made, and its key follows from its secret alone."""

from __future__ import annotations

import pytest
from dracht import Network
from dracht.proxy import ProxyTarget, target_texts


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"local_networks": ("10.0.0.0/40",)}, "local_networks"),
        ({"local_networks": ("10.0.0.1/8",)}, "host bits"),
        ({"local_networks": "10.0.0.0/8"}, "list"),
        ({"nat": ("everything",)}, "contact_private"),
        ({"relay_unsigned": "ignore"}, "refuse"),
        ({"relay_secret": ""}, "empty"),
    ],
)
def test_a_mistake_is_named_with_what_may_stand_there(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Network(**options)  # type: ignore[arg-type]


def test_the_key_follows_from_the_secret_and_is_not_shown() -> None:
    one, same, other = (Network(relay_secret=text) for text in ("cymru", "cymru", "llanfair"))
    assert one.relay_key == same.relay_key != other.relay_key
    assert one.relay_key is not None
    assert len(one.relay_key) == 16
    assert Network().relay_key is None
    assert "cymru" not in repr(one)


def test_lists_are_as_good_as_tuples() -> None:
    assert Network(local_networks=["10.0.0.0/8"]).local_networks == ("10.0.0.0/8",)


def test_a_target_may_name_its_flow() -> None:
    assert target_texts(ProxyTarget("sip:bob@a.invalid", flow="drfABC")) == [
        "<sip:bob@a.invalid>;q=1.000;flow=drfABC"
    ]
    assert target_texts("bob@192.0.2.1", "drfABC") == ["<sip:bob@192.0.2.1>;flow=drfABC"]
    assert target_texts(("sip:bob@192.0.2.1", 0.5), "drfABC") == ["<sip:bob@192.0.2.1>;q=0.500;flow=drfABC"]
    assert target_texts([ProxyTarget("sip:bob@192.0.2.1", flow="drfOWN")], "drfABC")[0].endswith(
        "flow=drfOWN"
    )
    with pytest.raises(ValueError, match="no flow"):
        target_texts("sip:bob@192.0.2.1", "a>b")
