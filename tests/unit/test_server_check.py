"""What `dracht serve --check` finds before anything is opened, each mistake with its file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from dracht.server.configuration import ConfigurationError, configure

MINIMUM = '[server]\nsecret = "x"\n'


def file_of(folder: Path, text: str) -> Path:
    path = folder / "dracht.toml"
    path.write_text(text)
    return path


def issued(folder: Path, name: str) -> tuple[str, str]:
    """The files of a certificate and its key."""
    made = trustme.CA().issue_cert(name)
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(key))
    return chain.name, key.name


def wrong(folder: Path, text: str, given: dict[str, Any] | None = None, **environment: str) -> list[str]:
    """What `dracht serve --check` finds in a file, the folder left out."""
    with pytest.raises(ConfigurationError) as caught:
        configure(file_of(folder, text), environment, given, with_files=True)
    return [one.replace(f"{folder}/", "") for one in caught.value.mistakes]


def test_every_listener_and_address_that_cannot_be_read_is_told_with_its_line(tmp_path: Path) -> None:
    text = """
[server]
secret = "x"
listen = [
  "sip:*:5060",
  "sip:nowhere.example:5060",
  "sip:*:70000",
  "sip:*:5062;transport=sctp",
]
advertise = "198.51.100.7:x"
control = "9022"
"""
    found = wrong(tmp_path, text)
    assert [one.partition(": cannot")[0] for one in found[:3]] == ["dracht.toml:4: [server] listen"] * 3
    assert ["nowhere.example" in found[0], "70000" in found[1], "sctp" in found[2]] == [True] * 3
    assert found[3].startswith('dracht.toml:10: [server] advertise: cannot advertise "198.51.100.7:x"')
    assert found[4] == (
        "dracht.toml:11: [server] control: '9022' is not HOST:PORT, as 127.0.0.1:9022 or [::1]:9022"
    )
    assert len(found) == 5


def test_a_list_without_a_listener_is_told_with_its_line(tmp_path: Path) -> None:
    text = "no SIP listener: give at least one, as sip:127.0.0.1:5060;transport=udp,tcp"
    assert wrong(tmp_path, MINIMUM + "listen = []\n") == [f"dracht.toml:3: [server] listen: {text}"]
    assert wrong(tmp_path, MINIMUM, DRACHT_LISTEN="[]") == [f"DRACHT_LISTEN: {text}"]
    found = wrong(tmp_path, MINIMUM + 'listen = []\ncontrol = "9022"\n')
    assert [one.partition("] ")[2].partition(":")[0] for one in found] == ["listen", "control"]


def test_every_wrong_item_of_a_list_is_told(tmp_path: Path) -> None:
    text = """
listen = ["sip:nowhere.example", 5060, "sip:*:70000"]
[dns]
servers = ["nowhere", "192.0.2.53", "192.0.2.53:99999"]
[admission]
trusted = ["nobody", "10.0.0.0/8", "10.0.0.0/33", "nobody"]
[network]
local_networks = ["10.0.0.1/8", "192.168.0.0/16", "192.168.1.1/16"]
[streams]
origins = ["phone.example", "https://phone.example", "other.example"]
"""
    found: dict[int, list[str]] = {}
    for one in wrong(tmp_path, MINIMUM + text):
        found.setdefault(int(one.split(":")[1]), []).append(one.partition("] ")[2])
    words = {
        4: ["item 2: 5060 is not a text", "nowhere.example", "70000"],
        6: ["'nowhere' is no address", "99999"],
        8: ["'nobody' is no address or network", "'10.0.0.0/33'"],
        10: ["10.0.0.1/8", "192.168.1.1/16"],
        12: ["'phone.example'", "'other.example'"],
    }
    assert {line: len(texts) for line, texts in found.items()} == {
        line: len(each) for line, each in words.items()
    }, found
    for line, each in words.items():
        for word, told in zip(each, found[line], strict=True):
            assert word in told, told


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            'listen = ["sip:*:5060", "sip:*:5060;transport=tcp"]',
            "dracht.toml:3: [server] listen: sip:*:5060;transport=tcp: 0.0.0.0:5060 is taken by tcp of sip:*:5060: "
            "choose another port",
        ),
        (
            'listen = ["sip:127.0.0.1:9022"]\ncontrol = "127.0.0.1:9022"',
            "dracht.toml:4: [server] control: 127.0.0.1:9022 is taken by tcp of sip:127.0.0.1:9022: choose another port",
        ),
        (
            'listen = ["sips:*"]',
            "dracht.toml:3: [server] listen: sips:* has no certificate to show: give certificates in [tls], "
            "or --tls-certificate and --tls-key",
        ),
        (
            'control = "tls://*:9023"',
            "dracht.toml:3: [server] control: tls://*:9023 has no certificate to show: give certificates in [tls], "
            "or --tls-certificate and --tls-key",
        ),
    ],
)
def test_what_cannot_be_opened_together_is_told_before_anything_is(
    lines: str, message: str, tmp_path: Path
) -> None:
    assert wrong(tmp_path, MINIMUM + lines + "\n") == [message]


@pytest.mark.parametrize(
    ("listen", "taken"),
    [
        ('"sip:*:5860", "sip:127.0.0.1:5860;transport=udp"', "127.0.0.1:5860 is taken by udp of sip:*:5860"),
        ('"sip:127.0.0.1:5860", "sip:*:5860;transport=tcp"', "0.0.0.0:5860 is taken by tcp of sip:127.0.0.1:5860"),
        ('"sip:[::]:5860", "sip:[::1]:5860;transport=udp"', "[::1]:5860 is taken by udp of sip:[::]:5860"),
    ],
)  # fmt: skip
def test_a_listener_on_every_address_takes_the_port_of_each(listen: str, taken: str, tmp_path: Path) -> None:
    (found,) = wrong(tmp_path, f"{MINIMUM}listen = [{listen}]\n")
    assert f"{taken}: choose another port" in found
    config, _ = configure(file_of(tmp_path, f'{MINIMUM}listen = ["sip:*:5860", "sip:[::]:5860"]\n'))
    assert len(config.listen) == 2, "each family has ports of its own"


def test_what_no_engine_can_be_told_is_out_of_range(tmp_path: Path) -> None:
    text = """
[limits]
max_message_bytes = 99999999999999999999
max_dialogs = 99999999999999999999
[timers]
timer_c = 1e300
dialog_idle = 1e300
[session_timers]
min_se = 5000000000
[streams]
max_connections = 99999999999999999999
"""
    assert [one.partition(" is out of range: ")[::2] for one in wrong(tmp_path, MINIMUM + text)] == [
        ("dracht.toml:11: [session_timers] min_se: 5000000000", "90 to 4,294,967,295"),
        ("dracht.toml:8: [timers] timer_c: 1e+300", "0.001 to 1,000,000,000"),
        ("dracht.toml:9: [timers] dialog_idle: 1e+300", "0.001 to 1,000,000,000"),
        ("dracht.toml:6: [limits] max_dialogs: 99999999999999999999", "1 to 4,294,967,295"),
        ("dracht.toml:5: [limits] max_message_bytes: 99999999999999999999", "1024 to 4,294,967,295"),
        (
            "dracht.toml:13: [streams] max_connections: Streams: max_connections=99999999999999999999",
            "less than 4,294,967,296",
        ),
    ]


def test_no_mistake_in_a_table_hides_another(tmp_path: Path) -> None:
    text = """
[dns]
unavailable = 1000
unavailable_longest = 2000
timeout = 0
servers = ["nowhere"]
attempts = "many"
[admission]
rate = 0
trusted = ["nobody"]
ban = -1
known_burst = 5.5
filters = [{ seconds = 5 }, { user_agent = "x*" }, { action = "drp", methods = ["BYE"] }, 5]
[network]
relay_secret = ""
nat = ["guess"]
[streams]
idle_timeout = 30
origins = ["phone.example"]
"""
    found = wrong(tmp_path, MINIMUM + 'listen = ["sip:*:5060", "sip:*:5060"]\n' + text)
    assert sorted(int(one.split(":")[1]) for one in found) == [3, 8, 9, 10, 12, 13, 14, 15, 16, 18, 19, 22]
    told = {int(one.split(":")[1]): one.partition("] ")[2] for one in found}
    assert told[8].startswith("timeout: Dns: timeout" if "Dns: " in told[8] else "timeout: timeout=0")
    assert told[9].startswith("servers: servers: 'nowhere' is no address")
    assert told[13].startswith("trusted: 'nobody' is no address or network")
    assert [part[:6] for part in told[16].removeprefix("filters: ").split("; ")] == [
        "item 1",
        "item 3",
        "item 4",
    ]
    assert told[22].startswith("origins: Streams: 'phone.example' is no origin")


def test_a_misspelt_method_of_a_filter_is_told_with_its_line(tmp_path: Path) -> None:
    (found,) = wrong(tmp_path, MINIMUM + '[admission]\nfilters = [{ methods = ["BYE", "invte"] }]\n')
    assert found == (
        "dracht.toml:4: [admission] filters: item 1: 'invte' is no known SIP method; did you mean 'invite'?"
    )


def test_a_table_of_tls_that_cannot_be_used_is_not_missed_by_a_listener(tmp_path: Path) -> None:
    text = f'{MINIMUM}listen = ["sips:*"]\n[tls]\ncertificates = [["a.pem", "a.key"]]\nreload_interval = -1\n'
    (found,) = wrong(tmp_path, text)
    assert found.startswith("dracht.toml:6: [tls] reload_interval: Tls: reload_interval is a number")


def test_secret_and_secret_file_exclude_one_another(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from the file")
    both = '[server]\nsecret = "x"\nsecret_file = "token"\n'
    assert wrong(tmp_path, both) == [
        "dracht.toml:3: [server] secret_file: the secret is given as well (dracht.toml:2: [server] secret): "
        "choose one of the two"
    ]
    token = str(tmp_path / "token")
    config, _ = configure(file_of(tmp_path, '[server]\nsecret = "x"\n'), {"DRACHT_SECRET_FILE": token})
    assert config.secret == "from the file", "the environment wins over the file"


def test_two_transports_may_have_one_port_and_port_0_is_any(tmp_path: Path) -> None:
    listen = 'listen = ["sip:*:5060;transport=udp", "sip:*:5060;transport=tcp", "sip:*:0", "sip:*:0"]\n'
    config, _ = configure(file_of(tmp_path, MINIMUM + listen), with_files=True)
    assert len(config.listen) == 4


def test_a_control_port_of_an_unknown_name_is_told(tmp_path: Path) -> None:
    (found,) = wrong(tmp_path, MINIMUM + 'control = "nowhere.invalid:9022"\n')
    assert found.startswith("dracht.toml:3: [server] control: nowhere.invalid has no address (")


@pytest.mark.parametrize(("secret", "sign"), [("a|b", "a `|`"), ("a\\nb", "a line break")])
def test_a_secret_that_nobody_could_send_is_told(secret: str, sign: str, tmp_path: Path) -> None:
    (found,) = wrong(tmp_path, f'[server]\nsecret = "{secret}"\n')
    assert found == (
        f"dracht.toml:2: [server] secret: the secret holds {sign}, and no application could authenticate with it"
    )
    (tmp_path / "token").write_text(secret.replace("\\n", "\n"))
    (found,) = wrong(tmp_path, '[server]\nsecret_file = "token"\n')
    assert found.startswith("token: the secret holds")


def test_certificates_that_cannot_be_used_are_each_told_with_the_line(tmp_path: Path) -> None:
    good, other = issued(tmp_path, "a.example"), issued(tmp_path, "b.example")
    (tmp_path / "empty.pem").write_text("")
    junk = "-----BEGIN CERTIFICATE-----\nAAECAwQF\n-----END CERTIFICATE-----\n"
    (tmp_path / "junk.pem").write_text((tmp_path / good[0]).read_text() + junk)
    text = f"""{MINIMUM}
[tls]
verify = false
certificates = [
  ["{good[0]}", "{good[1]}"],
  ["{good[0]}", "{other[1]}"],
  ["missing.pem", "{good[1]}"],
  ["junk.pem", "{good[1]}"],
]
authorities = ["empty.pem"]
reload_interval = 1
"""
    mismatch, missing, unreadable, empty = wrong(tmp_path, text)
    assert mismatch.startswith("dracht.toml:6: [tls] certificates: item 2: b.example.key: is not the key of ")
    assert missing.startswith("dracht.toml:6: [tls] certificates: item 3: missing.pem: cannot be read: ")
    assert "item 4: junk.pem: certificate 2 of the 2 in it cannot be read" in unreadable
    assert empty.startswith("dracht.toml:12: [tls] authorities: item 1: empty.pem")
    config, _ = configure(file_of(tmp_path, text))
    assert config.tls is not None, (
        "without --check the start reads the files, and says what is wrong with them"
    )


def test_certificates_of_the_command_line_are_told_by_their_options(tmp_path: Path) -> None:
    given = {"tls": {"certificates": [(tmp_path / "no.pem", tmp_path / "no.key")]}}
    (found,) = wrong(tmp_path, MINIMUM, given)
    assert found.startswith("--tls-certificate: item 1: no.pem")


def test_certificates_that_are_right_are_taken(tmp_path: Path) -> None:
    chain, key = issued(tmp_path, "a.example")
    text = f'{MINIMUM}listen = ["sips:*"]\n[tls]\ncertificates = [["{chain}", "{key}"]]\n'
    config, _ = configure(file_of(tmp_path, text), with_files=True)
    assert config.tls is not None
    assert config.tls.certificates == ((tmp_path / chain, tmp_path / key),)


def test_a_mistake_in_a_table_has_the_line_of_the_key_that_it_speaks_of(tmp_path: Path) -> None:
    text = MINIMUM + '[network]\nrelay_unsigned = "drop"\nlocal_networks = ["10.0.0.1/8"]\n'
    (found,) = wrong(tmp_path, text)
    assert found.startswith(
        "dracht.toml:5: [network] local_networks: local_networks: 10.0.0.1/8 has host bits"
    )
    text = MINIMUM + "[session_timers]\nmin_se = 200\nsession_expires = 100\n"
    (found,) = wrong(tmp_path, text)
    assert (
        found
        == "dracht.toml:5: [session_timers] session_expires: session_expires=100 is less than min_se=200"
    )
    (found,) = wrong(tmp_path, MINIMUM, {"listen": ("nonsense",)})
    assert found.startswith('--listen: cannot listen on "nonsense"')
