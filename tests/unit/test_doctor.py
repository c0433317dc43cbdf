"""The doctor finds what is wrong, says it to somebody who has never seen SIP, and says nothing where nothing is wrong."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dracht import Dns, Tls
from dracht.doctor import (
    Finding,
    Machine,
    Situation,
    clock,
    examine,
    exit_status,
    limits,
    listening,
    names,
    surroundings,
)
from dracht.doctor import addresses as addresses_checks
from dracht.doctor.machine import Address, Network
from dracht.doctor.situation import is_private

from tests.interop.certificates import Authority
from tests.nameserver import NameServer

LOOPBACK = "sip:127.0.0.1:0;transport=udp"
PUBLIC, PRIVATE = ipaddress.ip_address("203.0.113.7"), ipaddress.ip_address("10.1.2.3")


class Elsewhere(Machine):
    """A machine with one network and one way out, whatever this one has."""

    def __init__(self, root: Path, out: Address | None = PUBLIC, out6: Address | None = None) -> None:
        super().__init__(root)
        self._out = {4: out, 6: out6}
        self.networks = (
            [] if out is None else [Network("eth0", ipaddress.ip_network((out, 24), strict=False))]
        )

    def source_towards(self, peer: Address) -> Address | None:
        return peer if peer.is_loopback else self._out[peer.version]


def written(root: Path, **files: str) -> Path:
    """Files below a root; `__` in a name is a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def situation(root: Path, *listen: str, machine: Machine | None = None, **options: Any) -> Situation:
    chosen = machine or Elsewhere(root)
    given: Mapping[str, Any] = {"listen": listen or (LOOPBACK,), **options}
    return Situation(given, machine=chosen)


def found(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


# ---- addresses


def test_each_peer_is_shown_as_the_engine_would_tell_it(tmp_path: Path) -> None:
    seen = situation(tmp_path, "sip:*:5060;transport=udp,tcp", advertise="198.51.100.9:5099").seen
    told = {(one.listener.transport, one.peer.place): (one.contact, one.record_route) for one in seen}
    assert told["udp", "machine"] == ("<sip:127.0.0.1:5060>", "<sip:127.0.0.1:5060;lr>")
    assert told["tcp", "internet"][0] == "<sip:198.51.100.9:5099;transport=tcp>"
    assert "sip:198.51.100.9:5099" in told["udp", "internet"][1]
    assert all("198.51.100.9:5099" in one.via for one in seen if one.peer.place == "internet")


def test_a_private_address_shown_to_the_internet_is_told(tmp_path: Path) -> None:
    machine = Elsewhere(tmp_path, PRIVATE)
    finding = found(addresses_checks.shown(situation(tmp_path, "sip:10.1.2.3:5060", machine=machine)))
    assert finding["private-address"].severity == "warning"
    assert "told to answer to 10.1.2.3" in finding["private-address"].seen
    behind = situation(tmp_path, "sip:10.1.2.3:5060;advertise=203.0.113.7", machine=machine)
    assert not found(addresses_checks.shown(behind))
    assert not found(addresses_checks.shown(situation(tmp_path, "sip:203.0.113.7:5060")))


PRIVATE6 = ipaddress.ip_address("fd00::5")


def test_listeners_of_the_family_that_an_advertised_address_is_not_of_are_told(tmp_path: Path) -> None:
    both = ("sip:*:5060", "sip:[::]:5060")
    machine = Elsewhere(tmp_path, PRIVATE, PRIVATE6)
    findings = list(
        addresses_checks.shown(situation(tmp_path, *both, machine=machine, advertise="203.0.113.7:5080"))
    )
    assert [(one.severity, one.check) for one in findings] == [("warning", "advertised-family")]
    assert "told to answer to fd00::5" in findings[0].seen
    assert "203.0.113.7 is advertised, an address of IPv4" in findings[0].seen
    assert "udp [::]:5060" in findings[0].seen
    assert "0.0.0.0" not in findings[0].seen
    assert ";advertise=[ADDRESS]" in findings[0].advice
    (four,) = addresses_checks.shown(
        situation(tmp_path, *both, machine=machine, advertise="[2001:db8::7]:5080")
    )
    assert (four.check, "told to answer to 10.1.2.3" in four.seen) == ("advertised-family", True)
    # Named for one listener alone, the other is as private as before.
    (own,) = addresses_checks.shown(
        situation(tmp_path, "sip:*:5060;advertise=203.0.113.7", both[1], machine=machine)
    )
    assert own.check == "advertised-family"


def test_an_address_advertised_in_one_family_is_right_where_the_other_is_public(tmp_path: Path) -> None:
    both = ("sip:*:5060", "sip:[::]:5060")
    public = Elsewhere(tmp_path, PRIVATE, ipaddress.ip_address("2001:db8::5"))
    assert not found(
        addresses_checks.shown(situation(tmp_path, *both, machine=public, advertise="203.0.113.7"))
    )
    each = ("sip:*:5060", "sip:[::]:5060;advertise=[2001:db8::7]")
    machine = Elsewhere(tmp_path, PRIVATE, PRIVATE6)
    assert not found(
        addresses_checks.shown(situation(tmp_path, *each, machine=machine, advertise="203.0.113.7"))
    )


def test_an_advertised_address_of_a_family_that_no_listener_is_of_is_told(tmp_path: Path) -> None:
    machine = Elsewhere(tmp_path, PRIVATE, PRIVATE6)
    here = situation(tmp_path, "sip:[::]:5060;transport=udp", machine=machine, advertise="203.0.113.7")
    finding = found(addresses_checks.shown(here))["advertised-family"]
    assert "no listener is on IPv4: every listener tells it" in finding.seen
    (seen,) = {one.contact for one in here.seen if one.peer.place == "internet"}
    assert seen == "<sip:203.0.113.7:5060>"


def test_listening_on_loopback_only_is_said(tmp_path: Path) -> None:
    assert found(addresses_checks.shown(situation(tmp_path)))["loopback-only"].severity == "note"


@pytest.mark.parametrize(
    ("advertise", "severity", "text"),
    [
        ("127.0.0.1", "problem", "no peer elsewhere can reach"),
        ("0.0.0.0", "problem", "no peer elsewhere can reach"),
        ("10.9.9.9", "warning", "private address 10.9.9.9 is advertised"),
        ("nowhere.invalid", "problem", "nowhere.invalid has no address"),
        ("localhost", "warning", "localhost is 127.0.0.1: a private address"),
    ],
)
def test_what_is_advertised_wrongly_is_told(advertise: str, severity: str, text: str, tmp_path: Path) -> None:
    finding = found(addresses_checks.advertised(situation(tmp_path, "sip:*:5060", advertise=advertise)))
    (only,) = finding.values()
    assert (only.severity, text in only.seen) == (severity, True), only


def test_a_name_without_an_address_of_the_listener_s_family_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("203.0.113.7", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    both = situation(tmp_path, "sip:*:5060", "sip:[::]:5060", advertise="sip.example")
    assert "no IPv6 address" in found(addresses_checks.advertised(both))["advertised-name"].seen
    assert not found(addresses_checks.advertised(situation(tmp_path, "sip:*:5060", advertise="sip.example")))
    answer[0] = (*answer[0][:4], ("203.0.113.99", 0))
    elsewhere = situation(tmp_path, "sip:*:5060", advertise="sip.example")
    assert found(addresses_checks.advertised(elsewhere))["advertised-name"].severity == "note"


def test_private_addresses() -> None:
    for text in (
        "10.0.0.1",
        "172.31.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "fd00::1",
        "::1",
        "fe80::1",
    ):
        assert is_private(ipaddress.ip_address(text)), text
    for text in ("172.32.0.1", "100.128.0.1", "203.0.113.1", "2001:db8::1", "8.8.8.8"):
        assert not is_private(ipaddress.ip_address(text)), text


# ---- ports, control port, secret


def test_a_port_that_is_taken_is_told_with_who_has_it() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
        socket.create_server(("127.0.0.1", 0)) as control,
    ):
        taken.bind(("127.0.0.1", 0))
        listen = f"sip:127.0.0.1:{taken.getsockname()[1]};transport=udp"
        here = Situation({"listen": (listen,), "control": f"127.0.0.1:{control.getsockname()[1]}"})
        findings = list(listening.ports(here))
    assert [one.check for one in findings] == ["port-taken", "port-taken"]
    for one in findings:
        assert f"(process {os.getpid()})" in one.seen
    assert not list(listening.ports(here)), "nothing is said of what is free"


def test_an_address_that_is_not_ours_is_told() -> None:
    here = Situation({"listen": ("sip:198.51.100.200:5060;transport=udp",)})
    assert found(listening.ports(here))["address-missing"].severity == "problem"


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else takes root")
def test_a_port_that_takes_a_privilege_is_told(tmp_path: Path) -> None:
    first = Machine().setting("net.ipv4.ip_unprivileged_port_start") or 1024
    if first == 0:
        pytest.skip("every port is free to everybody on this system")
    code = (
        "import os\nfrom dracht.doctor import Situation, listening\nos.setgid(65534); os.setuid(65534)\n"
        f"print([x.check for x in listening.ports(Situation(dict(listen=('sip:127.0.0.1:{first - 1};transport=tcp',))))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "['port-privileged']\n", done.stderr


@pytest.mark.parametrize(
    ("control", "severity"),
    [
        ("0.0.0.0:9022", "problem"),
        ("*:9022", "problem"),
        ("[::]:9022", "problem"),
        ("203.0.113.7:9022", "problem"),
        ("127.0.0.1:9022", None),
        ("10.0.0.5:9022", None),
        ("tls://0.0.0.0:9023", "warning"),
        ("tls://[2001:db8::7]:9023", "warning"),
        ("tls://10.0.0.5:9023", None),
    ],
)
def test_a_control_port_that_strangers_reach_is_told(
    control: str, severity: str | None, tmp_path: Path
) -> None:
    findings = found(listening.control_port(situation(tmp_path, control=control)))
    assert [one.severity for one in findings.values()] == ([severity] if severity else [])


def test_a_control_port_that_demands_certificates_may_be_open(tmp_path: Path) -> None:
    pair = ("chain.pem", "key.pem")
    asked = Tls(certificates=[pair], client_certificates="asked")
    assert found(listening.control_port(situation(tmp_path, control="tls://*:9023", tls=asked)))
    demanded = Tls(certificates=[pair], client_certificates="demanded")
    assert not found(listening.control_port(situation(tmp_path, control="tls://*:9023", tls=demanded)))


def test_a_secret_that_is_short_or_that_everybody_reads_is_told(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(0o644)
    here = Situation({"listen": (LOOPBACK,), "secret": "cymru"}, secret_files=(file,))
    assert set(found(listening.secret(here))) == {"secret-short", "secret-readable"}
    file.chmod(0o640)
    good = Situation({"listen": (LOOPBACK,), "secret": "0123456789abcdef"}, secret_files=(file,))
    assert not found(listening.secret(good))


# ---- limits, clock, surroundings


@contextmanager
def open_files(soft: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_limit_on_open_files_below_what_is_configured_is_told(tmp_path: Path) -> None:
    streams = situation(tmp_path, "sip:127.0.0.1:0", shards=2)
    with open_files(4096):
        finding = found(limits.open_files(streams))["file-limit"]
        assert "4,096 open files, and 33,856 are wanted" in finding.seen
        assert not found(limits.open_files(situation(tmp_path))), "datagrams take no descriptor each"


def test_a_kernel_that_grants_small_buffers_is_told(tmp_path: Path) -> None:
    written(tmp_path, proc__sys__net__core__rmem_max="212992\n")
    assert "208 KiB instead of 4,096" in found(limits.buffers(situation(tmp_path)))["receive-buffer"].seen
    written(tmp_path, proc__sys__net__core__rmem_max="4194304\n")
    assert not found(limits.buffers(situation(tmp_path)))


def test_a_firewall_that_rewrites_sip_or_is_full_is_told(tmp_path: Path) -> None:
    assert not found(limits.connection_tracking(situation(tmp_path)))
    written(
        tmp_path,
        proc__modules="nf_nat_sip 20480 0 - Live 0x0\n",
        proc__sys__net__netfilter__nf_conntrack_count="95\n",
        proc__sys__net__netfilter__nf_conntrack_max="100\n",
        proc__sys__net__netfilter__nf_conntrack_udp_timeout="10\n",
    )
    assert set(found(limits.connection_tracking(situation(tmp_path)))) == {
        "sip-helper",
        "connection-tracking-full",
        "connection-tracking-short",
    }


def test_a_clock_in_the_past_is_told(tmp_path: Path) -> None:
    here = situation(tmp_path)
    here.now = 0.0
    assert "1970-01-01" in found(clock.clock(here))["clock-wrong"].seen
    assert clock.is_synchronised() in (True, False, None)


def test_a_clock_that_is_behind_what_has_happened_is_told(tmp_path: Path) -> None:
    file = tmp_path / "dracht.toml"
    file.write_text("")
    here = Situation({"listen": (LOOPBACK,)}, file=file)
    assert "clock-behind" not in found(clock.clock(here))
    os.utime(file, (here.now + 7200, here.now + 7200))
    finding = found(clock.clock(here))["clock-behind"]
    assert finding.seen.startswith("The clock is behind by at least 2 hours: it says ")
    assert f"{file} was written at " in finding.seen


def test_a_certificate_of_the_future_shows_a_clock_that_is_behind(tmp_path: Path) -> None:
    issued = Authority(tmp_path).issue("sip.example.com", begun=-3, days=30)
    here = Situation({"listen": (LOOPBACK,), "tls": Tls(certificates=[issued.pair])})
    finding = found(clock.clock(here))["clock-behind"]
    assert "behind by at least 3 days" in finding.seen
    assert f"the certificate {issued.certificate} became valid at" in finding.seen


@pytest.mark.parametrize(
    ("state", "error", "checks"),
    [(0, 20_000, set()), (0, 9_500_000, {"clock-loose"}), (5, 16_000_000, {"clock-free"})],
)
def test_what_the_kernel_knows_of_its_clock_is_told(
    state: int, error: int, checks: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_asked", lambda: (state, SimpleNamespace(maxerror=error)))
    findings = found(clock.clock(situation(tmp_path)))
    assert set(findings) == checks
    assert all("9.5 s" in one.seen for name, one in findings.items() if name == "clock-loose")


def test_what_stands_between_this_machine_and_the_internet_is_told(tmp_path: Path) -> None:
    behind = situation(tmp_path, "sip:*:5060", machine=Elsewhere(tmp_path, PRIVATE))
    assert set(found(surroundings.surroundings(behind))) == {"behind-nat"}
    assert set(found(surroundings.surroundings(situation(tmp_path, "sip:*:5060")))) == set()
    alone = situation(tmp_path, "sip:*:5060", machine=Elsewhere(tmp_path, None))
    assert set(found(surroundings.surroundings(alone))) == {"no-way-out"}
    six = Elsewhere(tmp_path, PUBLIC, ipaddress.ip_address("2001:db8::5"))
    assert set(found(surroundings.surroundings(situation(tmp_path, "sip:*:5060", machine=six)))) == {
        "ipv6-unused"
    }
    written(tmp_path, **{".dockerenv": ""})
    assert "a Docker container" in found(surroundings.surroundings(situation(tmp_path)))["container"].seen


def test_the_machine_is_read_from_proc(tmp_path: Path) -> None:
    route = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    six = (
        "fd00000000000000000000000000002a 02 40 00 80 eth0\n00000000000000000000000000000001 01 80 10 80 lo\n"
    )
    machine = Machine(written(tmp_path, proc__net__route=route, proc__net__if_inet6=six))
    assert [str(one.prefix) for one in machine.networks] == ["10.0.0.0/24", "fd00::/64"]
    assert machine.gateway == ("eth0", ipaddress.ip_address("10.0.0.1"))
    assert machine.networks[0].neighbour(ipaddress.ip_address("10.0.0.1")) == ipaddress.ip_address("10.0.0.2")
    assert machine.setting("net.core.rmem_max") is None


# ---- all together


def test_the_worst_finding_comes_first_and_is_the_exit_status(tmp_path: Path) -> None:
    findings = examine(situation(tmp_path, "sip:*:5060", advertise="127.0.0.1", secret="x"))
    assert [one.severity for one in findings] == sorted(
        (one.severity for one in findings), key=["problem", "warning", "note"].index
    )
    assert exit_status(findings) == 2
    assert exit_status(one for one in findings if one.severity != "problem") == 1
    assert exit_status([]) == 0


def dracht(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("DRACHT_")}
    command = [sys.executable, "-m", "dracht.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


def test_the_command_tells_people_and_programs_the_same(tmp_path: Path) -> None:
    file = tmp_path / "dracht.toml"
    file.write_text(
        f'[server]\nlisten = ["{LOOPBACK}"]\ncontrol = "0.0.0.0:0"\nsecret = "0123456789abcdef"\n'
    )
    file.chmod(0o600)
    people = dracht("doctor", "--config", str(file))
    assert people.returncode == 2, people.stderr
    assert "PROBLEM (control-open)" in people.stdout
    assert "sip:127.0.0.1:0" in people.stdout
    programs = dracht("doctor", "--config", str(file), "--json")
    document = json.loads(programs.stdout)
    assert document["status"] == programs.returncode == 2
    assert "control-open" in [one["check"] for one in document["findings"]]
    assert document["seen"][0]["contact"] == "<sip:127.0.0.1:0>"
    assert dracht("doctor", "--listen", "nonsense").returncode == 2


# ---- names


def test_name_servers_that_say_nothing_are_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        machine = Elsewhere(written(tmp_path, **{"etc__resolv.conf": "search x\nnameserver 127.0.0.1\n"}))
        assert names.name_servers(machine) == [("127.0.0.1", 53)]
        given = SimpleNamespace(servers=[f"127.0.0.1:{silent.getsockname()[1]}"])
        here = situation(tmp_path, machine=machine, dns=given)
        assert "No name server answers: 127.0.0.1" in found(names.servers(here))["name-servers"].seen
    written(tmp_path, **{"etc__resolv.conf": ""})
    assert found(names.servers(situation(tmp_path)))["name-servers"].severity == "note"


def test_name_servers_are_read_in_every_spelling(tmp_path: Path) -> None:
    given = SimpleNamespace(servers=["192.0.2.53", "192.0.2.54:5353", "2001:db8::53", "[2001:db8::54]:5353"])
    assert names.name_servers(Elsewhere(tmp_path), given) == [
        ("192.0.2.53", 53),
        ("192.0.2.54", 5353),
        ("2001:db8::53", 53),
        ("2001:db8::54", 5353),
    ]


def test_where_calls_to_a_domain_would_go_is_told(tmp_path: Path) -> None:
    here = situation(tmp_path)
    here.domains = ("localhost", "192.0.2.7")
    (only,) = names.domains(here)
    assert "Calls to localhost go to udp 127.0.0.1:5060" in only.seen


async def test_calls_to_a_domain_are_looked_for_at_the_name_servers_of_the_configuration(
    tmp_path: Path,
) -> None:
    async with NameServer() as known:
        known.host("phone.example", "198.51.100.20")
        known.srv("_sip._udp.office.example", (1, 1, 5070, "phone.example"))
        here = situation(tmp_path, dns=Dns(servers=[known.address], hosts=False))
        here.domains = ("office.example", "nowhere.example")
        went, lost = await asyncio.to_thread(lambda: list(names.domains(here)))
    assert "Calls to office.example go to udp 198.51.100.20:5070" in went.seen
    assert "Calls to nowhere.example go nowhere" in lost.seen
