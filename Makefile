# Every task of the project, in the same words everywhere. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo up down check test test-fast test-faults test-ops test-jaeger bench lint types fmt lock

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
PYTEST := $(BIN)/python -m pytest -q
ONLY ?=

help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/ready ## Install everything pinned into .venv (uv too, where it is missing)

# uv first, into the environment itself: nothing outside the folder is touched but package caches.
$(UV):
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"

.venv/ready: pyproject.toml requirements.lock | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -c requirements.lock -r pyproject.toml --all-extras
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## The main job on real input: 528 regions report, scores appear, the rate is printed
	$(BIN)/livinglab demo

up: setup ## Start the whole system on this machine
	$(BIN)/livinglab up

down: setup ## Stop it
	$(BIN)/livinglab down

check: lint types test-fast ## What every commit must pass: under 5 minutes
	$(PYTEST) -m "smoke"

test: setup ## Everything on real Kafka and MongoDB; needs nothing but Python
	$(PYTEST) -m "not faults and not ops and not jaeger"

test-fast: setup ## No servers: domain, contracts, the pure parts of the chassis
	$(PYTEST) -m "not real and not smoke and not faults and not ops and not jaeger"

test-faults: setup ## Outages, random seeds, zombies
	$(PYTEST) -m "faults" -s

test-ops: setup ## Compose, images, Kubernetes: needs Go; installs the rest
	$(PYTEST) -m "ops"

test-jaeger: setup ## The stories' traces, read back from Jaeger: needs Go; builds Jaeger once, in minutes
	$(PYTEST) -m "jaeger" -s

bench: setup ## Measure, as ratios in one run (make bench ONLY=scoring)
	$(BIN)/python -m tests.bench $(ONLY)

lint: setup ## Style, imports, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m contracts --check
	$(BIN)/python -m lab.openapi --check
	$(BIN)/python -m lab.observability --check

types: setup ## Strict types
	$(BIN)/pyright --project .

fmt: setup ## Format, and generate what is generated
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	$(BIN)/python -m contracts
	$(BIN)/python -m lab.openapi
	$(BIN)/python -m lab.observability

lock: $(UV) ## Choose versions anew (releases at least a week old)
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --all-extras pyproject.toml -o requirements.lock
