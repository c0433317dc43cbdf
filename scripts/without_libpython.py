"""Prints what `cargo test` is to leave out where libpython is not installed: nothing where it is. Used by `make test-rust`."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def found() -> bool:
    """Whether the library that a program embedding this interpreter links to is there."""
    name = sysconfig.get_config_var("LDLIBRARY")
    folder, multiarch = (
        Path(sysconfig.get_config_var("LIBDIR") or ""),
        sysconfig.get_config_var("MULTIARCH") or "",
    )
    return bool(name) and any((place / name).exists() for place in (folder, folder / multiarch))


if __name__ == "__main__":
    if not found():
        print(
            "libpython is not installed (python3-dev): the tests of crates/python are left out",
            file=sys.stderr,
        )
        print("--exclude dracht-core")
