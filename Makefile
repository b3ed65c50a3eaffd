# make demo   boots a machine here, bootstraps Airflow on it, prints the URL, the user and the password
# make test   all tests, those on booted machines included          make test-quick   those that need none
SHELL := /bin/bash
UV := .venv/bin/uv
PY := .venv/bin/python
FAB := .venv/bin/fab

.PHONY: setup packages demo test test-quick lint bench docs clean
setup: .venv/.ready
.venv/.ready: pyproject.toml uv.lock
	@python3 -c 'import ensurepip' 2>/dev/null || (apt-get update -q && apt-get install -q -y python3-venv)
	test -x $(PY) || python3 -m venv .venv
	test -x $(UV) || $(PY) -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(UV) sync --quiet --frozen --compile-bytecode
	touch $@

packages: setup
	@missing=$$($(PY) -m sandbox packages --missing) && if [ -n "$$missing" ]; then apt-get update -q && apt-get install -q -y --no-install-recommends $$missing; fi

demo: packages
	@$(FAB) sandbox.up
	@$(FAB) bootstrap --env sandbox

test: packages
	$(PY) -m pytest

test-quick: setup
	$(PY) -m pytest -m "not live"

lint: setup
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

bench: packages
	$(PY) -m benchmarks

docs: setup
	@$(FAB) inventory.reference > docs/inventory.md

clean: setup
	-$(FAB) sandbox.down
