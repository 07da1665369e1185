.DEFAULT_GOAL := help
.PHONY: help demo test lint clean system

VENV := .venv
BIN := $(VENV)/bin

# The first of these that is new enough makes the virtual environment.
PYTHONS := python3 python3.13 python3.12 python3.11
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON = $(firstword $(foreach python,$(PYTHONS),$(shell \
	$(python) -c '$(NEW_ENOUGH)' 2>/dev/null && echo $(python))))

PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

help:  ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST)

demo: $(VENV)/.celosia  ## Classify digits on the simulated engine, and place and route it
	@$(BIN)/celosia demo

test: $(VENV)/.celosia-test lint  ## Lint, types and all tests
	@OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -q </dev/null

lint: $(VENV)/.celosia-test  ## Lint and types alone
	@$(BIN)/ruff check --quiet
	@said=$$($(BIN)/pyright 2>&1) || { echo "$$said"; exit 1; }

clean:  ## Remove the virtual environment and all that was generated
	@rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +

# Says all that is missing, and what each is for, before anything is downloaded.
system:
	@missing=0; \
	need() { \
		command -v "$$1" >/dev/null 2>&1 || { echo "missing: $$2" >&2; missing=1; }; \
	}; \
	need git "git, which fetches this project"; \
	need perl "perl, in which Verilator's driver is written"; \
	need "$(CXX)" "a C++ compiler ($(CXX)), with which Verilator builds simulations"; \
	[ -n "$(PYTHON)" ] || { missing=1; \
		echo "missing: Python 3.11 or later with venv (tried $(PYTHONS))" >&2; }; \
	exit $$missing

$(BIN)/python: | system
	@echo "Making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# A wheel of yowasp compiles itself at its first call. Once and here, lest parallel tests do.
$(VENV)/.celosia: pyproject.toml | $(BIN)/python
	@echo "Installing what pyproject.toml pins (a minute or two)"
	@$(PIP) install -e .
	@for tool in yosys nextpnr-ecp5 nextpnr-ice40; do \
		$(BIN)/yowasp-$$tool --version >/dev/null 2>&1; done
	@touch $@

$(VENV)/.celosia-test: pyproject.toml $(VENV)/.celosia
	@echo "Installing what the tests need"
	@$(PIP) install -e '.[test]'
	@touch $@
