# make demo and make test each set up all they need: a virtual environment and the locked dependencies.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
export CASEFINDER_HOME ?= workspace

.PHONY: help demo test check prove bench ratios against ui lock format docs clean

help:  ## what each verb does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(VENV)/.installed: requirements.txt requirements-uv.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

demo: $(VENV)/.installed  ## a made-up ICB through the whole pipeline: prints what was published and where
	$(BIN)/casefinder demo

test: $(VENV)/.installed  ## every test that needs nothing but this machine
	OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

check: $(VENV)/.installed  ## format, lint, types, imports, SQL style, spelling, generated files current
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --processes 2 sql
	$(BIN)/codespell pipelines models sql data_contracts tests notebooks docs README.md CHANGELOG.md GLOSSARY.md
	$(BIN)/python -m pipelines.generated --check

prove: $(VENV)/.installed  ## the slow tests and the long check behind every claim; ONLY=ingest|scores|model|non-response|releases|speed
	$(if $(ONLY),,OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m slow)
	$(BIN)/python -m tests.prove $(ONLY)

bench: $(VENV)/.installed  ## rows, seconds and memory of each step
	$(BIN)/casefinder bench

ratios: $(VENV)/.installed  ## what each step takes beside one scan of its columns, 100,000 people; fails over its limit
	$(BIN)/casefinder bench --people 100000 --limits tests/benchmarks/limits.csv

against: $(VENV)/.installed  ## the same answers from pandas, one wide query, loops and pycomorb, and their seconds
	OMP_NUM_THREADS=2 $(BIN)/python -m tests.benchmarks.against docs/comparisons.md

ui: $(VENV)/.installed  ## Dagster's pages on this workspace
	$(BIN)/casefinder ui

docs: $(VENV)/.installed  ## rewrite the generated files
	$(BIN)/python -m pipelines.generated

format: $(VENV)/.installed  ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## resolve the dependencies again, with hashes and without index addresses
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-strip-extras --python-version 3.11 \
		--exclude-newer "7 days" --group dev --output-file requirements.txt pyproject.toml

clean:  ## remove the demo's workspace
	rm -rf workspace
