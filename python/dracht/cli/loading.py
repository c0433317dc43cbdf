"""Finding the application in a Python file: `FILE` or `FILE:name`."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from dracht.cli.failures import Failure

if TYPE_CHECKING:
    from dracht.agent import Agent
    from dracht.app import App

NAMES = ("app", "agent")


def load(target: str) -> App | Agent:
    """The `App` or `Agent` that `target` names: `FILE:name`, else `app` or `agent` in the file, else the only one it defines.

    The file runs as a module of its own name, its directory first on the path, as `python FILE` would have it.
    Raises `Failure` that says what is missing.
    """
    path, name = _split(target)
    if path.is_dir():
        raise Failure(f"{path}: a folder; give a Python file in it", 2)
    if not path.is_file():
        beside = path.with_name(path.name + ".py")
        raise Failure(f"{path}: no such file" + (f"; did you mean {beside}?" if beside.is_file() else ""), 2)
    module = _execute(path)
    return _find(vars(module), path, name)


def _split(target: str) -> tuple[Path, str | None]:
    file, colon, name = target.rpartition(":")
    if colon and name.isidentifier():
        return Path(file), name
    return Path(target), None


def _execute(path: Path) -> object:
    sys.path.insert(0, str(path.resolve().parent))
    name = path.stem if path.stem not in sys.modules else f"application_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Failure(f"{path}: not a Python file (its name ends in .py)", 2)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        here = next(
            (frame for frame in reversed(frames) if Path(frame.filename).resolve() == path.resolve()), None
        )
        line = f":{here.lineno}" if here else ""
        raise Failure(f"{path}{line}: {type(error).__name__}: {error}", 1) from error
    return module


def _find(namespace: dict[str, object], path: Path, name: str | None) -> App | Agent:
    from dracht.agent import Agent
    from dracht.app import App

    if name is not None:
        found = namespace.get(name)
        if isinstance(found, App | Agent):
            return found
        what = (
            "is not there" if name not in namespace else f"is a {type(found).__name__}, not an App or Agent"
        )
        raise Failure(f"{path}: `{name}` {what}", 2)
    for usual in NAMES:
        found = namespace.get(usual)
        if isinstance(found, App | Agent):
            return found
    others = {key: value for key, value in namespace.items() if isinstance(value, App | Agent)}
    if len({id(value) for value in others.values()}) == 1:
        return next(iter(others.values()))
    listed = f"; say which: {', '.join(f'{path}:{key}' for key in others)}" if others else ""
    raise Failure(f"{path}: no `app` or `agent` in it, an instance of dracht.App or dracht.Agent{listed}", 2)
