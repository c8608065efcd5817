# `make` lists the commands. Every one sets up what it needs first; what is set up already costs nothing.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

HOME_FOLDER := $(or $(LEDGERLAKE_HOME),.local)
BIN := .venv/bin
# The first Python that will do; another one by `make PYTHON=...`.
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python3.13; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
UV ?= $(or $(shell command -v uv),.tools/bin/uv)
UV_VERSION := 0.13.9
QUICK := not services and not long
# Tests that run at once, each with services of its own: 2 GiB of memory a worker.
WORKERS ?= 2

export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1

.PHONY: help setup demo test test-long check bench lock down clean

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .venv/.installed $(HOME_FOLDER)/jars/.verified  ## Environment from pinned versions, Spark's jars (once)
	@:

demo: setup  ## Set everything up and run one bank day end to end; leaves the services up
	@$(BIN)/ledgerlake demo

test: setup  ## The tests, on real services
	@$(BIN)/pytest -m "not long" -n $(WORKERS) --no-loadscope-reorder

test-long: setup  ## The long tests: every kill seam, thirty days of the real bank
	@$(BIN)/pytest -m "long or story or hypothesis" --hypothesis-profile=search

check: setup  ## What a change must pass: format, lint, types, import rules, quick tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/pytest -q -m "$(QUICK)"

bench: setup  ## Speed and size, as ratios measured in one run
	@$(BIN)/python -m tests.bench

lock: | $(UV)  ## Renew requirements.lock from requirements.in and requirements-dev.in
	@$(UV) pip compile --quiet --generate-hashes --no-header --no-emit-index-url --python-version 3.11 --upgrade requirements-dev.in -o requirements.lock

down:  ## Stop the local services
	@if [ -x $(BIN)/python ]; then $(BIN)/python -c 'from infra.local.services import down; down()'; fi

clean: down  ## Remove the environment and every state of the local services, the lake too
	@rm -rf .venv .tools $(HOME_FOLDER)

# One stamp a step: what is newer than its sources is not done again.

.venv/.packages: requirements.lock | $(UV)
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11 or later was found. Install one (Debian/Ubuntu: apt-get install -y python3), or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python $(PYTHON) .venv
	@echo "Installing the packages of requirements.lock ..."
	@VIRTUAL_ENV=.venv $(UV) pip sync --quiet --require-hashes requirements.lock
	@touch $@

.venv/.installed: .venv/.packages pyproject.toml setup.cfg
	@VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --editable .
	@touch $@

$(HOME_FOLDER)/jars/.verified: infra/spark/jars.sha256 infra/spark/jars.xml infra/local/setup.py | .venv/.installed
	@LEDGERLAKE_HOME=$(HOME_FOLDER) $(BIN)/python -m infra.local.setup
	@touch $@

.tools/bin/uv:
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11 or later was found. Install one (Debian/Ubuntu: apt-get install -y python3), or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing uv into .tools ..."
	@$(PYTHON) -m venv .tools >/dev/null || { rm -rf .tools; echo "$(PYTHON) cannot make a virtual environment. Install its venv module (Debian/Ubuntu: apt-get install -y python3-venv), or uv itself."; exit 1; }
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
