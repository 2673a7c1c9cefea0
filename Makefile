# Every target sets up what it needs: from a bare clone only python3 (3.11 or newer, with venv) and make are wanted.
PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEV := .venv/.dev
PIP := $(BIN)/pip --disable-pip-version-check install --quiet
OKX_CLIENTS := .venv-okx-clients/.installed

.PHONY: install demo test check bench bench-quick chaos attack fuzz okx-clients lock clean

install: $(RUNTIME)

demo: $(RUNTIME)
	$(BIN)/candleql serve --demo

test: $(DEV) $(OKX_CLIENTS)
	$(BIN)/coverage run -m pytest -n logical --dist worksteal $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The table of docs/performance.md, measured on this machine, thoroughly in 9 minutes or roughly in 2 and a half.
bench: $(RUNTIME)
	$(BIN)/python -m bench

bench-quick: $(RUNTIME)
	$(BIN)/python -m bench --quick

# Harm done to a whole system at random, from a seed; then what is stored and was heard is compared with what happened.
SEED ?= 1
N ?= 200
chaos: $(RUNTIME)
	$(BIN)/python -m chaos --seed $(SEED) --faults $(N)

# Hostile clients against a server of its own, in three minutes: what each refusal costs, and how long others wait.
attack: $(RUNTIME)
	$(BIN)/python -m attack

# Random operations out of the schema, with values that are nearly right, for as long as you like.
FUZZ_SECONDS ?= 600
fuzz: $(DEV)
	$(BIN)/python -m attack.fuzz --seconds $(FUZZ_SECONDS)

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/candleql export-schema --check schema.graphql

$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("candleql needs Python 3.11 or newer: make PYTHON=python3.13")'
	$(PYTHON) -m venv .venv

$(RUNTIME): requirements.txt pyproject.toml | $(BIN)/pip
	$(PIP) --require-hashes -r requirements.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	$(PIP) --require-hashes -r requirements-dev.txt
	touch $@

# ccxt and python-okx, which the simulated exchange is tried with; apart from our own environment, which they would rule.
okx-clients: $(OKX_CLIENTS)

$(OKX_CLIENTS): requirements-okx-clients.txt | $(BIN)/pip
	$(BIN)/python -m venv --clear .venv-okx-clients
	.venv-okx-clients/bin/pip --disable-pip-version-check install --quiet --require-hashes -r $<
	touch $@

# Written anew only when the dependencies change; wants uv on the PATH.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
LOCK := $(COMPILE) pyproject.toml --group build
lock:
	$(LOCK) -o requirements.txt
	$(LOCK) --group dev -c requirements.txt -o requirements-dev.txt
	printf 'ccxt>=4.5\npython-okx>=0.4\n' | $(COMPILE) - -o requirements-okx-clients.txt

clean:
	rm -rf .venv .venv-okx-clients build *.egg-info
