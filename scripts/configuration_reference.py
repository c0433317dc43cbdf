"""Writes the tables of docs/reference/configuration.md from the dataclasses that a server is configured with.

python scripts/configuration_reference.py            # says whether the document is as they are
python scripts/configuration_reference.py --write    # makes it so
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from dracht.server.config import within
from dracht.server.configuration import CONTROL, LISTEN
from dracht.server.settings import Setting, tables
from dracht.server.sources import variable
from dracht.server.values import wanted

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "reference" / "configuration.md"
START = "<!-- made by scripts/configuration_reference.py; do not edit from here -->"
_GIVEN = {"listen": list(LISTEN), "control": CONTROL, "secret": "must be given"}


def lines() -> Iterator[str]:
    """The tables, line by line."""
    for table in tables().values():
        yield f"\n## `[{table.name}]`\n\n{table.doc}\n\n| key | value | default | meaning |\n|---|---|---|---|"
        for setting in table.settings.values():
            allowed = within(setting.least, setting.most)
            value = wanted(setting.hint) + (f", {allowed}" if allowed else "")
            default = (
                _default(setting) if table.name != "server" else _GIVEN.get(setting.key) or _default(setting)
            )
            doc = setting.doc.replace("|", "\\|")
            yield f"| `{setting.key}` | {value} | {_shown(default)} | {doc} |".replace("|  |", "| |")
    example = variable("network", "local_networks")
    yield f"\nAs variables: `{variable('server', 'shards')}`, `{variable('timers', 't1')}`, `{example}`."


def _default(setting: Setting) -> Any:
    return "must be given" if setting.default is MISSING else setting.default


def _shown(value: Any) -> str:
    if value == "must be given":
        return "must be given"
    if value is None or value == () or value == [] or value == {} or value == frozenset():
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, list | tuple | set | frozenset):
        texts = [
            _shown(one).strip("`")
            for one in (value if not isinstance(value, set | frozenset) else sorted(value))
        ]
        return f"`[{', '.join(texts)}]`"
    if isinstance(value, float | int):
        return f"`{value:_g}`".replace("_", "") if isinstance(value, float) else f"`{value}`"
    return f"`{value}`"


def written(document: str) -> str:
    """The document with its tables as they are to be."""
    return document.partition(START)[0] + START + "\n" + "\n".join(lines()).rstrip() + "\n"


def main() -> int:
    document = DOCUMENT.read_text(encoding="utf-8")
    if document == written(document):
        return 0
    if "--write" in sys.argv[1:]:
        DOCUMENT.write_text(written(document), encoding="utf-8")
        return 0
    print(f"{DOCUMENT.name} is not as the dataclasses are: run scripts/configuration_reference.py --write")
    return 1


if __name__ == "__main__":
    sys.exit(main())
