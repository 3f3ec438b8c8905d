# Every target prepares what it needs: a machine with Python 3.11 or later and make is enough.

VENV := .venv
BIN := $(VENV)/bin
# For two cores: a worker waits for real parts a third of its time, and needs a gigabyte of memory.
WORKERS ?= 4
PYTEST_ARGS ?=

# The environment holds everything (dev) or only what the demo runs on. A stamp says which lock and
# which project file it was made from, so that a second run starts at once.
DEV := $(VENV)/.kaimen-dev
DEMO := $(VENV)/.kaimen-demo

.PHONY: help demo demo-check test lint style types suite soak bench screenshots words lock clean

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-12s %s\n", $$1, $$2}'

demo: $(DEMO) ## start everything on this machine, with virtual boards and a seeded store
	@exec $(BIN)/kaimen-demo run

demo-check: $(DEMO) ## do the main job without a person; fails if a step fails
	@exec $(BIN)/kaimen-demo check

test: style ## check the code and run all tests on real parts
	$(BIN)/python -m tests.support.ensure
	@$(MAKE) --no-print-directory -j 2 types suite

lint: style types ## ruff, import-linter, mypy --strict

style: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(DEV)
	$(BIN)/mypy

suite: $(DEV)
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

soak: $(DEV) ## the long runs: property tests with 5,000 examples, and tests marked soak
	$(BIN)/python -m tests.support.ensure
	HYPOTHESIS_PROFILE=soak $(BIN)/pytest -m "soak or hypothesis" --timeout 3600 $(PYTEST_ARGS)

bench: $(DEV) ## measure, print, compare with nothing
	$(BIN)/python -m benchmarks

screenshots: $(DEV) ## photograph every page of the customer's into docs/images/pages
	@$(BIN)/python -m tests.web.screenshots

words: $(DEV) ## find all texts, bring the translations up to date, say what is missing
	$(BIN)/python -m scripts.words

lock: $(DEV) ## resolve the dependencies anew and write requirements/*.lock
	$(BIN)/python scripts/lock.py

clean: ## delete what was made here, the environment included
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist var
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEV): requirements/dev.lock requirements/bootstrap.lock pyproject.toml scripts/bootstrap.sh
	@sh scripts/bootstrap.sh $(VENV) requirements/dev.lock
	@touch $@ $(DEMO)

$(DEMO): requirements/demo.lock requirements/bootstrap.lock pyproject.toml scripts/bootstrap.sh
	@sh scripts/bootstrap.sh $(VENV) requirements/demo.lock
	@touch $@
