.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup run check check-long faults test lint types tests test-long test-vm diagrams format clean constraints

BIN := .venv/bin
PIP_QUIETLY := -qq --disable-pip-version-check

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/stamp ## Create .venv, or bring it up to date
	@:

run: setup ## Check the protocol quickly, draw the diagrams, show a failover
	@$(BIN)/hacore check --quick
	@$(BIN)/hacore diagram
	@$(BIN)/hacore demo

check: setup ## Check the protocol: ten minutes or so
	@$(BIN)/hacore check

check-long: setup ## Check the protocol: all slices and configurations
	@$(BIN)/hacore check --long

faults: setup ## Simulate clusters in random trouble, for long
	@$(BIN)/hacore sim faults --seeds 1000

test: lint types tests ## Everything that a change must pass

lint: setup ## Check style and formatting
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: setup ## Check types
	@$(BIN)/mypy

tests: setup ## Run the tests
	@$(BIN)/pytest -n 2

test-long: setup ## Run the tests that take minutes
	@$(BIN)/pytest -n 2 -m slow --timeout 3600

test-vm: setup ## Boot virtual machines in which watchdogs really fire: see docs/watchdog.md
	@$(BIN)/pytest -m vm --timeout 3600 tests/vm

diagrams: setup ## Draw the tables into diagrams/
	@$(BIN)/hacore diagram

format: setup ## Format the code and mend what can be mended
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean: ## Remove .venv, caches and builds
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

constraints: ## Pin anew what the development install brings
	@python=$$(tools/need.sh) && dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	"$$python" -m venv "$$dir" && "$$dir/bin/pip" install $(PIP_QUIETLY) -e '.[dev]' && \
	echo '# Made by `make constraints`, from a fresh install of .[dev]; not edited by hand.' > "$$dir/pins" && \
	"$$dir/bin/pip" freeze --exclude-editable >> "$$dir/pins" && cp "$$dir/pins" constraints.txt

.venv/stamp: pyproject.toml constraints.txt
	@python=$$(tools/need.sh) && echo "Setting up .venv with $$("$$python" --version) ..." && \
	"$$python" -m venv .venv && $(BIN)/pip install $(PIP_QUIETLY) -e '.[dev]' -c constraints.txt && touch $@
