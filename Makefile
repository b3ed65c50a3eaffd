# make demo   boots a machine here, bootstraps Airflow on it, prints the URL, the user and the password
# make test   all tests, those on booted machines included          make test-quick   those that need none
SHELL := /bin/bash
UV := .venv/bin/uv
PY := .venv/bin/python
FAB := .venv/bin/fab

.PHONY: setup packages services demo test test-quick lint bench docs clean
setup: .venv/.ready
.venv/.ready: pyproject.toml uv.lock
	@python3 -c 'import ensurepip' 2>/dev/null || (apt-get update -q && apt-get install -q -y python3-venv)
	test -x $(PY) || python3 -m venv .venv
	test -x $(UV) || $(PY) -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(UV) sync --quiet --frozen --compile-bytecode
	touch $@

packages: setup
	@missing=$$($(PY) -m sandbox) && if [ -n "$$missing" ]; then apt-get update -q && apt-get install -q -y --no-install-recommends $$missing; fi

# Redis and PostgreSQL for the tests of the agent, which run their own on free ports: the packages' services are not started.
services: packages
	@if ! command -v redis-server >/dev/null || ! ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1; then \
	  if [ ! -e /usr/sbin/policy-rc.d ]; then \
	    trap 'rm -f /usr/sbin/policy-rc.d' EXIT; \
	    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d; fi; \
	  apt-get update -q && apt-get install -q -y --no-install-recommends redis-server postgresql; fi

demo: packages
	@$(FAB) sandbox.up
	@$(FAB) bootstrap --env sandbox

test: services
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
