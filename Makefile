# Everything a newcomer needs; `make` alone lists the targets.
PYTHON ?= python3
KILLS ?= 200
STORE ?= minio
BENCH ?= default
PARTS ?=
CONTESTANTS ?=
WINE ?=
# Test workers for each processor: with two, one waits most of the time. What test-rest runs starts several streams itself.
TWO_EACH = -n auto --no-loadscope-reorder
ONE_EACH = -n logical --no-loadscope-reorder
export PYTHON

.PHONY: help setup demo services test test-fast coverage test-rest lint check bench bench-smoke faults pollute lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

setup: ## prepare .venv and .jars inside this folder
	@scripts/setup.sh

demo: setup ## train a model, stream CSV files, show the predictions
	@.venv/bin/streamscore demo

services: setup ## start object store, PostgreSQL and MLflow on loopback, without Docker (STORE=versitygw: another store)
	@services/tools.sh $(STORE)
	@.venv/bin/python -m services --store $(STORE)

test: setup ## run the test suite; what needs a server that is not here is skipped
	@.venv/bin/python -m pytest tests $(TWO_EACH)

test-fast: setup ## only what is pure, 1 minute: no server, no Spark, no training
	@.venv/bin/python -m pytest tests/house tests/unit tests/docs/test_text.py --hypothesis-profile fast \
		-m "not (slow or trains or spark or system or servers)" $(ONE_EACH)

coverage: setup ## what part of the code the tests without Spark and servers run; fails below the floor in pyproject.toml
	@.venv/bin/python -m pytest tests/unit -m "not (spark or system or servers or repeats)" --cov --cov-report=term $(ONE_EACH)

test-rest: setup ## what make test leaves out: what needs a server, and further cases of a kind
	@.venv/bin/python -m pytest tests -m "(servers or repeats) and not faults_long" $(ONE_EACH)

lint: setup ## ruff and mypy
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

check: lint ## what CI asks before the tests

bench: setup ## measure against the contestants, 45 minutes (BENCH=full: all sizes; PARTS="latency idle" CONTESTANTS=…: only these)
	@benchmarks/libraries/install.sh
	@.venv/bin/python -m benchmarks --size $(BENCH) $(PARTS) $(if $(CONTESTANTS),--only $(CONTESTANTS))

bench-smoke: setup ## the same on tiny input, 3 minutes: whether it works, no figures
	@benchmarks/libraries/install.sh
	@.venv/bin/python -m benchmarks --size smoke $(PARTS) $(if $(CONTESTANTS),--only $(CONTESTANTS))

faults: setup ## kill the stream KILLS times (default 200) and compare with the batch oracle
	@.venv/bin/python -m pytest tests/faults -m "faults or faults_long" --kills $(KILLS)

pollute: setup ## read 2,400 polluted files by streams, Spark CSV, pandas and DuckDB, 20 minutes (PARTS="driver spark": only these; WINE=file: real wines)
	@.venv/bin/python -m benchmarks.pollute $(PARTS) $(if $(WINE),--wine $(WINE))

lock: setup ## resolve requirements.lock again from pyproject.toml
	@.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --group dev pyproject.toml --output-file requirements.lock

clean: ## remove what make set up and the caches; var/ (registry, tables) stays
	rm -rf .venv .jars .tools dist .pytest_cache .mypy_cache .ruff_cache
