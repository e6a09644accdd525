# Two commands for a newcomer, each from a bare machine (Python >= 3.11 and make):
#   make demo   score and rank pictures with the small model in the package
#   make test   run the whole test suite
# The rest is for those who change the code: lint, docs, bench, gpu.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test slow lint format docs bench gpu clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "librehps needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp for each set of packages: nothing is installed again until these two files change.
# torch comes first and alone, so that nothing else can pull another build of it.
$(VENV)/.installed-core: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing torch and librehps into $(VENV) (a few minutes the first time)"
	$(PIP) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed-core
	$(PIP) --editable ".[$*]"
	@touch $@

demo: $(VENV)/.installed-core  ## score and rank pictures with the small model in the package
	@$(BIN)/python examples/drawn_scenes.py .demo/pictures
	@echo; echo '$$ librehps score .demo/pictures/*.png --prompt "an image of a blue star"'
	@$(BIN)/librehps score .demo/pictures/*.png --prompt "an image of a blue star"
	@echo; echo '$$ librehps rank .demo/pictures/*.png --prompt "an image of a blue star"'
	@$(BIN)/librehps rank .demo/pictures/*.png --prompt "an image of a blue star"

test: $(VENV)/.installed-test  ## run the test suite, on up to 8 cores
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist worksteal

slow: $(VENV)/.installed-test  ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed-dev  ## format check, lint, types, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.installed-test  ## time every op, and the delta rule against transformers
	$(BIN)/librehps bench ops
	$(BIN)/python -m benchmarks.ops.gated_delta_rule

gpu:  ## on a CUDA machine with torch: the GPU tests, then the benchmarks; DEVICE=cpu rehearses
	PYTHON="$(PYTHON)" bash scripts/gpu_lane.sh

clean:  ## remove what the targets above made
	rm -rf $(VENV) .demo site .pytest_cache .ruff_cache .hypothesis
