"""What the documents show in Python means what it says: every name and argument in it exists, and whole programs run."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.snippets import ROOT, Snippet, page, pages, snippets

# What a piece of a program may use without saying where it comes from.
GIVEN = """
from __future__ import annotations

import asyncio
import logging
from typing import Any

from dracht import *
from dracht import Agent, App, ClientTransaction, DialogHandle, IncomingResponse, Request, Response
from dracht.middleware import DigestAuth

app: App
agent: Agent
other: Agent
req: Request
res: Response
tx: ClientTransaction
response: IncomingResponse
call: DialogHandle
log: logging.Logger
# What is the application's own.
uri: str
target: str
carrier: str
sdp: bytes
offer: bytes
answer: bytes
pidf: bytes
other_pidf: bytes
document: bytes
registration: dict[str, str]
trusted: set[str]
location: Any
store: Any
phones: Any


def answer_to(offer: bytes) -> bytes:
    return offer


def password_for(user: str, realm: str) -> str | None:
    return None


"""


def module(snippet: Snippet) -> str:
    """A snippet as a module that can be checked."""
    if snippet.is_whole:
        return snippet.code
    # Pages leave out what every handler has.
    code = re.sub(r"\(req, res\):", "(req: Request, res: Response) -> None:", snippet.code)
    return f"{GIVEN}async def snippet() -> None:\n{textwrap.indent(code, '    ')}"


def test_every_name_and_argument_in_the_documents_exists(tmp_path: Path) -> None:
    origins: dict[str, Snippet] = {}
    for number, snippet in enumerate(snippets()):
        name = f"snippet_{number}.py"
        origins[name] = snippet
        (tmp_path / name).write_text(module(snippet))
    assert len(origins) > 30, "the documents were not found"
    command = [
        sys.executable, "-m", "mypy", "--config-file=", "--check-untyped-defs", "--no-error-summary",
        "--follow-imports=silent", f"--cache-dir={ROOT / '.mypy_cache' / 'documents'}", *sorted(origins),
    ]  # fmt: skip
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    found = []
    for line in done.stdout.splitlines():
        name = line.partition(":")[0]
        if name in origins:
            found.append(f"{origins[name].page}, the snippet at line {origins[name].line}: {line}")
        else:
            found.append(line)
    assert done.returncode == 0, "\n".join(found) + done.stderr


@pytest.mark.parametrize("path", ["README.md", *(one for one in pages() if one.startswith("docs/howto/"))])
def test_what_a_howto_shows_can_be_pasted_from_the_top_of_the_page(path: str) -> None:
    known = set(dir(builtins)) | {"__name__"}
    for snippet in page(path):
        made, used = snippet.names()
        known |= made
        assert not used - known, f"{path}, the snippet at line {snippet.line}: nobody made {used - known}"


@pytest.mark.parametrize(
    "snippet",
    [one for one in snippets() if one.is_whole and "app.run(" not in one.code],
    ids=lambda one: f"{one.page}:{one.line}",
)
def test_whole_programs_in_the_documents_run(snippet: Snippet) -> None:
    assert snippet.run()
