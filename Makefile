# Greenlane: `make run` and `make test` are all that a fresh clone needs.
# Requires Python 3.11 or newer and make; everything else goes into .venv.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run tour test exhaustive fuzz loadtest matrix locust containers check install behaviours pictures screenshots bench soak lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=python3.12         the Python that makes .venv"
	@echo "  HOST=127.0.0.1 PORT=8000  where run serves, and what locust loads"
	@echo "  ARGS='...'                more options for run, tour, test, exhaustive, fuzz, loadtest, matrix, locust, bench and soak"

run: $(VENV)/.ready ## set up and serve the demonstration (HOST=, PORT=)
	@$(BIN)/greenlane run --host $(HOST) --port $(PORT) $(ARGS)

tour: $(VENV)/.ready ## see why request data gets mixed up, step by step (ARGS='--list')
	@$(BIN)/greenlane tour $(ARGS)

test: $(VENV)/.ready-dev ## set up and run the tests
	@$(BIN)/python -m pytest $(ARGS)

exhaustive: $(VENV)/.ready-dev ## the tests that run in every order, in all of them and not in a sample: minutes
	@$(BIN)/python -m pytest --every-order tests/testing/every_order $(ARGS)

fuzz: $(VENV)/.ready-dev ## damaged requests for a minute, from a seed that it prints (ARGS='--fuzz-seconds 600')
	@$(BIN)/python -m pytest -s --fuzz-seconds 30 tests/wsgi/wire/mutated $(ARGS)

loadtest: $(VENV)/.ready ## prove the isolation under load, controls included
	@$(BIN)/crosstalk prove $(ARGS)

matrix: $(VENV)/.ready ## every hazard, broken and fixed, and every strategy in it: two to four minutes
	@$(BIN)/crosstalk matrix --report reports/matrix $(ARGS)

locust: $(VENV)/.ready ## Locust's web UI against a server that `make run` started
	@$(BIN)/locust -f loadtest/locustfile.py --host http://$(HOST):$(PORT) $(ARGS)

check: $(VENV)/.ready-dev ## lint, format, types and tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(MAKE) --no-print-directory test

containers: ## try docker-compose.yml for real: three servers, a balancer, a server lost in mid-run (needs Docker)
	@$(PYTHON) deploy/trial.py $(ARGS)

behaviours: $(VENV)/.ready-dev ## list what it must do, row by row, with the tests of each
	@$(BIN)/python tests/test_behaviours.py

pictures: $(VENV)/.ready ## write what docs/ shows of the program: a request's journey, hazards, the matrix (maintainers)
	@$(BIN)/python -m greenlane.demo.journey docs
	@$(BIN)/python -m greenlane.demo.hazards docs
	@$(BIN)/python -m crosstalk.matrix.publish README.md docs/matrix.json

screenshots: $(VENV)/.ready-dev ## write the README's pictures of the page, from the running program (maintainers; needs Chromium)
	@$(BIN)/python -m pytest -q tests/e2e/page/screenshots.py

bench: $(VENV)/.ready ## the benchmarks: beside other servers and Locals; what lanes and orders cost
	@cd loadtest && ../$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/.ready-dev ## ten minutes of good, bad, slow and dying clients (ARGS='--minutes 60', ARGS=--slow)
	@cd loadtest && ../$(BIN)/python -m bench.soak $(ARGS)

install: $(VENV)/.ready ## only the set-up

lock: $(VENV)/.ready-dev ## renew requirements.txt and requirements-dev.txt (maintainers)
	@$(PIP) install --quiet 'uv>=0.8'
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet --upgrade \
	  --custom-compile-command 'make lock' pyproject.toml --group build -o requirements.txt
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet --upgrade \
	  --custom-compile-command 'make lock' pyproject.toml --group build --extra dev -c requirements.txt -o requirements-dev.txt

clean: ## remove .venv, caches and reports
	rm -rf $(VENV) reports build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find server loadtest tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: a set-up runs again only when what it depends on has changed. The
# first one is touched by the second, because the larger lock holds the smaller.
$(VENV)/.ready: requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "greenlane: installing into $(VENV) (once)"
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "greenlane: installing into $(VENV), with what the tests need (once)"
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements-dev.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.ready $@

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "greenlane: no '$(PYTHON)' found: install Python 3.11 or newer, or name one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "greenlane: Python 3.11 or newer is needed, '$(PYTHON)' is $$($(PYTHON) -V 2>&1): name another with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null || { rm -rf $(VENV); \
	  echo "greenlane: '$(PYTHON) -m venv' failed: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
