# `make demo` and `make test` need Python 3.11 or newer, gcc and pip; all else goes into .venv.
PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3),python3.11)
VENV := .venv
BIN := $(VENV)/bin
SOURCES := setup.py pyproject.toml $(wildcard csrc/*)

.PHONY: help demo test campaign kills check bench clean
.DELETE_ON_ERROR:

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/installed ## run the main job on what the package carries
	$(BIN)/hrnetae demo --out demo_output

# Files of tests are shared out among the processors: what a file prepares once is prepared once.
test: $(VENV)/installed-test ## run the test suite
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

campaign: $(VENV)/installed-test ## decode 100,000 drawn images in every way and compare; ten minutes
	$(BIN)/python tests/campaign.py --cases 100000 --processes $$(nproc)

kills: $(VENV)/installed-test ## kill the five long verbs at random moments, 60 times each, and resume them; half an hour
	$(BIN)/python tests/kills.py --kills 60 --state build/kills.json

check: $(VENV)/installed-dev ## lint and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint csrc/*.pyx

bench: $(VENV)/installed-bench ## time everything, 2 minutes; writes bench/results (BENCH="--full" for more)
	$(BIN)/python -m bench $(BENCH)

clean: ## remove everything that was made
	rm -rf $(VENV) build dist demo_output *.egg-info hrnetae/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

# The extension is built again when its sources change; Python files are used where they lie.
$(VENV)/installed: $(VENV)/bin/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/installed-%: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[$*]'
	touch $@
