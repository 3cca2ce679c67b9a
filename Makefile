# make demo   an environment, the main job on an embedded default, and where its results lie
# make test   an environment with everything the tests need, and every check there is
#
# PYTHON names the interpreter that founds the environment (3.10 to 3.13): make test PYTHON=python3.12

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: demo test lint types tests kernels docs clean

demo: $(VENV)/.core
	$(BIN)/facekit synth $(DEMO)/people --identities 40 --images 6 --workers 1 --overwrite
	$(BIN)/facekit mask $(DEMO)/people $(DEMO)/masked --ratio 0.5 --workers 1 --overwrite

test: lint types kernels tests

.NOTPARALLEL:

lint: $(VENV)/.test
	$(BIN)/ruff check .

types: $(VENV)/.test
	$(BIN)/mypy

tests: $(VENV)/.test
	$(BIN)/python -m pytest -q

# The kernels are tested compiled above; here once with bounds checked and once without the compiler.
kernels: $(VENV)/.test
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/$(VENV)/numba-boundscheck $(BIN)/python -m pytest -q -m kernels
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -m kernels

docs: $(VENV)/.core
	$(BIN)/python tools/write_commands_page.py

clean:
	rm -rf build $(DEMO) .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not a Python from 3.10 to 3.13; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The stamps say what is installed; they are as old as the files that say what should be.
$(VENV)/.core: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[align,embed,clean,train,report,ray,test]'
	@touch $(VENV)/.core $@
