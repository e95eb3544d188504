# Everything a contributor needs. Each target sets up what it needs; Python 3.11 or newer and make are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test check bench faults clean

help: ## Say what there is
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1 \2/p' $(MAKEFILE_LIST) | while read -r name text; do printf '  %-8s %s\n' "$$name" "$$text"; done

demo: $(VENV)/installed ## A million ledger lines through an example batch job; under two minutes
	@PYTHONUTF8=1 $(BIN)/python -m examples.demo

test: $(VENV)/installed-dev ## All tests, on all cores; ARGS="-k overlap" passes options on to pytest
	$(BIN)/python -m pytest -q -n auto $(ARGS)

check: $(VENV)/installed-dev ## Format, lint, types, and the layers of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

bench: $(VENV)/installed ## Measure against rivals, in pairs; about ten minutes, QUICK=1 for one or two
	$(BIN)/python -m benchmarks all $(if $(QUICK),--quick)

faults: $(VENV)/installed-dev ## Kill whatever runs, at random moments, 50 times, and compare the output
	$(BIN)/python -m tests.faults --rounds 50

clean: ## Remove what the other targets made, the virtual environment too
	rm -rf $(VENV) demo-output benchmarks/data .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is %d.%d: name another with PYTHON=" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --editable '.[files]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP) --editable '.[files,dev]'
	@touch $@
