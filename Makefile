# Everything a contributor needs. Each target sets up what it needs; Python 3.11 or newer and make are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test postgres packages check docs bench faults coverage soak machine clean

help: ## Say what there is
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1 \2/p' $(MAKEFILE_LIST) | while read -r name text; do printf '  %-8s %s\n' "$$name" "$$text"; done

demo: $(VENV)/installed ## A million ledger lines through an example batch job; under two minutes
	@PYTHONUTF8=1 $(BIN)/python -m examples.demo

test: $(VENV)/installed-dev ## All tests, on all cores; ARGS="-k overlap" passes options on to pytest
	$(BIN)/python -m pytest -q -n auto $(ARGS)

postgres: $(VENV)/installed-dev ## All tests that meet a store, on PostgreSQL; PROGRAMS=/usr/lib/postgresql/15/bin for another than the wheel's
	PENSTOCK_TEST_STORE=postgres $(if $(PROGRAMS),PENSTOCK_TEST_POSTGRES_BIN=$(PROGRAMS)) $(BIN)/python -m pytest -q -n auto $(ARGS)

packages: ## Install the programs that the tests compare with, where they are missing, on Debian and as root
	@missing=""; for pair in sshd:openssh-server gpg:gnupg zstd:zstd xz:xz-utils bzip2:bzip2 lz4:lz4 unzip:unzip pgbouncer:pgbouncer chromium:chromium valgrind:valgrind; do \
	    PATH="$$PATH:/usr/sbin" command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair#*:}"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	elif [ -n "$$missing" ]; then echo "not installed, so their tests are skipped:$$missing"; fi

check: $(VENV)/installed-dev ## Format, lint, types, and the layers of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

docs: $(VENV)/installed-dev ## The documentation site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "open site/index.html"

bench: $(VENV)/installed $(BENCH)/installed ## Measure all of docs/figures.md beside rivals; half an hour, QUICK=1 for a few minutes
	$(BENCH)/bin/python -m benchmarks all $(if $(QUICK),--quick)
	$(BIN)/python docs/generate.py

faults: $(VENV)/installed-dev ## Kill and break whatever runs, at each fault point and 200 times at random; about an hour
	$(BIN)/python -m tests.faults --each
	$(BIN)/python -m tests.faults --rounds 200 --write-docs
	$(BIN)/python -m tests.process.test_dirmon 20
	$(BIN)/python -m tests.process.test_store_transaction 100
	PENSTOCK_TEST_STORE=postgres $(BIN)/python -m tests.process.test_store_transaction 100

coverage: $(VENV)/installed-dev ## All tests with branch coverage, of their processes too, and the page of what they do not reach; ARGS="tests/cli"
	$(BIN)/python -m coverage erase
	$(BIN)/python -m pytest -q -n auto --cov --cov-report= --deselect tests/test_import_weight.py $(ARGS); \
	tested=$$?; $(BIN)/python -m tests.covering $(if $(ARGS),,--write-docs) && exit $$tested

soak: $(VENV)/installed-dev ## Work at 70 % load while servers and workers are killed; memory and accounts must be flat; an hour, or SECONDS=
	$(BIN)/python -m tests.faults.soak --seconds $(or $(SECONDS),3600) --write-docs

machine: $(VENV)/installed-dev ## Play random moves, edits and crashes against real servers, and judge all that happened
	$(BIN)/python -m tests.process.machine --rounds 20

clean: ## Remove what the other targets made, the virtual environment too
	rm -rf $(VENV) $(BENCH) site demo-output benchmarks/data .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is %d.%d: name another with PYTHON=" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --editable '.[files]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP) --editable '.[all,arrow,dev]'
	@touch $@

# Rivals have a place of their own, so that they share no library with what is tested.
$(BENCH)/installed: pyproject.toml benchmarks/requirements.txt
	@echo "setting up $(BENCH)"
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[files,postgres]' --requirement benchmarks/requirements.txt
	@touch $@
