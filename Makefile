# Everything a person or a machine runs here. `make setup` once; the rest needs no network.
#
#   make setup                 create .venv and install everything
#   make demo                  a simulated town, four models, one page to click through, a server until ctrl-C
#   make test / lint / bench   what .ci/run runs, and the benchmarks
#
# TORCH_INDEX  an extra package index for PyTorch (the CPU build, for example); default none
# DEMO_ARGS    flags for `zhiyin demo` (--no-serve ends it with the page), TEST_ARGS for pytest, BENCH the benchmarks to run

SHELL := /bin/bash
PYTHON ?= python3
TORCH_INDEX ?=
DEMO_ARGS ?=
TEST_ARGS ?= -n 2
BENCH ?= load
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
EXTRA_INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: setup demo test lint bench
.DEFAULT_GOAL := setup

setup: $(STAMP)

$(STAMP): pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "no '$(PYTHON)' here: install Python 3.11 or newer, or say make setup PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "zhiyin needs Python 3.11 or newer; this is $$($(PYTHON) --version). Say make setup PYTHON=python3.12, for example." >&2; exit 2; }
	@SECONDS=0; set -e; \
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV); \
	$(BIN)/python tools/torch_build.py $(EXTRA_INDEX); \
	echo "installing into $(VENV): about 2 GB, a few minutes"; \
	$(BIN)/python -m pip install --quiet $(EXTRA_INDEX) -e '.[dev]'; \
	touch $@; \
	echo "ready in $$SECONDS s: $(VENV) holds $$(du -sh $(VENV) | cut -f1). Next: make demo"

demo: $(STAMP)
	@$(BIN)/zhiyin demo $(DEMO_ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(TEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	@for name in $(BENCH); do $(BIN)/python bench/$$name.py || exit $$?; done
