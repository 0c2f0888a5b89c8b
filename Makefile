# `make` sets up .venv, reproduces everything at scale quick and says what it made.
# `make help` lists the other targets.

.DEFAULT_GOAL := quick
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
CORES ?= all
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: setup quick smoke bandit-paper ablations methods longer twoways online evidence evidence-so-far report bundle docs bench test lint format clean help

setup: $(STAMP)  ## create .venv and install the pinned versions

$(STAMP): pyproject.toml requirements.lock
	@python=; for name in python3.11 python3.12 python3 python; do \
	  if $$name -c 'import sys; exit(not (3, 11) <= sys.version_info < (3, 13))' \
	    2> /dev/null; then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "make: no Python 3.11 or 3.12 found; install one, then run make again" >&2; \
	  exit 1; fi; \
	if [ ! -x $(BIN)/python ]; then \
	  echo "Creating $(VENV) with $$($$python --version)"; \
	  $$python -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "make: '$$python -m venv' failed; install Python's venv package" >&2; \
	    exit 1; }; fi
	@echo "Installing the versions pinned in requirements.lock (minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 \
	  --constraint requirements.lock --editable '.[test,lint]'
	@touch $@

quick: setup  ## reproduce everything at scale quick (the default; 15 to 25 minutes)
	@snakemake all --logger dql --cores $(CORES) --config scale=quick
	@$(MAKE) record
	@dql summary
	@echo "All results, one page to open in a browser: $(CURDIR)/results/index.html"

smoke: setup  ## the whole workflow with tiny sizes, below .smoke (3 minutes)
	@snakemake all --logger dql --cores $(CORES) --directory .smoke --config scale=smoke
	@cd .smoke && dql summary
	@echo "All results, one page to open in a browser: $(CURDIR)/.smoke/results/index.html"

bandit-paper: setup  ## the bandit at the paper's settings, below .paper (hours; resumes)
	@snakemake bandit --logger dql --cores $(CORES) --directory .paper --config scale=paper
	@dql keep bandit-paper --from .paper

ablations: setup  ## eta, N, Table 2 at quick's sizes, below .ablations (hours; resumes)
	@snakemake all --logger dql --cores $(CORES) --directory .ablations --config scale=ablations
	@dql keep ablations --from .ablations

methods: setup  ## every method on two more datasets made here, below .methods (hours; resumes)
	@snakemake all --logger dql --cores $(CORES) --directory .methods --config scale=methods
	@dql keep methods --from .methods

longer: setup  ## a few methods for 40,000 steps on data made here, below .longer (an hour; resumes)
	@snakemake all --logger dql --cores $(CORES) --directory .longer --config scale=longer
	@dql keep longer --from .longer

twoways: setup  ## do policies keep two equally good ways? below .twoways (half an hour; resumes)
	@snakemake all --logger dql --cores $(CORES) --directory .twoways --config scale=twoways
	@dql keep twoways --from .twoways

online: setup  ## offline runs go on with fresh interaction, below .online (hours; resumes)
	@if [ -d results/kept/online/runs ]; then dql restore online --to .online; fi
	@snakemake all --logger dql --cores $(CORES) --directory .online --config scale=online
	@dql keep online --from .online

# Finished runs are kept in Git: the next machine goes on where this one stopped.
evidence: setup  ## the paper's methods on D4RL's Gym sets remade, below .evidence (days; resumes anywhere)
	@if [ -d results/kept/evidence/runs ]; then dql restore evidence --to .evidence; fi
	@status=0; snakemake all --logger dql --cores $(CORES) --keep-going \
	  --directory .evidence --config scale=evidence || status=$$?; \
	$(MAKE) evidence-so-far || status=$$?; exit $$status

evidence-so-far: setup  ## its cells, tables, figures and claims half-way, kept; trains nothing
	@cd .evidence && for verb in aggregate action-samples stability episode table figure; do \
	  dql $$verb --all --scale evidence || exit; done && \
	  if [ -d results/comparisons ]; then dql data compare --table --scale evidence; fi && \
	  if [ -d results/episodes/remade-hopper-medium ]; then \
	    dql film remade-hopper-medium --scale evidence; fi && \
	  dql claims && dql page --scale evidence
	@dql keep evidence --from .evidence

# DVC keeps the versions of what Snakemake made (see dvc.yaml), snakemake.lock how: git
# holds both locks, and dvc pull with dql adopt brings a clone to the same state.
.PHONY: record
record: setup
	@if git rev-parse --git-dir > /dev/null 2>&1; then \
	  dql record && dvc commit --force --quiet; \
	else echo "not a git repository: nothing recorded with DVC"; fi

report: setup  ## results/report.html: each output with its caption, rule, code, parameters
	@if [ ! -e results/index.html ]; then \
	  echo "make: nothing to report yet; run make first" >&2; exit 1; fi
	@snakemake --report results/report.html \
	  --report-stylesheet "$(CURDIR)/workflow/report/style.css"
	@echo "The report, one page to open in a browser: $(CURDIR)/results/report.html"
	@if [ -n "$${DISPLAY:-}$${WAYLAND_DISPLAY:-}" ] && command -v xdg-open > /dev/null; \
	  then xdg-open results/report.html > /dev/null 2>&1 || true; fi

bundle: setup  ## one zip of code and results for an archive or a committee
	@dql bundle

docs: setup  ## the tables of README and docs/, anew from results/kept
	@python docs/tables.py

bench: setup  ## steps, data, environments, evaluation, aggregation, resume against their limits
	@python benchmarks/gradient_steps.py
	@python benchmarks/data.py
	@python benchmarks/environments.py
	@python benchmarks/evaluation.py
	@python benchmarks/aggregation.py
	@python benchmarks/resume.py

test: setup  ## the tests, the workflow at scale smoke included
	@python -m pytest -q --numprocesses 2 --dist loadgroup

lint: setup  ## style of code and rules, walls between packages
	@ruff check .
	@ruff format --check .
	@lint-imports --no-logo --no-cache
	@snakefmt --check Snakefile workflow/rules workflow/helpers
	@snakemake --lint

format: setup  ## rewrite code and rules in this style
	@ruff check --fix .
	@ruff format .
	@snakefmt Snakefile workflow/rules workflow/helpers

clean:  ## remove results, downloads too, figures, caches; other scales' folders and Git's stay
	@find results -mindepth 1 -maxdepth 1 ! -name kept ! -name benchmarks \
	  -exec rm -rf {} + 2> /dev/null || true
	@rm -rf results/benchmarks/train
	@rm -rf figures .smoke .snakemake .pytest_cache .ruff_cache .hypothesis
	@find dql tests -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' \
	  | while IFS=$$'\t' read -r name text; do printf '  make %-16s %s\n' "$$name" "$$text"; done
