"""Whoever writes a list where an option takes several values is right for the type checker too, and the option holds a tuple."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from dracht import Admission, Dns, Filter, Network, Streams, Tls
from dracht.network import NatRule
from dracht.server import ServerConfig

ROOT = Path(__file__).parents[2]

# A user's file: lists, tuples, and what a function gives as either.
USER = """
from collections.abc import Sequence

from dracht import Admission, Dns, Filter, Network, Streams, Tls
from dracht.server import ServerConfig


def made(several: Sequence[str], files: list[str]) -> ServerConfig:
    return ServerConfig(
        listen=["sip:*:5060"],
        control="127.0.0.1:9022",
        secret="cymru",
        dns=Dns(servers=["192.0.2.53", "192.0.2.54"]),
        network=Network(local_networks=["10.0.0.0/8"], nat=["contact_private", "via_differs"]),
        tls=Tls(certificates=[("chain.pem", "key.pem")], authorities=files),
        admission=Admission(trusted=["192.0.2.0/24"], filters=[Filter(methods=["OPTIONS"])]),
        streams=Streams(origins=["https://phone.example.com"]),
    )


Dns(servers=("192.0.2.53",))
Network(local_networks=("10.0.0.0/8",), nat=("contact_differs",))
Network(local_networks=[*Network().local_networks, "192.0.2.0/24"])
"""


def checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What mypy says of a user's file."""
    (folder / "user.py").write_text(text)
    command = [
        sys.executable, "-m", "mypy", "--config-file=", "--strict", "--no-error-summary",
        "--follow-imports=silent", f"--cache-dir={ROOT / '.mypy_cache' / 'documents'}", "user.py",
    ]  # fmt: skip
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_lists_and_tuples_are_right_for_the_type_checker(tmp_path: Path) -> None:
    done = checked(tmp_path, USER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_no_such_value_is_wrong_for_it(tmp_path: Path) -> None:
    wrong = 'from dracht import Dns, Network\nNetwork(nat=["guess"])\nDns(servers=53)\n'
    done = checked(tmp_path, wrong)
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == ["user.py:2", "user.py:3"]


def held() -> list[tuple[Sequence[object], object]]:
    """What options made of lists hold, and what they should."""
    rules: list[NatRule] = list(get_args(NatRule))
    config = ServerConfig(listen=["sip:*:5060"], control="127.0.0.1:9022", secret="cymru")
    return [
        (config.listen, ("sip:*:5060",)),
        (Dns(servers=["192.0.2.53"]).servers, ("192.0.2.53",)),
        (Network(nat=rules).nat, tuple(rules)),
        (Network(local_networks=["10.0.0.0/8"]).local_networks, ("10.0.0.0/8",)),
        (Tls(certificates=[("a.pem", "b.pem")]).certificates, (("a.pem", "b.pem"),)),
        (Tls(authorities=["ca.pem"]).authorities, ("ca.pem",)),
        (Admission(trusted=["192.0.2.0/24"]).trusted, ("192.0.2.0/24",)),
        (Filter(methods=["invite"]).methods, ("INVITE",)),
        (Admission(filters=[Filter(methods=["BYE"])]).filters, (Filter(methods=["BYE"]),)),
        (Streams(origins=["https://a.example"]).origins, ("https://a.example",)),
    ]


def test_what_was_given_as_a_list_is_held_as_a_tuple_that_can_be_hashed() -> None:
    for value, wanted in held():
        assert value == wanted
        assert hash(value) == hash(wanted)


def test_a_text_is_not_taken_for_the_list_of_its_letters() -> None:
    with pytest.raises(ValueError, match=r"listen is a list of texts, not one text: \['sip:\*:5060'\]"):
        ServerConfig(listen="sip:*:5060", control="127.0.0.1:9022", secret="cymru")


@pytest.mark.parametrize(
    ("made", "options", "said"),
    [
        (Network, {"relay_secret": 5}, "Network: relay_secret= takes a text, not 5"),
        (Network, {"local_networks": 5}, "Network: local_networks= takes a list of texts, not 5"),
        (Network, {"local_networks": [10]}, "Network: local_networks= takes a list of texts, not [10]"),
        (Admission, {"rate": "many"}, "Admission: rate= takes a whole number, not 'many'"),
        (Admission, {"ban": "10m"}, "Admission: ban= takes a number, not '10m'"),
        (Admission, {"scanners": 5}, "Admission: scanners= takes True or False, not 5"),
        (
            Admission,
            {"filters": Filter(methods=["BYE"])},
            "filters takes a list, as [Filter(...)], not Filter(",
        ),
        (Filter, {"methods": ["BYE"], "seconds": "1h"}, "Filter: seconds= takes a number, not '1h'"),
        (
            Filter,
            {"methods": ["BYE"], "action": None},
            "Filter: action= takes 'drop', 'ban', 'admit' or a whole number",
        ),
        (Dns, {"timeout": "2s"}, "Dns: timeout= takes a number, not '2s'"),
        (Dns, {"servers": 53}, "Dns: servers= takes a list of texts, not 53"),
        (Streams, {"unanswered": 1.5}, "Streams: unanswered= takes a whole number, not 1.5"),
        (Tls, {"authorities": [5]}, "Tls: authorities= takes a list of paths or texts, not [5]"),
        (Tls, {"verify": "no"}, "Tls: verify= takes True or False, not 'no'"),
    ],
)
def test_what_is_of_another_kind_is_told_with_what_is_wanted(
    made: Any, options: dict[str, object], said: str
) -> None:
    with pytest.raises(TypeError) as caught:
        made(**options)
    assert str(caught.value).startswith(said)


def test_what_can_be_gone_through_once_is_taken() -> None:
    assert Network(local_networks=(text for text in ["10.0.0.0/8"])).local_networks == ("10.0.0.0/8",)  # type: ignore[arg-type]
