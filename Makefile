# `make demo` and `make test` need Python 3.11 or newer, gcc and pip; all else goes into .venv.
PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3),python3.11)
VENV := .venv
BIN := $(VENV)/bin
# The versions of the lock file, for the build, too. Its checksums are those of one system's archives: .ci/run checks them.
CONSTRAINTS := $(VENV)/constraints.txt
INSTALL := PIP_BUILD_CONSTRAINT=$(CONSTRAINTS) $(BIN)/pip install --quiet --constraint $(CONSTRAINTS)
SOURCES := setup.py pyproject.toml $(wildcard csrc/* csrc/include/*)

.PHONY: help demo test campaign kills soak check bench lock audit fuzz fuzz-kernels sanitize docs wheels clean
.DELETE_ON_ERROR:

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/installed ## run the main job on what the package carries
	$(BIN)/hrnetae demo --out demo_output

# Files of tests are shared out among the processors: what a file prepares once is prepared once.
test: $(VENV)/installed-test ## run the test suite
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

campaign: $(VENV)/installed-test ## decode 100,000 drawn images in every way and compare; ten minutes
	$(BIN)/python tests/campaign.py --cases 100000 --processes $$(nproc)

kills: $(VENV)/installed-test ## kill the five long verbs at random moments, 60 times each, and resume them; half an hour
	$(BIN)/python tests/kills.py --kills 60 --state build/kills.json

soak: $(VENV)/installed-test ## decode in 8 threads for ten minutes, evaluate 20,000 pictures: same bytes, flat memory
	$(BIN)/python tests/soak.py --seconds 600 --threads 8
	$(BIN)/python tests/soak_eval.py --pictures 20000
FUZZ_CASES ?= 100000
FUZZ_SEED ?= 0
FUZZ_STATE ?= build/fuzz.json
fuzz: $(VENV)/installed-test ## hostile files and maps, FUZZ_CASES of each target; goes on where it was (FUZZ_TARGET, FUZZ_SEED)
	$(BIN)/python tests/fuzz $(FUZZ_TARGET:%=--target %) --cases $(FUZZ_CASES) --seed $(FUZZ_SEED) \
		--processes $$(nproc) --state $(FUZZ_STATE)

fuzz-kernels: ## the same with over 1,000,000 hostile inputs of the kernels, in 350,000 cases
	$(MAKE) fuzz FUZZ_TARGET=kernels FUZZ_CASES=350000

sanitize: $(VENV)/installed-test ## the tests of the kernels under gcc's address, undefined and thread sanitizers
	$(BIN)/python tests/sanitize.py address
	$(BIN)/python tests/sanitize.py thread

check: $(VENV)/installed-dev ## lint and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml hrnetae._kernels
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint csrc/*.pyx

bench: $(VENV)/installed-bench ## time everything, 2 minutes; writes bench/results (BENCH="--full" for more)
	$(BIN)/python -m bench $(BENCH)

lock: $(VENV)/bin/pip ## pin anew what CI and the other targets install, at its newest; needs a package index
	$(BIN)/python .ci/lock.py

# Without --strict a package that PyPI was not asked about, as without a network, counts as one without vulnerabilities.
audit: $(VENV)/bin/pip ## ask PyPI for known vulnerabilities of what is pinned; needs the network
	$(BIN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/pip install --quiet pip-audit==2.10.1
	$(VENV)/audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off \
		--requirement .ci/requirements.lock --requirement .ci/torch.txt

docs: $(VENV)/installed-docs ## build the documentation's site into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

wheels: ## build, audit and test the wheel on every Python here, as it is released (.ci/wheels)
	.ci/wheels

clean: ## remove everything that was made
	rm -rf $(VENV) build dist demo_output *.egg-info hrnetae/*.so hrnetae/include hrnetae/lib
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

# The extension is built again when its sources change; Python files are used where they lie.
$(CONSTRAINTS): .ci/requirements.lock | $(VENV)/bin/pip
	sed 's/ --hash=.*//' $< > $@

$(VENV)/installed: $(VENV)/bin/pip $(CONSTRAINTS) $(SOURCES)
	$(INSTALL) --editable .
	touch $@

$(VENV)/installed-%: $(VENV)/installed
	$(INSTALL) --editable '.[$*]'
	touch $@
