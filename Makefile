# Hooks, people and continuous integration use the same targets.
#   make demo    install and build everything into the checkout, show two calls through examples/proxy.py
#   make test    install what the tests need, run them all         make lint    every invariant that a tool can hold
#   make bench   measure, beside Kamailio, into bench/results/      make fuzz    bad input for a minute a target
#   make soak    200,000 mixed calls: memory and tables
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := $(CURDIR)/.venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/.stamps
RUST   := $(wildcard crates/*/src/*.rs crates/*/src/*/*.rs crates/*/src/*/*/*.rs crates/*/Cargo.toml) Cargo.toml Cargo.lock

.PHONY: help setup demo test test-rust test-python lint format bench soak fuzz clean peers

help:
	@sed -n 's/^#   //p' Makefile

setup: $(STAMPS)/build

$(STAMPS)/tools: requirements/test.txt
	@scripts/check_tools.sh "$(PYTHON)"
	@test -x "$(BIN)/python" || $(PYTHON) -m venv "$(VENV)"
	@echo "==> installing the Python tools into .venv"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/test.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/build: $(STAMPS)/tools $(RUST) pyproject.toml
	@echo "==> building the Rust core (the first time takes a few minutes)"
	@touch $(STAMPS)/begun
	@VIRTUAL_ENV="$(VENV)" $(BIN)/maturin develop --release --locked --extras cli >$(STAMPS)/build.log 2>&1 \
		|| { cat $(STAMPS)/build.log; exit 1; }
	@touch -r $(STAMPS)/begun $@    # What was written meanwhile is not in it.

demo: setup
	@$(BIN)/dracht demo

# The peers that the tests and the benchmark call: SIPp, Kamailio, baresip, linphone, from Debian. Installed with root, reported without.
peers:
	@scripts/install_peers.sh

test: test-rust test-python

# The tests of crates/python link to libpython, which distributions ship apart (python3-dev): left out where it is not installed.
test-rust: $(STAMPS)/tools
	@echo "==> Rust tests"
	PYO3_PYTHON="$(BIN)/python" cargo test --workspace $$($(BIN)/python scripts/without_libpython.py) --locked --quiet
	@echo "==> the network's tests again, with two shards"
	DRACHT_TEST_SHARDS=2 cargo test -p net --tests --locked --quiet

test-python: setup peers
	@echo "==> Python tests"
	$(BIN)/python -m pytest tests -q

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(BIN)/python scripts/check_house.py
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=python $(BIN)/python -m mypy.stubtest dracht._core --mypy-config-file pyproject.toml --allowlist scripts/stubtest-allow.txt
	$(BIN)/lint-imports --config pyproject.toml

format:
	cargo fmt --all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup peers
	$(BIN)/python -m bench $(BENCH)

# 200,000 mixed calls over UDP, TCP, TLS and WSS; SOAK="--calls 2000" for a look.
soak: setup
	$(BIN)/python -m bench.soak $(SOAK)

# Coverage-guided, FUZZ_SECONDS (60) for each target; FUZZ="parser engine" plays those only. Ends non-zero on a finding.
fuzz:
	@scripts/fuzz.sh $(FUZZ)

clean:
	rm -rf .venv target
