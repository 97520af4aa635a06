# `make test` and `make demo` set up all they need, in .venv beside this file. PYTHON names another interpreter.
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
PYTEST_FLAGS ?= -q
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.PHONY: help venv procgen lint format test demo reproduce bench clean

help: ## say what there is to make
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

venv: $(INSTALLED) ## the environment: the package (editable), its tools, all versions pinned

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# The real game's library exists for this platform alone; elsewhere the recorded levels and frames stand in for it.
procgen: venv ## the real procgen library, into the user's cache
ifeq ($(shell uname -sm),Linux x86_64)
	$(BIN)/mazeinterp procgen install
endif

lint: venv ## style, types, and which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv ## put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each file in a process of its own: native code (the real game's Qt, torch, compiled kernels) meets no other file's.
test: lint procgen ## everything that a change must pass
	ls tests/test_*.py | xargs -P $(JOBS) -I{} sh -c \
	  'out=$$(OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS) {} 2>&1); code=$$?; echo "$$out"; exit $$code'

demo: venv ## the main job, pictures in out/
	$(BIN)/python scripts/demo.py

reproduce: venv ## the published results beside ours, a report in out/; ARGS="--quick" for a coffee break
	$(BIN)/mazeinterp reproduce $(ARGS)

bench: procgen ## speed against the real procgen, in one run
	$(BIN)/python scripts/bench.py maze

clean: ## remove the environment, caches and outputs
	rm -rf .venv build dist out .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
