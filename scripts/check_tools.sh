#!/usr/bin/env bash
# Says in one line what a fresh machine lacks before anything is built: Rust and Python.
set -euo pipefail
python=$1
if ! command -v cargo >/dev/null 2>&1; then
  echo "dracht needs Rust 1.88 or newer to build its core: install it from https://rustup.rs or your distribution, then run make again." >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "dracht needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1). Name another one: make PYTHON=python3.12 demo" >&2
  exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
  echo "'$python' cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv), then run make again." >&2
  exit 1
fi
