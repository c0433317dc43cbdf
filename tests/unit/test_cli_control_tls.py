"""`dracht status` and `dracht ban` tell the secret of a `tls://` control port to its server alone, and say why not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dracht import Tls
from dracht.server import Server, ServerConfig

from tests.interop.certificates import Authority

from .test_cli_commands import dracht

SECRET = "0123456789abcdef"
QUESTIONS = (["status"], ["ban", "192.0.2.7"])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    tls = Tls(certificates=[authority.issue("127.0.0.1").pair])
    config = ServerConfig(["sip:127.0.0.1:0;transport=udp"], "tls://127.0.0.1:0", SECRET, tls=tls)
    with Server(config) as server:
        yield server


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_server_that_is_trusted_is_asked(question: list[str], server: Server, authority: Authority) -> None:
    trust = ["--tls-authority", str(authority.file)]
    done = dracht(*question, "--control", server.control_url, "--secret", SECRET, *trust)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("question", QUESTIONS)
def test_one_that_is_not_is_told_nothing(question: list[str], server: Server) -> None:
    done = dracht(*question, "--control", server.control_url, "--secret", SECRET)
    assert done.returncode == 1
    assert "certificate verify failed" in done.stderr
    assert "give --tls-authority FILE" in done.stderr


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_secret_is_not_sent_in_clear(question: list[str]) -> None:
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hear() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.extend(connection.recv(65536))
                connection.sendall(b"this is no TLS\r\n")

        hearing = threading.Thread(target=hear)
        hearing.start()
        control = f"tls://127.0.0.1:{listening.getsockname()[1]}"
        done = dracht(*question, "--control", control, "--secret", SECRET)
        hearing.join()
    assert heard
    assert SECRET.encode() not in heard
    assert done.returncode == 1
    assert "it does not speak TLS" in done.stderr


def test_asked_without_tls_it_says_that_the_server_speaks_tls(server: Server) -> None:
    control = server.control_url.removeprefix("tls://")
    done = dracht("status", "--control", control, "--secret", SECRET)
    assert done.returncode == 1
    assert "it speaks TLS: write tls://" in done.stderr


def test_an_authority_that_is_not_there_is_named() -> None:
    trust = ["--tls-authority", "missing.pem"]
    done = dracht("status", "--control", "tls://127.0.0.1:1", "--secret", SECRET, *trust)
    assert done.returncode in (1, 2)
    assert "missing.pem" in done.stderr
