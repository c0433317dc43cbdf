"""Options of an engine that there are none of: the message says where they belong, or what was meant."""

from __future__ import annotations

import pytest
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
