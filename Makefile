# `make demo` and `make test` do all their own set-up: a virtual environment in .venv from the hash-locked list in .lock/.
.DEFAULT_GOAL := help
.PHONY: help demo test lint fix bench screens soak lab lock clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run-$(shell cat .lock/run.txt pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)
DEV := $(VENV)/.dev-$(shell cat .lock/dev.txt pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
KILLS ?= 50
SOAK ?= 100000

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tourlatch needs Python 3.11 or later; $(PYTHON) is older."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "The module venv is missing: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(RUN): | $(BIN)/python
	@echo "Installing the locked packages into $(VENV) ..."
	@$(PIP) install --only-binary=:all: --require-hashes -r .lock/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): | $(BIN)/python
	@echo "Installing the locked packages and test tools into $(VENV) ..."
	@$(PIP) install --only-binary=:all: --require-hashes -r .lock/dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(RUN)

demo: $(RUN) ## The whole story on a played scanner and a played board; STAY=1 leaves the pages open
	@$(BIN)/tourlatch demo $(if $(STAY),--stay)

test: $(DEV) ## All tests; KILLS=500 for more crashes
	@KILLS=$(KILLS) $(BIN)/coverage erase
	@KILLS=$(KILLS) $(BIN)/coverage run -m pytest -n 4 --dist worksteal
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --fail-under=90
	@$(BIN)/coverage report --include='agent/core/*' --fail-under=100

lint: $(DEV) ## ruff, mypy strict, import-linter, deptry
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .

fix: $(DEV) ## Format, and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(DEV) ## From scan to relay, the desk under load, each beside a floor; how much a camera reads; the screen
	@$(BIN)/python tests/bench/scan.py
	@$(BIN)/python tests/bench/desk.py
	@$(BIN)/python -m tests.bench.camera
	@$(BIN)/python -m tests.bench.kiosk

screens: $(DEV) ## All pages of the desk and states of the screen as one contact sheet, .screens/index.html (Chromium)
	@rm -rf .screens
	@SCREENS=.screens $(BIN)/python -m pytest -n 2 tests/browser/test_accessible.py tests/browser/test_kiosk_states.py \
		tests/browser/test_kiosk_touch.py tests/browser/test_kiosk_book.py
	@$(BIN)/python -m tests.browser.sheet .screens

soak: $(DEV) ## A week on a wall, compressed: SOAK=100000 scans, and memory that stays flat (Chromium)
	@SOAK=$(SOAK) $(BIN)/python -m pytest -s tests/kiosk/test_soak.py

lab: $(RUN) ## The agent under its own unit on an emulated board (root, Debian; about half an hour)
	@bash tests/lab/lab.sh

lock: ## Renew .lock/ (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --group build pyproject.toml -o .lock/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --group dev --extra camera --extra gpio --extra osdp -c .lock/run.txt pyproject.toml -o .lock/dev.txt

clean: ## Remove what make made
	rm -rf $(VENV) .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .screens dist
