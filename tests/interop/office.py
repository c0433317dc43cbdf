"""The registrar and proxy that phones of a test share: examples/registrar.py, loaded anew for each test."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from dracht import App, Request
from dracht.middleware import DigestAuth

__all__ = ["PASSWORD", "REALM", "office"]

PASSWORD = "secret"
REALM = "office"

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "registrar.py"


def office(algorithms: Sequence[str] | None = None) -> App:
    """Its application: phones register, a call to a registered user goes to every phone of theirs, through Record-Route.

    Args:
        algorithms: with digest for REGISTER (401) and calls (407), offering these; everybody's password is `secret`.
    """
    spec = importlib.util.spec_from_file_location("registrar_of_a_test", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    with patch.dict(os.environ, {"DRACHT_OPEN": "1"}):  # without its own users: the layers below authenticate
        spec.loader.exec_module(module)
    app = module.app
    assert isinstance(app, App)
    if algorithms is not None:
        for method, proxy in (("register", False), ("invite", True)):
            # baresip 1.0 gives up at a challenge that it does not know, even beside one that it knows.
            plain = DigestAuth(password_for, realm=REALM, algorithms=["MD5"], proxy=proxy)
            full = DigestAuth(password_for, realm=REALM, algorithms=algorithms, proxy=proxy)
            app.use(method, plain, when=knows_md5_alone)
            app.use(method, full, when=lambda req: not knows_md5_alone(req))
    return app


def knows_md5_alone(req: Request) -> bool:
    """Whether it comes from a phone that must not be offered anything but MD5."""
    return "baresip v1" in req.headers.get("User-Agent", "")


def password_for(user: str, realm: str) -> str | None:
    """The password of whoever is not `nobody`."""
    return None if user == "nobody" else PASSWORD
