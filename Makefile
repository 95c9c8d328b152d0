# Everything a clean machine needs is Python 3.11 or newer and make. `make run` and `make test` do the rest.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := gateway mcp_server adapters normalization storage sandbox tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help setup dev run test soak mcp-clients check fix bench bench-short profile lock clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Venuegate needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/.runtime: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing what Venuegate needs (about half a minute the first time) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.runtime
	@echo "Installing what its tests need (about a minute the first time) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements-dev.lock
	@touch $@

setup: .venv/.runtime ## Make the environment: .venv, with .venv/bin/venuegate

dev: .venv/.dev ## The environment with everything tests and checks need

run: setup ## Start the demo gateway on 127.0.0.1:8080
	@exec $(BIN)/venuegate serve --demo

test: dev ## Run every test
	@$(BIN)/python -m pytest -n 2

soak: dev ## Run the fault harnesses in their long form, and print their figures
	@$(BIN)/python -m pytest --soak -s -m harness tests/faults

NODE_TESTS := tests/mcp_server/node

$(NODE_TESTS)/node_modules/.installed: $(NODE_TESTS)/package-lock.json
	@cd $(NODE_TESTS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

mcp-clients: $(NODE_TESTS)/node_modules/.installed ## Node's MCP clients, for tests that are skipped without them (needs npm)

check: dev ## Format, lint, types, layers, links: changes nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.support.dead_links

fix: dev ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix -q . || true
	@$(BIN)/ruff format .

bench: dev ## Measure the request path (ratios in one run)
	@$(BIN)/python -m benchmarks

bench-short: dev ## The same in about two minutes
	@$(BIN)/python -m benchmarks --short

LOAD ?= order

profile: dev ## Where the time goes under one load, by function: make profile LOAD=path
	@$(BIN)/python -m benchmarks --profile $(LOAD)

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q

lock: ## Renew both lock files, one version of everything in both (needs uv)
	$(LOCK) --extra dev pyproject.toml -o requirements-dev.lock
	$(LOCK) -c requirements-dev.lock pyproject.toml -o requirements.lock

clean: ## Remove the environment and what tools left behind (not ./var)
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache benchmarks/out
