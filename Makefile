# make demo       an environment, the main job on drawn people, and where its results are
# make test       an environment with everything the tests need, and every check that this machine can run
# make others     a few tests on the other interpreters that are found, three minutes for all
# make api        the API reference from the docstrings, as HTML in build/api
# make interpreters   a quick part of the tests on every Python from 3.10 to 3.14 that is found
# make dist       the sdist and the wheel, each tried in an environment of its own
# make test-all   the same with real mxnet and Chromium, installed where that is possible
#
# PYTHON names the interpreter that makes the environment (3.10 to 3.14), VENV the folder of the environment:
# make test PYTHON=python3.12 VENV=.venv-3.12
# TESTERS is the number of processes that run tests side by side, each a file at a time.

PYTHON ?= python3
VENV   ?= .venv
MXNET  ?= .venv-mxnet
BIN    := $(VENV)/bin
DEMO   ?= demo
TESTERS ?= 2
BESIDE := -n $(TESTERS) --dist loadfile --no-loadscope-reorder
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: ablation api demo interpreters others test test-all lint types tests kernels generic docs dist clean

# The files whose results may depend on the processor.
NUMERIC := $(filter-out tests/test_clean_report.py tests/test_mask_mxnet.py tests/test_mask_restart.py tests/test_list_memory.py \
  tests/test_list_export_memory.py, \
  $(wildcard $(patsubst %, tests/test_%*.py, ablation augment bcl benchmark clean embeddings_engine evaluate faces list mask overlap passport selflearn synth \
  train_job train_parts train_resume train_scores train_vit)))

demo: $(VENV)/.core
	$(BIN)/facekit synth $(DEMO)/people --identities 40 --images 6 --workers 1 --overwrite
	$(BIN)/facekit mask $(DEMO)/people $(DEMO)/masked --ratio 0.5 --workers 1 --overwrite

# A small form of every table of both papers' ablations, on drawn people.
ablation: $(VENV)/.test
	$(BIN)/python benchmarks/ablation.py --out ablation

test: lint types others kernels generic tests

.NOTPARALLEL:

lint: $(VENV)/.test
	$(BIN)/ruff check .

types: $(VENV)/.test
	$(BIN)/mypy

tests: $(VENV)/.test
	$(BIN)/python -m pytest -q $(BESIDE)

# The kernels are tested compiled above; here once with bounds checked and once without the compiler.
kernels: $(VENV)/.test
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/$(VENV)/numba-boundscheck $(BIN)/python -m pytest -q -m kernels
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -m kernels

# Makes another machine of this one: no instruction newer than SSE2 in torch and numba, none newer than AVX2 in oneDNN.
generic: $(VENV)/.test
	@echo "the numeric tests as on an older processor"
	@ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2 NUMBA_CPU_NAME=generic \
	  NUMBA_CACHE_DIR=$(CURDIR)/$(VENV)/numba-generic $(BIN)/python -m pytest -q $(BESIDE) $(NUMERIC)

test-all:
	tools/install_counterparts.sh $(MXNET) $(MXNET_PYTHON)
	if [ -x $(MXNET)/bin/python ]; then export FACEKIT_MXNET_PYTHON=$(CURDIR)/$(MXNET)/bin/python; fi; $(MAKE) test

docs: $(VENV)/.core
	$(BIN)/python tools/write_commands_page.py
	$(BIN)/python tools/write_settings_page.py
	$(BIN)/python tools/write_json_page.py

api: $(VENV)/.test
	$(BIN)/python tools/write_api.py build/api
	@echo "open build/api/index.html"

# The interpreters beside this one, three minutes for all of them; it says what there was no time for.
others: $(VENV)/.test
	@$(BIN)/python tools/try_interpreters.py --seconds 180

# All of them with more packages and tests: an environment for each, which is kept, takes minutes the first time.
interpreters:
	$(PYTHON) tools/try_interpreters.py

dist:
	rm -rf dist build
	$(PYTHON) tools/try_dist.py

clean:
	rm -rf build $(DEMO) .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' || \
	  { echo "$(PYTHON) is not a Python from 3.10 to 3.14; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The stamps say what is installed; they are as old as the files that say what should be.
$(VENV)/.core: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[embed,clean,train,report,ray,test]'
	@touch $(VENV)/.core $@
