"""`dracht doctor --live` tells what a server that runs shows its peers: a real server is asked, over every transport."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dracht import Dns, Tls
from dracht.cli.processes import Process
from dracht.doctor import Finding, Situation
from dracht.doctor.asking import Target
from dracht.doctor.live import judge, listeners, reach, targets
from dracht.server import Server, ServerConfig

from tests.interop.certificates import Authority
from tests.nameserver import NameServer

SECRET = "0123456789abcdef"
LISTEN = [f"sip:127.0.0.1:0;transport={one}" for one in ("udp", "tcp", "tls", "ws", "wss")]


@contextmanager
def served(tls: Tls) -> Iterator[Server]:
    with Server(ServerConfig(LISTEN, "127.0.0.1:0", SECRET, tls=tls)) as server:
        yield server


def asked(text: str, **options: Any) -> list[Target]:
    return targets(Situation({"listen": ("sip:127.0.0.1:0",), **options}), text)[0]


def of(findings: list[Finding]) -> dict[str, Finding]:
    return {one.check: one for one in findings}


def at(server: Server, host: str) -> list[Target]:
    """The listeners of a server, asked for by a name."""
    found = listeners(server.hostports)
    return [Target(one.transport, host, one.address, one.port) for one in found]


def dracht(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("DRACHT_")}
    command = [sys.executable, "-m", "dracht.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_every_transport_of_a_server_is_asked_and_its_certificate_is_seen(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = Tls(certificates=[authority.issue("localhost", days=60).pair])
    trusting = Situation({"tls": Tls(authorities=[authority.file])})
    with served(tls) as server:
        reached = reach(trusting, at(server, "localhost"))
    assert [one.target.transport for one in reached] == ["udp", "tcp", "tls", "ws", "wss"]
    for one in reached:
        assert one.answer is not None, one
        assert one.answer.response.status == 503
        # RFC 3581 §4: the server told the address and port that this request came from.
        assert one.answer.seen_as[1] == one.answer.own[1]
        assert one.answer.own[0] == "127.0.0.1"
    shown = [one.served for one in reached if one.served is not None]
    assert [one.names for one in shown] == [("localhost",), ("localhost",)]
    assert [one.version for one in shown] == ["TLSv1.3", "TLSv1.3"]
    assert [one.check for one in judge(reached)] == ["live-unavailable"]


@pytest.mark.parametrize(
    ("host", "days", "trusted", "checks"),
    [
        ("localhost", 60, True, set()),
        ("localhost", 60, False, {"live-certificate-chain"}),
        ("localhost", 5, True, {"live-certificate-expires"}),
        ("localhost", -1, True, {"live-certificate-date"}),
        ("sip.example.com", 60, True, {"live-certificate-name"}),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told_as_it_is_shown(
    host: str, days: int, trusted: bool, checks: set[str], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    looking = Situation({"tls": Tls(authorities=[authority.file] if trusted else [])})
    with served(Tls(certificates=[authority.issue("localhost", days=days).pair])) as server:
        secure = [one for one in at(server, host) if one.transport == "tls"]
        findings = of(judge(reach(looking, secure)))
    assert set(findings) == {"live-unavailable", *checks}


def test_a_server_that_wants_a_certificate_of_ours_is_shown_the_configured_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, ours = authority.issue("localhost", days=60).pair, authority.issue("doctor.example", days=60).pair
    tls = Tls(certificates=[own], authorities=[authority.file], client_certificates="demanded")
    with served(tls) as server:
        secure = [one for one in at(server, "localhost") if one.is_secure]
        with_ours = reach(Situation({"tls": Tls(certificates=[ours], authorities=[authority.file])}), secure)
        without = reach(Situation({"tls": Tls(authorities=[authority.file])}), secure)
    assert all(one.answer is not None and one.served is not None for one in with_ours)
    assert all(one.answer is None and one.failure for one in without)


def test_what_does_not_answer_is_told_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dracht.doctor.asking._REPEATED", (0.05, 0.05))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        socket.create_server(("127.0.0.1", 0)) as deaf,
    ):
        silent.bind(("127.0.0.1", 0))
        accepted = threading.Thread(target=lambda: deaf.accept()[0].close())
        accepted.start()
        udp, tcp = silent.getsockname()[1], deaf.getsockname()[1]
        nobody = [Target("udp", "127.0.0.1", "127.0.0.1", udp), Target("tcp", "127.0.0.1", "127.0.0.1", tcp)]
        free = Target("tcp", "127.0.0.1", "127.0.0.1", 1, wanted=False)
        reached = reach(Situation({}), [*nobody, free])
        accepted.join()
    assert [one.failure for one in reached] == [
        "no answer within 4 s",
        "the connection was closed without an answer",
        "refused: nothing listens there",
    ]
    findings = judge(reached)
    assert [(one.severity, one.check) for one in findings] == [
        ("problem", "live-silent"),
        ("problem", "live-silent"),
        ("problem", "live-nothing"),
        ("note", "live-silent"),
    ]


@contextmanager
def saying(*fields: str) -> Iterator[Target]:
    """Somebody on UDP who answers one request with these header fields besides the usual ones."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaking:
        speaking.bind(("127.0.0.1", 0))

        def answer() -> None:
            data, peer = speaking.recvfrom(65_536)
            usual = [
                line
                for line in data.decode().split("\r\n")
                if line.startswith(("From", "To", "Call", "CSeq"))
            ]
            head = ["SIP/2.0 200 OK", *fields, *usual, "Content-Length: 0", "", ""]
            speaking.sendto("\r\n".join(head).encode(), peer)

        thread = threading.Thread(target=answer)
        thread.start()
        yield Target("udp", "127.0.0.1", "127.0.0.1", speaking.getsockname()[1])
        thread.join()


def test_what_a_peer_would_be_told_wrongly_is_told() -> None:
    via = "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx;received=203.0.113.9"
    with saying(via, "Contact: <sip:10.1.2.3:5060>", "Date: Sat, 13 Nov 2010 23:29:00 GMT") as target:
        (one,) = reach(Situation({}), [target])
    public = Target("udp", "203.0.113.1", "203.0.113.1", 5060)
    findings = of(judge([type(one)(public, one.answer, "")]))
    assert set(findings) == {"live-no-rport", "live-nat", "live-private", "live-clock"}
    assert "sees us as 203.0.113.9; here we are 127.0.0.1:" in findings["live-nat"].seen
    assert "answer to 10.1.2.3, a private address" in findings["live-private"].seen
    assert "s behind ours" in findings["live-clock"].seen
    assert "live-private" not in of(judge([one])), "to a peer on this machine it is an address like its own"


async def test_a_name_is_looked_up_as_a_peer_would() -> None:
    import asyncio

    async with NameServer() as known:
        known.host("one.example", "127.0.0.1")
        known.srv("_sip._udp.office.example", (1, 1, 5070, "one.example"))
        known.host("office.example", "127.0.0.2")
        dns = Dns(servers=[known.address], hosts=False)
        bare = await asyncio.to_thread(asked, "office.example", dns=dns)
        chosen = await asyncio.to_thread(asked, "sip:office.example:5099;transport=tcp,wss", dns=dns)
        lost, findings = await asyncio.to_thread(
            targets, Situation({"listen": ("sip:127.0.0.1:0",), "dns": dns}), "nowhere.example"
        )
    assert [(one.name, one.wanted) for one in bare] == [
        ("udp 127.0.0.1:5070", True),
        ("udp 127.0.0.2:5060", False),
        ("tcp 127.0.0.2:5060", False),
        ("tls 127.0.0.2:5061", False),
    ]
    assert [one.name for one in chosen] == ["tcp 127.0.0.2:5099", "wss 127.0.0.2:5099"]
    assert (lost, [one.check for one in findings]) == ([], ["live-name"])


def test_the_ports_of_a_configuration_are_asked_elsewhere() -> None:
    there = Situation({"listen": ("sip:*:5062", "sips:*:5063;advertise=sip.example.com:5064")})
    found, _ = targets(there, "127.0.0.9", configured=True)
    assert [one.name for one in found] == ["udp 127.0.0.9:5062", "tcp 127.0.0.9:5062", "tls 127.0.0.9:5064"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("127.0.0.9:5070", ["udp 127.0.0.9:5070", "tcp 127.0.0.9:5070"]),
        ("[::1]:5070", ["udp [::1]:5070", "tcp [::1]:5070"]),
        ("sips:127.0.0.9", ["tls 127.0.0.9:5061"]),
        ("sip:127.0.0.9;transport=ws", ["ws 127.0.0.9:80"]),
    ],
)
def test_servers_are_named_as_listeners_are(text: str, names: list[str]) -> None:
    assert [one.name for one in asked(text)] == names


@pytest.mark.parametrize("text", ["", "http://a", "a:b", "127.0.0.1:99999", "sip:a;transport=sctp"])
def test_what_names_no_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no server: give HOST, HOST:PORT or sip:HOST:PORT;transport="):
        asked(text)


def test_the_command_learns_the_listeners_from_the_control_port(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with served(Tls(certificates=[authority.issue("127.0.0.1", days=60).pair])) as server:
        arguments = ("doctor", "--live", f"tcp://{server.control}", "--tls-authority", str(authority.file))
        done = dracht(*arguments, "--secret", SECRET, "--json")
        refused = dracht(*arguments, "--secret", "another secret")
        without = dracht(*arguments)
        expected = [text.replace("/", " ") for text in server.hostports]
    document = json.loads(done.stdout)
    assert [one["target"] for one in document["live"]] == expected
    assert all(one["answer"].startswith("503 ") for one in document["live"])
    assert document["live"][2]["certificate"].startswith("127.0.0.1 until ")
    assert document["status"] == done.returncode == 1
    assert refused.returncode == 1
    assert "refused the secret" in refused.stderr
    assert without.returncode == 2
    assert "give --secret TEXT or DRACHT_SECRET" in without.stderr


def test_a_control_port_over_tls_is_asked_when_its_authority_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = Tls(certificates=[authority.issue("127.0.0.1", days=60).pair])
    with Server(
        ServerConfig(["sip:127.0.0.1:0;transport=udp"], "tls://127.0.0.1:0", SECRET, tls=tls)
    ) as server:
        arguments = ("doctor", "--live", server.control_url, "--secret", SECRET, "--json")
        done = dracht(*arguments, "--tls-authority", str(authority.file))
        distrusting = dracht(*arguments)
        expected = [text.replace("/", " ") for text in server.hostports]
    assert [one["target"] for one in json.loads(done.stdout)["live"]] == expected
    assert distrusting.returncode == 1
    assert "certificate verify failed" in distrusting.stderr


def test_the_command_tells_people_what_a_server_with_an_application_shows() -> None:
    with Process("answer", "--listen", "sip:127.0.0.1:0") as answering:
        port = answering.until(r"127\.0\.0\.1:(\d+)")[1]
        done = dracht("doctor", "--live", f"127.0.0.1:{port}")
    assert f"udp 127.0.0.1:{port}\t200 OK" in done.stdout, done.stdout + done.stderr
    assert f"tcp 127.0.0.1:{port}\t200 OK" in done.stdout
    assert done.returncode == 0
    assert "live-" not in done.stdout
