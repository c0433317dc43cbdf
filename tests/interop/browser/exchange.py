"""The exchange that browsers of a test share: examples/browser_phones.py, loaded anew for each test, with a certificate."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from dracht import App, Tls

from tests.conformance.station import Station
from tests.interop.certificates import Authority
from tests.interop.conftest import RealStations

__all__ = ["DOMAIN", "Exchange", "open_exchange"]

DOMAIN = "phones.example"
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "browser_phones.py"
LISTEN = ("sip:127.0.0.1:0;transport=udp,tcp", "sip:127.0.0.1:0;transport=wss")


class Exchange(NamedTuple):
    """It runs."""

    station: Station
    certificate: bytes
    secure: tuple[str, int]
    """Where browsers connect."""


def application(trunk: str) -> App:
    """The example's application, with calls to the outside going to `trunk`."""
    spec = importlib.util.spec_from_file_location("browser_phones_of_a_test", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with patch.dict(os.environ, {"DRACHT_TRUNK": trunk}):
        spec.loader.exec_module(module)
    app = module.app
    assert isinstance(app, App)
    return app


async def open_exchange(stations: RealStations, folder: Path, trunk: str = "sip:127.0.0.1:9") -> Exchange:
    """Starts it, over the link of the test."""
    issued = Authority(folder).issue("localhost", "127.0.0.1")
    station = await stations.start(application(trunk), listen=LISTEN, tls=Tls(certificates=[issued.pair]))
    secure = next(one for one in station.engine.hostports()[1] if one.startswith("wss/"))
    host, _, port = secure.removeprefix("wss/").rpartition(":")
    return Exchange(station, issued.certificate.read_bytes(), (host, int(port)))
