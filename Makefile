# Everything a person or CI does here. The first use of any target makes .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SOURCES := platform governance catalog execution client/src tests
# What `check --deploy` is asked about: an installation as it should be, with a throwaway secret.
DEPLOYED := UPEND_PUBLIC_URL=https://upend.example UPEND_ALLOWED_HOSTS=upend.example \
	UPEND_SECRET_KEY=$$($(BIN)/python -c "import secrets; print(secrets.token_hex(32))")

.DEFAULT_GOAL := help
.PHONY: help demo up test check schema bench chaos chaos-rows screenshots engine-diff

help: ## Say what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(STAMP) ## Start Upend here, load the demo data, print the address and the logins
	@$(BIN)/python manage.py demo

up: $(STAMP) ## Start Upend here, without data
	@$(BIN)/python manage.py up

# One process for each core, to four; what needs the whole stack stays together: it starts once.
TEST_PROCESSES ?= logical

test: $(STAMP) ## Run the tests; the suite starts its own servers
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --maxprocesses 4 --dist loadgroup --durations 30

check: $(STAMP) ## Run every check that is not a test: format, lint, imports, types, migrations, schema
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy $(SOURCES)
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@echo manage.py check --deploy
	@$(DEPLOYED) $(BIN)/python manage.py check --deploy --fail-level WARNING
	@echo manage.py spectacular, against docs/reference/openapi.yaml
	@mkdir -p build && $(BIN)/python manage.py spectacular --validate --fail-on-warn --file build/openapi.yaml
	@diff -u docs/reference/openapi.yaml build/openapi.yaml || \
		{ echo "The API changed: run 'make schema' and commit docs/reference/openapi.yaml"; exit 1; }
	$(BIN)/python -m pytest -q tests/test_layout.py

schema: $(STAMP) ## Write the reference pages that come from the code: openapi.yaml, problems.md, cli.md
	$(BIN)/python manage.py write_reference
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/reference/openapi.yaml

bench: $(STAMP) ## Measure planning, server runs beside plain DuckDB and quack, many analysts, a big result
	$(BIN)/python -m benchmarks

engine-diff: $(STAMP) ## Compare another DuckDB with the one in use: make engine-diff VERSION=1.5.4
	PYTHONPATH=.:platform:client/src $(BIN)/python -m tests.security.upgrade --duckdb $(VERSION)

ROUNDS ?= 200

chaos: $(STAMP) ## Kill processes at random under load and look what is left: make chaos ROUNDS=20
	$(BIN)/python -m tests.faults.chaos --rounds $(ROUNDS)

chaos-rows: $(STAMP) ## Send rows while processes are killed; every acknowledged one must be there once
	$(BIN)/python -m tests.faults.rows --senders 20 --batches 500

screenshots: $(STAMP) ## Take the pictures that the README and the docs show
	$(BIN)/python -m tests.screenshots
	UPEND_SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest -q tests/console/test_author_policy.py

$(STAMP): pyproject.toml client/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Upend needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 | cut -d' ' -f2)." \
		"Name another: make PYTHON=python3.12"; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment; install its venv package"; exit 1; }
	@echo "Installing what Upend needs into .venv (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ./client
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,demo,dev]'
	@touch $@
