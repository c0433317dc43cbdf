"""Which versions and ciphers of TLS a server takes: a handshake of `openssl s_client` for each.

    python -m tests.interop.tls_probe 127.0.0.1:5061 [NAME]

prints a table. Nothing is left out because OpenSSL itself thinks little of it: the lowest security level is asked for.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["VERSIONS", "Handshake", "available", "handshake", "offered", "weaknesses"]

VERSIONS = {"TLSv1": "-tls1", "TLSv1.1": "-tls1_1", "TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}
_LIMIT = 20.0  # seconds that one handshake may take on a busy machine
_WEAK = {
    "RC4": "RC4 (RFC 7465)",
    "DES": "DES or triple DES",
    "NULL": "no encryption",
    "EXP": "export strength",
    "ADH": "nobody is authenticated",
    "AECDH": "nobody is authenticated",
    "MD5": "MD5",
    "SEED": "SEED",
    "IDEA": "IDEA",
}


@dataclass(frozen=True)
class Handshake:
    """What came of one handshake, as the client tells it."""

    version: str | None
    """`TLSv1.3`; None when it failed."""
    cipher: str
    subject: str
    """Of the server's certificate."""
    verified: bool
    said: str
    """All that s_client wrote."""

    @property
    def succeeded(self) -> bool:
        return self.version is not None


def available() -> bool:
    """Whether openssl is installed."""
    return shutil.which("openssl") is not None


def handshake(
    address: tuple[str, int], *options: str, name: str | None = None, say: bytes = b""
) -> Handshake:
    """Shakes hands, says something perhaps, and leaves.

    Args:
        options: of `openssl s_client`.
        name: the server name that is asked for (SNI); none by default.
        say: bytes for the server; its answer, up to the first empty line, is in `said`.
    """
    command = ["openssl", "s_client", "-connect", f"{address[0]}:{address[1]}", "-brief", *options]
    command += ["-servername", name] if name else ["-noservername"]
    said = _run(command, say).decode("utf-8", "replace")

    def found(label: str) -> str:
        match = re.search(rf"^{label}: (.*)$", said, re.MULTILINE)
        return match[1].strip() if match else ""

    return Handshake(
        found("Protocol version") or None,
        found("Ciphersuite"),
        found("Peer certificate"),
        found("Verification") == "OK",
        said,
    )


def _run(command: Sequence[str], say: bytes) -> bytes:
    """Runs s_client. At the end of its input it leaves at once, so that end waits for the answer to what was said."""
    output = b""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ending = threading.Timer(_LIMIT, process.kill)
        ending.start()
        try:
            if say:
                process.stdin.write(say)
                process.stdin.flush()
                while (line := process.stdout.readline()).strip() or (line and b"SIP/2.0" not in output):
                    output += line
            process.stdin.close()
            output += process.stdout.read()
        except BrokenPipeError:
            output += process.stdout.read()
        finally:
            ending.cancel()
    return output


@functools.cache
def _known(version: str) -> Sequence[str]:
    """The cipher suites of a version that this OpenSSL can speak at all."""
    if version == "TLSv1.3":
        return (
            "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_128_CCM_SHA256",
            "TLS_AES_128_CCM_8_SHA256",
        )
    everything = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
    listed = subprocess.run(
        ["openssl", "ciphers", "-s", VERSIONS[version], everything],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return [name for name in listed.split(":") if not re.search("PSK|SRP", name)]


def offered(address: tuple[str, int], name: str | None = None) -> dict[str, list[str]]:
    """The cipher suites that a server takes, by version, in its order; a version that it refuses has none.

    All are proposed at once, then all but the one that was chosen, until nothing is chosen any more.
    """
    taken: dict[str, list[str]] = {}
    for version, flag in VERSIONS.items():
        left, taken[version] = list(_known(version)), []
        while left:
            proposed = ":".join(left)
            options = (
                ("-ciphersuites", proposed)
                if version == "TLSv1.3"
                else ("-cipher", f"{proposed}:@SECLEVEL=0")
            )
            answer = handshake(address, flag, *options, name=name)
            if answer.version != version:
                break
            taken[version].append(answer.cipher)
            left.remove(answer.cipher)
    return taken


def weaknesses(version: str, cipher: str) -> list[str]:
    """What is wrong with a cipher suite by RFC 9325 §4.2; nothing is said of a good one."""
    found = [why for mark, why in _WEAK.items() if mark in cipher]
    if version != "TLSv1.3":
        if not re.match("ECDHE|DHE|ADH|AECDH", cipher):
            found.append("no forward secrecy")
        if not re.search("GCM|CHACHA20|CCM", cipher):
            found.append("CBC or a stream cipher, without AEAD")
    return found


def main(address: str, name: str | None = None) -> int:
    """Prints the table; 1 when something weak is offered."""
    host, _, port = address.rpartition(":")
    status = 0
    for version, ciphers in offered((host, int(port)), name).items():
        print(f"{version:8} {'refused' if not ciphers else ''}")
        for cipher in ciphers:
            wrong = weaknesses(version, cipher)
            status |= bool(wrong) or version in ("TLSv1", "TLSv1.1")
            print(f"         {cipher:36} {'; '.join(wrong) or 'good'}")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
