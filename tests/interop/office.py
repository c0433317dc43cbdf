"""The registrar and proxy that phones of a test share: examples/registrar.py, loaded anew for each test."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from dracht import App

__all__ = ["office"]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "registrar.py"


def office() -> App:
    """Its application: phones register, a call to a registered user goes to every phone of theirs, through Record-Route."""
    spec = importlib.util.spec_from_file_location("registrar_of_a_test", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = module.app
    assert isinstance(app, App)
    return app
