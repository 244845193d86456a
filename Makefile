# One entry for everything. Needs python3.11 or newer and make; the rest is installed from the lock files.

PYTHON ?= python3
DEMO_ARGS ?=
SERVE_ARGS ?= --db fhir-facade.db
PYTEST_ARGS ?=
UV ?= uv
ifndef SEED
SEED := $(shell od -An -N4 -tu4 /dev/urandom | tr -d " ")
endif

BIN := .venv/bin
BENCH_BIN := .venv-bench/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
COMPILE := $(UV) pip compile pyproject.toml --quiet --generate-hashes --no-emit-index-url \
	--no-emit-find-links --python-version 3.11 --universal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup browser demo serve test check static fix generate laws mutants bench lock clean

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One environment, filled in two steps: make demo needs only what the product runs on (run.txt, a minute),
# and make test adds the tools (dev.txt) on top. The locks agree on every version that they share, so the
# second step only adds. A stamp is newer than its lock file when that step is done.
.venv/run.stamp: requirements/run.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"
	@echo "Setting up .venv (about a minute, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/run.txt
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/run.stamp
	@echo "Adding the tools for tests and checks"
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

.venv-bench/bench.stamp: requirements/bench.txt pyproject.toml
	@echo "Setting up .venv-bench (about a minute, once)"
	@test -x $(BENCH_BIN)/python || $(PYTHON) -m venv .venv-bench
	@$(BENCH_BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/bench.txt
	@$(BENCH_BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

setup: .venv/dev.stamp ## Install everything that development needs into .venv

browser: ## Install Chromium from the packages of the system, where there is none (Debian or Ubuntu, as root)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

demo: .venv/run.stamp ## Synthetic patients, served at http://127.0.0.1:8000/fhir (DEMO_ARGS="--patients 1000")
	@$(BIN)/fhir-facade demo $(DEMO_ARGS)

serve: .venv/run.stamp ## Serve a database that was loaded before (SERVE_ARGS="--db PATH --port 8000")
	@$(BIN)/fhir-facade serve $(SERVE_ARGS)

test: static ## Everything: set up, what make check looks at, then all tests
	@$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

check: static ## Format, lint, types, layers, generated files, quick tests
	@HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest -n 2 --quiet -m "not slow" $(PYTEST_ARGS)

static: .venv/dev.stamp
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run make fix"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }
	@$(BIN)/python tools/generate.py --check

fix: .venv/dev.stamp ## Format, mend what the linter can mend, rewrite generated files
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .
	@$(BIN)/python tools/generate.py

generate: .venv/dev.stamp ## Rewrite openapi/ and the generated pages of docs/
	@$(BIN)/python tools/generate.py

laws: .venv/dev.stamp ## The laws with many examples; prints its seed (SEED=... repeats a run)
	@echo "seed $(SEED)"
	@HYPOTHESIS_PROFILE=thorough EDITS=10000 SEED=$(SEED) $(BIN)/python -m pytest -n 2 tests/laws --timeout 3600 --hypothesis-seed=$(SEED) $(PYTEST_ARGS)

mutants: .venv/dev.stamp ## Break every row of every mapping; each must be noticed (MUTANTS_ARGS="--only NAME")
	@$(BIN)/python tools/mutate_mappings.py $(MUTANTS_ARGS)

bench: .venv-bench/bench.stamp ## Measure, in an environment of its own (.venv-bench)
	@$(BENCH_BIN)/python -m benchmarks

lock: ## Resolve the lock files anew (needs uv; UV=PATH)
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --upgrade --extra build --extra dev -o requirements/dev.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --extra build --no-annotate -c requirements/dev.txt -o requirements/run.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --upgrade --extra build --extra bench -o requirements/bench.txt

clean: ## Remove environments and caches
	@rm -rf .venv .venv-bench .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
