"""SIPVicious in each mode finds an open server, and nothing where scanners are dropped; a call beside it goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from dracht import Admission, Request, Response, _core
from dracht.digest import Challenger

from tests.conformance.phone import Leg, Phone
from tests.interop.conftest import RealStations
from tests.interop.peers.sipvicious import scan

OPEN = Admission(trusted=[], scanners=False)
STRICT = Admission(trusted=[])
# The program, its options, and what it says when it has found something.
MODES = {
    "svmap": ("svmap", (), "127.0.0.1:"),
    "svmap-invite": ("svmap", ("-m", "INVITE"), "127.0.0.1:"),
    "svmap-register": ("svmap", ("-m", "REGISTER"), "127.0.0.1:"),
    "svwar": ("svwar", ("-e", "100-104", "--force"), "| 101"),
    "svwar-options": ("svwar", ("-e", "100-104", "-m", "OPTIONS", "--force"), "| 101"),
    "svwar-invite": ("svwar", ("-e", "100-104", "-m", "INVITE", "--force"), "| 101"),
    "svcrack": ("svcrack", ("-u", "101", "-r", "1-5"), "| 3"),
}
# Which link the application has makes no difference to what never reaches it.
pytestmark = [
    pytest.mark.peer("sipvicious"),
    pytest.mark.parametrize("stations", ["embedded"], indirect=True),
]


def service() -> Any:
    """A registrar that tells which users there are, as many do: 101 with the password 3."""
    challenger = Challenger(lambda user, realm: "3" if user == "101" else None, realm="example.com")

    async def handler(req: Request, res: Response) -> None:
        user = req.msg.to.uri.user
        if "friendly-scanner" not in (req.msg.header("User-Agent") or ""):
            await res.send(200)
        elif req.method == "REGISTER" and user == "101":
            await challenger.authenticate(req)
            await res.send(200)
        else:
            await res.send(200 if user == "101" else 404)

    return handler


async def talking(station: Any, phone: Phone) -> Leg:
    leg = phone.leg(station.address)
    await leg.send("INVITE")
    await leg.ack(await phone.expect(200))
    return leg


async def goes_on(leg: Leg, phone: Phone) -> None:
    await leg.send("INVITE")
    await leg.ack(await phone.expect(200, of="INVITE"))


@pytest.mark.parametrize("mode", MODES)
async def test_scanners_find_nothing_and_a_call_goes_on(
    stations: RealStations, tmp_path: Path, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    _core.install_logging("warning")
    program, options, found = MODES[mode]
    routes = ("register", "options", "invite")
    station = await stations.start(service(), *routes, admission=STRICT)
    phone = await stations.phone()
    leg = await talking(station, phone)
    scanning = asyncio.create_task(scan(tmp_path, program, station.address[1], *options))
    while not scanning.done():
        await goes_on(leg, phone)
        await asyncio.sleep(0.1)
    output = await scanning
    assert found not in output, output
    await leg.send("BYE")
    await phone.expect(200, of="BYE")
    counts = station.counts()
    assert counts["dropped_filter"] > 0
    assert counts["responses_out"] == sum(
        1 for entry in phone.record if not entry.sent and entry.message.status
    )
    assert 'rule="friendly-scanner*"' in capfd.readouterr().err


@pytest.mark.parametrize("mode", ["svmap", "svwar"])
async def test_without_the_rule_they_find_it(stations: RealStations, tmp_path: Path, mode: str) -> None:
    program, options, found = MODES[mode]
    station = await stations.start(service(), "register", "options", "invite", admission=OPEN)
    output = await scan(tmp_path, program, station.address[1], *options)
    assert found in output, output
