"""Holds the sizes and the layers that design fixes and that no ready-made linter knows.

Run by `make lint`. Prints one line per finding (file, line, what, what to do) and ends with exit status 1 when there is one.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES = 800
TEST_FILE_LINES = 1000
FUNCTION_LINES = 80
BANNED_STEMS = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
# Which crate may name which outside crate (ARCHITECTURE.md, invariants 1 and 2).
ONLY_IN = {
    "pyo3": {"python"},
    "tokio": {"net", "control", "python"},
    "socket2": {"net", "control"},
    "libc": {"net", "python"},
}
# The Cargo graph, who may depend on whom.
CRATE_GRAPH = {
    "sip": set[str](),
    "engine": {"sip"},
    "net": {"engine", "sip"},
    "control": {"engine", "sip"},
    "simnet": {"engine", "sip"},
    "python": {"control", "engine", "net", "sip"},
}
MACHINE_PATH = re.compile(r"(/root/|/home/\w+/|/work/|/tmp/(target|venv|brief)-?)")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def is_test(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return "tests" in parts or path.name.startswith("test_") or path.stem.endswith(("_test", "tests"))


def sizes(path: Path, text: str) -> Iterator[str]:
    lines = text.count("\n")
    limit = TEST_FILE_LINES if is_test(path) else FILE_LINES
    if lines > limit:
        yield f"{lines} lines, at most {limit}: split it by purpose"
    if path.stem in BANNED_STEMS:
        yield f"'{path.stem}' names no purpose: name the file after what it holds"


def python_functions(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"line {node.lineno}: function {node.name} has {length} lines, at most {FUNCTION_LINES}"


def crate_of(path: Path) -> str | None:
    parts = path.relative_to(ROOT).parts
    return parts[1] if len(parts) > 2 and parts[0] == "crates" else None


def rust_layers(path: Path, text: str) -> Iterator[str]:
    crate = crate_of(path)
    if crate is None or is_test(path) or "benches" in path.parts or "examples" in path.parts:
        return
    for outside, rooms in ONLY_IN.items():
        if crate not in rooms and re.search(rf"\b{outside}::", text):
            yield f"names {outside}, which only {', '.join(sorted(rooms))} may (ARCHITECTURE.md, invariant 2)"


def cargo_layers(path: Path, text: str) -> Iterator[str]:
    crate = crate_of(path)
    if crate not in CRATE_GRAPH:
        return
    dependencies = text.partition("[dependencies]")[2].partition("\n[")[0]
    for name in CRATE_GRAPH:
        if re.search(rf"(?m)^{name}\b", dependencies) and name not in CRATE_GRAPH[crate]:
            yield f"depends on {name}: the graph allows {', '.join(sorted(CRATE_GRAPH[crate])) or 'none'}"


def findings() -> Iterator[str]:
    for path in tracked("*.rs", "*.py", "*.pyi", "*.toml", "*.md", "*.sh", "Makefile"):
        text = path.read_text(encoding="utf-8")
        checks: list[Iterator[str]] = []
        if path.suffix in {".rs", ".py"}:
            checks.append(sizes(path, text))
        if path.suffix == ".py":
            checks.append(python_functions(text))
        if path.suffix == ".rs":
            checks.append(rust_layers(path, text))
        if path.name == "Cargo.toml":
            checks.append(cargo_layers(path, text))
        for check in checks:
            for finding in check:
                yield f"{path.relative_to(ROOT)}: {finding}"
        if path != Path(__file__).resolve() and (found := MACHINE_PATH.search(text)):
            yield f"{path.relative_to(ROOT)}: the path of a machine ({found.group(0)}…)"


def main() -> int:
    count = 0
    for finding in findings():
        print(finding)
        count += 1
    if count:
        print(f"{count} findings of the house rules (CONTRIBUTING.md)")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
