# Every target sets up what it needs: from a bare clone only python3 (3.11 or newer, with venv) and make are wanted.
PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEV := .venv/.dev
PIP := $(BIN)/pip --disable-pip-version-check install --quiet
OKX_CLIENTS := .venv-okx-clients/.installed
GRAPHQL_CLIENTS := conformance/node_modules/.installed
NPM := .venv-conformance/bin/python conformance/clients/npm.py
WEB := web/node_modules/.installed

.PHONY: install demo test check web web-check browser screens conformance bench bench-quick chaos attack fuzz leftovers okx-clients graphql-clients lock clean

install: $(RUNTIME)

demo: $(RUNTIME)
	$(BIN)/candleql serve --demo

# The browser has its turn when the others are done: with a demo and its database it wants the machine for itself.
test: $(DEV) $(OKX_CLIENTS) $(GRAPHQL_CLIENTS)
	$(BIN)/coverage run -m pytest -n logical --dist worksteal --ignore tests/browser $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/pytest --quiet tests/browser

# The specifications and the clients that people use, against a running server: a line for each.
conformance: $(DEV) $(GRAPHQL_CLIENTS)
	$(BIN)/python -m conformance

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

# Hostile clients against a server of its own, in five minutes: what each refusal costs, and how long others wait.
attack: $(RUNTIME)
	$(BIN)/python -m attack

# Random operations out of the schema, with values that are nearly right, for as long as you like.
FUZZ_SECONDS ?= 600
fuzz: $(DEV)
	$(BIN)/python -m attack.fuzz --seconds $(FUZZ_SECONDS)

# What so many operations of each kind leave behind in a server's process, over each transport: nothing.
LEFTOVERS_OF ?= 10000
leftovers: $(DEV)
	LEFTOVERS_OF=$(LEFTOVERS_OF) $(BIN)/pytest tests/test_leftovers.py

# The dashboard and GraphiQL, from web/ into gql/static/, which is committed: a user needs no Node.
web: $(WEB)
	$(NPM) web run build

# What is committed was built of what is there.
web-check: $(WEB)
	$(NPM) web run build -- --outDir ../build/web --logLevel error
	diff -r build/web gql/static

# What people see, in a real browser: Debian's Chromium. `make test` goes on without one, and says so.
browser: $(DEV) $(WEB)
	@command -v chromium >/dev/null || { echo 'There is no chromium: apt-get install chromium'; exit 1; }
	$(BIN)/pytest tests/browser $(PYTEST_ARGS)

# The pictures of docs/screens, taken anew.
screens: $(DEV)
	$(BIN)/python -m tests.browser.screens

check: $(DEV) web-check
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

# The GraphQL clients that the server is tried with, and a Node for those that want one, apart from our own environment:
# PyPI's gql has the name of our folder, and ariadne-codegen wants an older graphql-core.
graphql-clients: $(GRAPHQL_CLIENTS)

$(GRAPHQL_CLIENTS): requirements-conformance.txt requirements-ariadne-codegen.txt conformance/package-lock.json | $(BIN)/pip
	$(BIN)/python -m venv --clear .venv-conformance
	.venv-conformance/bin/pip --disable-pip-version-check install --quiet --require-hashes -r requirements-conformance.txt
	$(BIN)/python -m venv --clear .venv-ariadne-codegen
	.venv-ariadne-codegen/bin/pip --disable-pip-version-check install --quiet --require-hashes -r requirements-ariadne-codegen.txt
	$(NPM) conformance ci --ignore-scripts --no-audit --no-fund
	touch $@

$(WEB): web/package-lock.json | $(GRAPHQL_CLIENTS)
	$(NPM) web ci --ignore-scripts --no-audit --no-fund
	touch $@

# Written anew only when the dependencies change; wants uv on the PATH.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
LOCK := $(COMPILE) pyproject.toml --group build
lock:
	$(LOCK) -o requirements.txt
	$(LOCK) --group dev -c requirements.txt -o requirements-dev.txt
	printf 'ccxt>=4.5\npython-okx>=0.4\n' | $(COMPILE) - -o requirements-okx-clients.txt
	printf 'gql[aiohttp,websockets]>=4.4\nnodejs-wheel-binaries>=24,<25\n' | $(COMPILE) - -o requirements-conformance.txt
	printf 'ariadne-codegen[subscriptions]>=0.19\n' | $(COMPILE) - -o requirements-ariadne-codegen.txt

clean:
	rm -rf .venv .venv-okx-clients .venv-conformance .venv-ariadne-codegen conformance/node_modules conformance/generated web/node_modules web/src/gql build *.egg-info
