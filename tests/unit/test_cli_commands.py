"""The command line finds applications in files, and says what was wrong, where, and what to do, with 1 or 2 as exit status."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from dracht import Agent, App
from dracht.cli.caller import listener_for
from dracht.cli.failures import Failure
from dracht.cli.loading import load
from dracht.server import ServerConfig
from dracht.server.config import host_and_port

EXAMPLES = Path(__file__).parents[2] / "examples"
LISTEN = "sip:127.0.0.1:0;transport=udp"


def dracht(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `dracht` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "dracht.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        # The package under test, wherever it lies.
        env={"PATH": "/usr/bin", "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **environment},
    )


def written(folder: Path, text: str) -> str:
    """A Python file with this text."""
    path = folder / "application_under_test.py"
    path.write_text(text)
    return str(path)


def test_an_application_is_found_by_name_by_convention_or_because_it_is_the_only_one(tmp_path: Path) -> None:
    assert isinstance(load(str(EXAMPLES / "uas.py")), App)
    assert isinstance(load(str(EXAMPLES / "proxy.py")), Agent)
    file = written(tmp_path, "from dracht import App\nfirst = App()\n")
    assert isinstance(load(file), App)
    assert load(f"{file}:first").log.name == "dracht.app"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("x = 1\n", "", "no `app` or `agent` in it"),
        ("x = 1\n", ":x", "`x` is a int, not an App or Agent"),
        ("x = 1\n", ":y", "`y` is not there"),
        ("\n1 / 0\n", "", "application_under_test.py:2: ZeroDivisionError"),
        ("from dracht import App\na, b = App(), App()\n", "", "say which: .*:a, .*:b"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=message):
        load(written(tmp_path, text) + name)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "missing.py", "--listen", LISTEN], 2, "missing.py: no such file"),
        (["run", str(EXAMPLES / "uas.py")], 2, "give --listen .* or --connect"),
        (
            ["run", str(EXAMPLES / "uas.py"), "--listen", LISTEN, "--connect", "tcp://127.0.0.1:1"],
            2,
            "exclude one another",
        ),
        (["run", str(EXAMPLES / "uas.py"), "--listen", "nonsense"], 2, "cannot listen on"),
        (["serve", "--listen", LISTEN], 2, "no secret"),
        (["serve", "--listen", LISTEN, "--secret", "x", "--control", "nonsense"], 2, "is not HOST:PORT"),
        (["status", "--secret", "x", "--control", "127.0.0.1:1"], 1, "start `dracht serve`"),
        (["call", "nonsense"], 2, "not a SIP URI"),
        (
            ["call", "sip:a@127.0.0.1:9", "--timeout", "inf"],
            2,
            r"--timeout inf: give a number below 1,000,000,000",
        ),
        (["call", "sip:a@127.0.0.1:9", "--timeout", "1e300"], 2, r"--timeout 1e\+300: give a number below"),
        (["call", "sip:a@127.0.0.1:9", "--duration", "inf"], 2, "--duration inf: give"),
        (["call", "sip:a@127.0.0.1:9", "--rate", "inf"], 2, "--rate inf: give"),
        (["ban", "10.0.0.1", "inf", "--secret", "x"], 2, "SECONDS inf: give"),
        (["answer", "--hangup", "inf"], 2, "--hangup inf: give"),
        (["serve", "--drain", "inf", "--secret", "x"], 2, "--drain inf: give"),
    ],
)
def test_what_was_wrong_is_one_line_on_stderr_and_the_exit_status(
    arguments: list[str], status: int, message: str
) -> None:
    result = dracht(*arguments)
    assert result.returncode == status, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("dracht: ")
    assert re.search(message, result.stderr), result.stderr
    assert result.stdout == ""


def test_the_version_is_printed() -> None:
    result = dracht("--version")
    assert (result.returncode, result.stdout) == (0, "dracht 0.1.0\n")


def test_without_the_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; import importlib.util as u; u.find_spec = lambda name: None;"
    result = subprocess.run(
        [sys.executable, "-c", f"{code} from dracht.cli import main; main()"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == "dracht: the command line needs two more packages: pip install 'dracht[cli]'\n"


def test_addresses_of_control_ports() -> None:
    assert host_and_port("127.0.0.1:9022") == ("127.0.0.1", 9022)
    assert host_and_port("[::1]:9022") == ("::1", 9022)
    for wrong in ("9022", "host:", ":9022", "host:x", "host:99999", "::1:9022", "[::1:9022"):
        with pytest.raises(ValueError, match="is not HOST:PORT"):
            host_and_port(wrong)


def test_a_server_without_listener_or_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="no SIP listener"):
        ServerConfig((), "127.0.0.1:0", "x")
    with pytest.raises(ValueError, match="no secret"):
        ServerConfig((LISTEN,), "127.0.0.1:0", "")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["serve", "--listen", "sip:127.0.0.1:0"], 2, "no secret: .*Quote that one"),
        (["run", str(EXAMPLES), "--listen", LISTEN], 2, "a folder; give a Python file in it"),
        (["run", str(EXAMPLES / "uas"), "--listen", LISTEN], 2, r"no such file; did you mean .*uas\.py\?"),
        (["call", "alice@127.0.0.1:9"], 2, r"did you mean sip:alice@127\.0\.0\.1:9\?"),
        (["call", "sip:a@127.0.0.1:9", "--trace", "/nowhere/x"], 1, "writing /nowhere/x: .*No such file"),
    ],
)
def test_what_is_typed_wrongly_is_explained(arguments: list[str], status: int, message: str) -> None:
    done = dracht(*arguments)
    assert done.returncode == status
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_a_call_to_a_closed_port_says_that_nobody_is_there() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets it
        taken.bind(("127.0.0.1", 0))
        done = dracht("call", f"sip:a@127.0.0.1:{taken.getsockname()[1]};transport=tcp", "--no-ladder")
    assert done.returncode == 1
    assert "503 Service Unavailable: connection refused; sip:a@127.0.0.1" in done.stdout
    assert "cannot be reached" in done.stdout


@pytest.mark.parametrize(
    ("uri", "listen"),
    [
        ("sip:a@127.0.0.1:5060", "sip:127.0.0.1:0;transport=udp,tcp"),
        ("sip:a@localhost", "sip:127.0.0.1:0;transport=udp,tcp"),
        ("sip:a@example.com", "sip:*:0;transport=udp,tcp"),
        ("sip:a@192.0.2.1;transport=tcp", "sip:*:0;transport=tcp"),
        ("sip:a@[::1];transport=UDP", "sip:[::1]:0;transport=udp"),
        ("sip:a@[2001:db8::1];transport=tls", "sip:[::]:0;transport=tls"),
        ("sips:a@example.com", "sip:*:0;transport=tls"),
        ("sips:a@example.com;transport=ws", "sip:*:0;transport=wss"),
        ("sip:a@example.com;transport=sctp", "sip:*:0;transport=udp,tcp"),
    ],
)
def test_a_caller_listens_as_the_uri_wants(uri: str, listen: str) -> None:
    assert listener_for(uri) == listen


@pytest.mark.parametrize(
    "uri", ["sips:a@127.0.0.1:{}", "sip:a@[::1]:{};transport=tcp", "sip:a@127.0.0.1:{};transport=ws"]
)
def test_a_call_over_any_transport_needs_no_listener_to_be_named(uri: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = dracht("call", uri.format(taken.getsockname()[1]), "--no-ladder", "--timeout", "2")
    assert done.returncode == 1
    assert re.search("503 .*connection refused", done.stdout), done.stdout


def test_a_second_interrupt_leaves_a_call_that_nobody_answers() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(20.0)
        uri = f"sip:a@127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "dracht.cli", "call", uri], stderr=subprocess.PIPE, text=True
        )
        try:
            silent.recv(65536)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert "interrupt again" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=5.0)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
