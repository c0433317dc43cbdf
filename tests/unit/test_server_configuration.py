"""A server's configuration: from a file, the environment and the command line, with every mistake named, placed and explained."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from dracht.cli.processes import Process
from dracht.server.config import ServerConfig
from dracht.server.configuration import ConfigurationError, configure, gather
from dracht.server.settings import documents, options_of, tables
from dracht.server.values import Mistake, converted

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "dracht.toml"
MINIMUM = '[server]\nsecret = "x"\n'


def file_of(folder: Path, text: str) -> Path:
    path = folder / "dracht.toml"
    path.write_text(text)
    return path


def mistakes(folder: Path, text: str, **environment: str) -> list[str]:
    """What is wrong with a file, the folder left out."""
    with pytest.raises(ConfigurationError) as caught:
        gather(file_of(folder, text), environment)
    return [one.replace(f"{folder}/", "") for one in caught.value.mistakes]


def test_the_example_is_a_configuration_also_with_its_comments_taken_off() -> None:
    config, process = configure(EXAMPLE, {}, {"secret": "cymru"})
    assert config.listen == ("sip:*:5060;transport=udp,tcp",)
    assert process.log_level == "warning"
    text = EXAMPLE.read_text()
    optional = re.findall(r"(?m)^# (\w+ = .*)$", text)
    assert len(optional) >= 5
    for line in optional:
        assert re.search(r"(?m)^# " + re.escape(line), text)


def test_every_line_of_the_example_that_is_commented_out_can_be_used(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^# (\w+ = )", r"\1", EXAMPLE.read_text())
    text = text.replace("/etc/dracht/secret", str(tmp_path / "secret"))
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    config, _ = configure(file_of(tmp_path, text))
    assert (config.secret, config.advertise, config.session_expires) == (
        "0123456789abcdef",
        "203.0.113.7",
        1800,
    )


def test_what_a_file_does_not_say_has_its_default(tmp_path: Path) -> None:
    config, _ = configure(file_of(tmp_path, MINIMUM))
    assert config == ServerConfig(("sip:127.0.0.1:5060",), "127.0.0.1:9022", "x")


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = file_of(tmp_path, MINIMUM + "shards = 2\nadvertise = 'file'\n[timers]\nt1 = 1\nt2 = 3\n")
    environment = {
        "DRACHT_SHARDS": "3",
        "DRACHT_TIMERS_T1": "0.25",
        "DRACHT_ADVERTISE": "environment",
        "DRACHT_LISTEN": "",
    }
    config, _ = configure(path, environment, {"shards": 4, "advertise": None})
    assert (config.shards, config.advertise, config.t1, config.t2) == (4, "environment", 0.25, 3.0)


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    text = """
[server]
secret = "x"
shard = 2
shards = 300
drachtio_compatible = "yes"
t1 = 0.5
listen = "sip:*"

[session_timers]
session_refresher = "me"
min_se = 30
[timer]
[timers]
t1 = -1
t2 = "long"
"""
    assert mistakes(tmp_path, text) == [
        'dracht.toml:4: [server] has no "shard"; did you mean "shards"?',
        'dracht.toml:7: "t1" is a key of [timers], not of [server]',
        'dracht.toml:13: there is no table [timer]; did you mean "timers"?',
        'dracht.toml:8: [server] listen: "sip:*" is not a list of texts',
        "dracht.toml:5: [server] shards: 300 is out of range: 1 to 255",
        'dracht.toml:6: [server] drachtio_compatible: "yes" is not true or false',
        "dracht.toml:12: [session_timers] min_se: 30 is out of range: 90 to 4,294,967,295",
        'dracht.toml:11: [session_timers] session_refresher: "me" is not "uac" or "uas"',
        "dracht.toml:15: [timers] t1: -1 is out of range: 0.001 to 60",
        'dracht.toml:16: [timers] t2: "long" is not a number, 0.001 to 600',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server\n", "dracht.toml: not TOML: .*line 1"),
        (
            "shards = 2\n",
            r"dracht.toml:1: there is no table \[shards\]; a key of \[server\] stands below a line \[server\]",
        ),
        ("server = 3\n", r"dracht.toml:1: server is a table: write \[server\]"),
        ("[colours]\n", r"there is no table \[colours\]; there is server, session_timers"),
        ('[server]\nlog_level = "loud"\n', 'log_level: "loud" is not "error", "warning", "info" or "debug"'),
        ('[server]\nsecret_file = "nowhere"\n', "nowhere: the secret cannot be read"),
        ("[server]\nudp_request_limit = true\n", 'true is not a whole number or "none"'),
        ("[server]\nlisten = [5060]\n", "listen: item 1: 5060 is not a text"),
    ],
)
def test_what_is_wrong_is_explained(text: str, message: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, text)
    assert any(re.search(message, one) for one in found), found


def test_a_mistake_in_a_variable_names_the_variable(tmp_path: Path) -> None:
    assert mistakes(tmp_path, MINIMUM, DRACHT_SHARDS="many", DRACHT_TIMERS_T1="0") == [
        'DRACHT_SHARDS: "many" is not a whole number, 1 to 255',
        "DRACHT_TIMERS_T1: 0 is out of range: 0.001 to 60",
    ]


def test_what_only_makes_sense_together_is_checked_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"session_expires=100 is less than min_se=200"):
        configure(file_of(tmp_path, MINIMUM + "[session_timers]\nsession_expires = 100\nmin_se = 200\n"))
    with pytest.raises(ConfigurationError, match=r"no secret: .*Quote that one"):
        configure(file_of(tmp_path, ""))


def test_none_is_written_as_a_text_where_it_means_something(tmp_path: Path) -> None:
    config, _ = configure(file_of(tmp_path, MINIMUM + 'udp_request_limit = "none"\n'))
    assert config.udp_request_limit is None


def test_the_secret_may_stand_in_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" cymru\n")
    config, _ = configure(file_of(tmp_path, '[server]\nsecret_file = "token"\n'))
    assert config.secret == "cymru"
    config, _ = configure(None, {"DRACHT_SECRET_FILE": str(tmp_path / "token"), "DRACHT_SECRET": "wins"})
    assert config.secret == "wins"


@dataclasses.dataclass(frozen=True)
class Rule:
    """One of several."""

    method: str
    """Which method."""
    seconds: float = 1.0


@dataclasses.dataclass(frozen=True)
class Group:
    """A table as other modules define theirs."""

    pairs: Sequence[tuple[str | os.PathLike[str], str | os.PathLike[str]]] = ()
    """Two paths each.

    And more about it.
    """
    mode: Literal["no", "asked"] = "no"
    rules: tuple[Rule, ...] = ()
    names: frozenset[str] = frozenset()
    limit: int | None = None


def test_dataclasses_of_other_modules_are_read_by_their_types(tmp_path: Path) -> None:
    raw = {
        "pairs": [["a.pem", "/b.pem"]],
        "rules": [{"method": "INVITE"}, {"method": "BYE", "seconds": 2}],
        "names": ["x"],
    }
    made = converted(raw, Group, tmp_path)
    assert made == Group(
        ((tmp_path / "a.pem", Path("/b.pem")),), "no", (Rule("INVITE"), Rule("BYE", 2.0)), frozenset("x")
    )
    assert isinstance(made.rules[1].seconds, float)
    assert documents(Group) == {"pairs": "Two paths each."}
    assert list(options_of(Group)) == ["pairs", "mode", "rules", "names", "limit"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"pairs": [["a.pem"]]}, '"pairs": item 1: .* is not a pair \\[.*, .*\\]'),
        ({"rules": [{}]}, '"rules": item 1: "method" is missing'),
        ({"rules": [{"method": "INVITE", "second": 1}]}, 'no "second" here; did you mean "seconds"'),
        ({"mode": "yes"}, '"mode": "yes" is not "no" or "asked"'),
        ({"limit": "x"}, '"limit": "x" is not a whole number'),
    ],
)
def test_a_mistake_within_a_table_says_where_within(
    raw: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(Mistake, match=message):
        converted(raw, Group, tmp_path)


def test_every_key_has_a_type_that_can_be_written_and_a_meaning() -> None:
    for table in tables().values():
        for setting in table.settings.values():
            assert setting.doc, f"[{table.name}] {setting.key}: nothing says what it is for"


def test_the_reference_is_as_the_dataclasses_are() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "configuration_reference.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def dracht(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `dracht` to its end, in an environment that configures nothing."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("DRACHT_")}
    command = [sys.executable, "-m", "dracht.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


def test_serve_check_says_what_would_listen_or_what_is_wrong(tmp_path: Path) -> None:
    good = dracht("serve", "--config", EXAMPLE, "--secret", "cymru", "--check")
    assert (good.returncode, good.stderr) == (0, "")
    assert "applications would be on tcp://127.0.0.1:9022" in good.stdout
    bad = dracht(
        "serve", "--config", file_of(tmp_path, "[server]\nshards = 0\n[timers]\nt9 = 1\n"), "--check"
    )
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "[server] shards: 0 is out of range: 1 to 255" in bad.stderr
    assert '[timers] has no "t9"' in bad.stderr
    missing = dracht("serve", "--config", tmp_path / "missing.toml")
    assert missing.returncode == 2
    assert "missing.toml: the configuration cannot be read: No such file" in missing.stderr


def test_a_server_runs_from_a_file_reads_it_again_at_sighup_and_ends_at_sigterm(tmp_path: Path) -> None:
    path = file_of(
        tmp_path, '[server]\nlisten = ["sip:127.0.0.1:0"]\ncontrol = "127.0.0.1:0"\nsecret = "x"\n'
    )
    with Process("serve", "--config", str(path)) as server:
        server.until(r"applications on tcp://127\.0\.0\.1:\d+")
        server.send_signal(signal.SIGHUP)
        server.until("configuration read again")
        path.write_text(path.read_text() + "shards = 2\n")
        server.send_signal(signal.SIGHUP)
        server.until("shards: changed in the configuration, and taken over by a restart only")
        path.write_text("[server]\nshards = 0\n")
        server.send_signal(signal.SIGHUP)
        server.until("nothing is changed: .*shards: 0 is out of range")
        assert server.end() == 0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Process, Path]]:
    """A server that runs, and a pipe in the place of its configuration, which gives nothing until somebody writes."""
    path = file_of(
        tmp_path, '[server]\nlisten = ["sip:127.0.0.1:0"]\ncontrol = "127.0.0.1:0"\nsecret = "x"\n'
    )
    with Process("serve", "--config", str(path)) as server:
        server.until(r"applications on tcp://127\.0\.0\.1:\d+")
        path.unlink()
        os.mkfifo(path)
        yield server, path


def test_a_file_that_cannot_be_read_to_its_end_keeps_no_server_from_ending(
    served: tuple[Process, Path],
) -> None:
    server, path = served
    server.send_signal(signal.SIGHUP)
    # The pipe opens when the server reads it, which waits from then on.
    with path.open("w"):
        assert server.end() == 0


def test_a_sighup_while_files_are_read_is_done_after_it(served: tuple[Process, Path]) -> None:
    server, path = served
    server.send_signal(signal.SIGHUP)
    with path.open("w") as pipe:
        server.send_signal(signal.SIGHUP)
        pipe.write('[server]\nsecret = "x"\n')
    server.until("configuration read again")
    with path.open("w") as pipe:
        pipe.write("[server]\nshards = 0\n")
    server.until("nothing is changed: .*shards: 0 is out of range")
    assert server.end() == 0


def test_a_line_of_a_long_array_is_no_header(tmp_path: Path) -> None:
    text = f'{MINIMUM}[tls]\ncertificates = [\n["chain.pem", "key.pem"],\n]\nminimum_version = "1.1"\n'
    assert mistakes(tmp_path, text) == ['dracht.toml:7: [tls] minimum_version: "1.1" is not "1.2" or "1.3"']
