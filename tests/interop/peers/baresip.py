"""baresip as a phone: driven by JSON over TCP (module ctrl_tcp), its SIP trace (`-s`) is the record.

Each phone hears itself: the module aubridge joins its microphone and its loudspeaker, so that no sound hardware is needed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import shutil
import socket
from pathlib import Path
from typing import Any

from bench.processes import free_port
from tests.conformance.sip import Sip
from tests.interop.peers.process import LIMIT, Entry, Peer, Peers

_BLOCK = re.compile(rb"\x1b\[36;1m#\n(?:UDP|TCP|TLS) (\S+) -> (\S+)\n(.*?)\x1b\[;m", re.DOTALL)
# What the thread that stands for its sound card writes whenever it wants to, in the middle of a line if need be.
_ELSEWHERE = re.compile(rb"aubridge: thread [^\n]*\n")
# What another of its threads wrote into the middle of a message: no header field of ours or of baresip begins in lower case.
_BETWEEN = re.compile(rb"^[a-z][a-z0-9_]*: .*\n", re.MULTILINE)
_CONFIGURATION = """\
poll_method epoll
sip_listen 127.0.0.1:{port}
net_interface 127.0.0.1
rtp_ports {media}-{media_last}
audio_source aubridge,loop
audio_player aubridge,loop
audio_alert aubridge,alert
jitter_buffer_delay 5-10
module_path {modules}
module g711.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
{authority}
"""


def modules() -> Path | None:
    """Where its modules are."""
    return next(
        (
            folder
            for folder in map(Path, ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules"))
            if folder.is_dir()
        ),
        None,
    )


def available() -> bool:
    """Whether baresip is installed."""
    return (
        shutil.which("baresip") is not None and shutil.which("stdbuf") is not None and modules() is not None
    )


class Baresip(Peer):
    """A phone."""

    port: int
    control: int
    user: str
    registrar: str

    async def ready(self) -> None:
        self.events: list[dict[str, Any]] = []
        """What it told, in order: `type` is CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED, REGISTER_OK, ..."""
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._tokens = itertools.count(1)
        await self.until(lambda: "baresip is ready" in self.output(), "its start")
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self.control)
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        # JSON in netstrings: `SIZE:TEXT,`.
        try:
            while True:
                size = int((await reader.readuntil(b":"))[:-1])
                told = json.loads(await reader.readexactly(size))
                await reader.readexactly(1)
                if told.get("response"):
                    waiting = self._answers.pop(told.get("token", ""), None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(told)
                else:
                    self.events.append(told)
        except (asyncio.IncompleteReadError, OSError):
            return

    async def command(self, command: str, parameters: str = "") -> str:
        """Gives a command of its menu; what it answered. Fails when it refuses."""
        token = f"t{next(self._tokens)}"
        waiting = self._answers[token] = asyncio.get_running_loop().create_future()
        text = json.dumps({"command": command, "params": parameters, "token": token}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))
        async with asyncio.timeout(LIMIT):
            answer = await waiting
        assert answer["ok"], f"{self.name} refused {command} {parameters}: {answer}\n{self}"
        return str(answer["data"])

    async def told(self, kind: str, count: int = 1, **fields: str) -> dict[str, Any]:
        """Waits for its `count`-th event of that kind; the event."""

        def matching() -> list[dict[str, Any]]:
            return [
                event
                for event in self.events
                if event["type"] == kind and all(event.get(key) == value for key, value in fields.items())
            ]

        await self.until(lambda: len(matching()) >= count, f"event {kind} {fields or ''} number {count}")
        return matching()[count - 1]

    def kinds(self) -> list[str]:
        """The kinds of its events about calls, in order."""
        return [event["type"] for event in self.events if event.get("class") == "call"]

    def record(self) -> list[Entry]:
        own, office = f"127.0.0.1:{self.port}".encode(), self.registrar.encode()
        found = []
        for source, target, data in _BLOCK.findall(_ELSEWHERE.sub(b"", self.log.read_bytes())):
            # A stream that it opened has a port of its own at this end.
            sent = own != target and (source == own or target == office)
            end = data.index(b"\r\n\r\n") + 4
            head = _BETWEEN.sub(b"", data[:end])
            size = int(Sip(head).get("Content-Length") or 0)
            found.append(Entry(sent, Sip(head + data[end : end + size])))
        return found

    @property
    def aor(self) -> str:
        """Its address of record."""
        return f"sip:{self.user}@{self.registrar}"

    async def stop(self) -> None:
        if hasattr(self, "_reading"):
            self._reading.cancel()
            self._writer.close()
        await super().stop()


def free_pair() -> int:
    """An even port of 127.0.0.1 that is free with the next one: it takes that for TLS, and of media for RTCP.

    Below the ports that the system gives to whoever names none.
    """
    while True:
        port = random.randrange(20_000, 32_000, 2)
        try:
            for number in (port, port + 1):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port


async def start(
    peers: Peers,
    user: str,
    registrar: str,
    *,
    password: str = "",
    parameters: str = "",
    expires: int = 60,
    transport: str = "udp",
    authority: Path | None = None,
) -> Baresip:
    """A phone of `user` that registers at `registrar` (HOST:PORT) where `expires` is not 0.

    Args:
        password: for digest; none when empty.
        parameters: of the account, as `;answermode=auto`.
        expires: seconds its registration is to live.
        transport: `udp`, `tcp` or `tls`.
        authority: whose certificates it believes.
    """
    folder, port, control = peers.folder(f"baresip-{user}"), free_pair(), free_port()
    found = modules()
    assert found is not None
    media = free_pair()
    (folder / "config").write_text(
        _CONFIGURATION.format(
            port=port,
            control=control,
            modules=found,
            media=media,
            media_last=min(media + 20, 65534),
            authority=f"sip_cafile {authority}" if authority else "",
        )
    )
    way = "" if transport == "udp" else f";transport={transport}"
    secret = f";auth_user={user};auth_pass={password}" if password else ";auth_pass=none"
    (folder / "accounts").write_text(f"<sip:{user}@{registrar}{way}>{secret};regint={expires}{parameters}\n")
    (folder / "contacts").write_text("")
    # Without stdbuf its trace would come in blocks.
    command = ["stdbuf", "-o0", "baresip", "-4", "-s", "-f", str(folder)]
    peer = Baresip(f"baresip {user}", command, folder, {"HOME": str(folder)})
    peer.port, peer.control, peer.user, peer.registrar = port, control, user, registrar
    return await peers.start(peer)
