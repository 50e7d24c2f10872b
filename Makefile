# Every target sets up what it needs; the first run therefore takes a minute or two longer.
PYTHON ?= $(shell sh scripts/pythons.sh | sed -n '1s/^[^ ]* //p')
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo demo-collector test test-stores lint test-all collector peers faults bench canaries fuzz readme clean

help: ## Show this list
	@printf 'authaudit: what can be made here\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-22s%s\n", $$1, $$2 }'
	@printf '\nPYTHON=/path/to/python3 chooses the interpreter (now: %s).\n' '$(PYTHON)'
	@printf 'One test: make test ARGS="tests/test_docs.py -x"\n'

demo: $(READY) ## Three real applications, unchanged, and the audit trail of what was done with them
	@$(BIN)/python -m examples.demo

demo-collector: $(READY) ## The same over a real collector into files and VictoriaLogs, which are killed on the way (ARGS=--keep)
	@$(BIN)/python scripts/collector.py
	@$(BIN)/python -m examples.collector $(ARGS)

test: $(READY) ## Run the tests (ARGS= goes to pytest)
	@$(BIN)/python scripts/collector.py --where-possible
	@$(BIN)/python -m pytest $(ARGS)

test-stores: $(READY) ## The long tests of collector and stores: outages of minutes, a million rows, clusters, restores (ARGS=)
	@$(BIN)/python scripts/collector.py
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[stores]'
	@$(BIN)/python -m pytest -m stores $(ARGS)

lint: $(READY) ## Check style (ruff) and types (mypy strict) of package, tests, examples and scripts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test-all: $(READY) ## Run the tests on the oldest and newest CPython and libraries found (ARGS= goes to pytest)
	@$(BIN)/python scripts/matrix.py $(ARGS)

collector: $(READY) ## Build the collector and the log store with Go, from pinned sources with checksums; validate every configuration
	@$(BIN)/python scripts/collector.py $(ARGS)

peers: $(READY) ## Run libraries' own test suites without us and with us, compared test by test (ARGS="django")
	@$(BIN)/python scripts/peers.py $(ARGS)

fuzz: $(READY) ## Fuzz the forwarding headers for five minutes (atheris; ARGS= goes to libFuzzer)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@mkdir -p .cache/fuzz
	@PYTHONPATH=. $(BIN)/python fuzz/headers.py -max_total_time=300 -artifact_prefix=.cache/fuzz/ $(ARGS) .cache/fuzz

canaries: $(READY) ## Every story once more, with a search for every secret that passed through the process
	@$(BIN)/python -m pytest tests/stories -p tests.stories.canary --authaudit-early $(ARGS)

bench: $(READY) ## What a record costs, beside the stock SDK (ARGS=--scale)
	@$(BIN)/python -m benchmarks $(ARGS)

faults: $(READY) ## Lose records in every way known, with the stock SDK and with ours, side by side (ARGS="SIGTERM")
	@$(BIN)/python scripts/faults.py $(ARGS)

readme: $(READY) ## Rewrite the generated tables of README.md
	@$(BIN)/python scripts/readme.py

clean: ## Remove everything that make made
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Written last, so an interrupted installation is begun anew; pyproject.toml says what is needed.
$(READY): pyproject.toml scripts/venv.sh
	@sh scripts/venv.sh '$(PYTHON)' $(VENV)
	@touch $@
