# make demo   boots a machine here, bootstraps Airflow on it, prints the URL, the user and the password
# make test   all tests, those on booted machines included          make test-quick   those that need none
# make ledger the proof that no task is lost (an hour)             make drills       every runbook, drilled (an hour)
SHELL := /bin/bash
UV := .venv/bin/uv
PY := .venv/bin/python
FAB := .venv/bin/fab

.PHONY: setup packages services demo test test-quick ledger soak fleets upgrades google drills chaos chaos-matrix fuzz browser checkov lint bench docs sbom \
  release audit hooks secrets baseline clean
setup: .venv/.ready
.venv/.ready: pyproject.toml uv.lock
	@python3 -c 'import ensurepip' 2>/dev/null || (apt-get update -q && apt-get install -q -y python3-venv)
	test -x $(PY) || python3 -m venv .venv
	test -x $(UV) || $(PY) -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(UV) sync --quiet --frozen --compile-bytecode
	touch $@

packages: setup
	@missing=$$($(PY) -m sandbox) && if [ -n "$$missing" ]; then apt-get update -q && apt-get install -q -y --no-install-recommends $$missing; fi

# Redis, PostgreSQL and nginx for the tests of the agent, which run their own on free ports (the packages' services are not
# started), and zsh for that of the completion.
services: packages
	@if ! command -v redis-server >/dev/null || ! command -v zsh >/dev/null || [ ! -x /usr/sbin/nginx ] || ! ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1; then \
	  if [ ! -e /usr/sbin/policy-rc.d ]; then \
	    trap 'rm -f /usr/sbin/policy-rc.d' EXIT; \
	    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d; fi; \
	  apt-get update -q && apt-get install -q -y --no-install-recommends redis-server postgresql zsh nginx-light; fi

demo: packages
	@$(FAB) sandbox.up
	@$(FAB) bootstrap --env sandbox

# Three processes, two with a fleet of their own and one with what needs none: much of what they do is waiting.
test: services
	$(PY) -m pytest --numprocesses=3 --dist=loadscope

test-quick: setup
	$(PY) -m pytest -m "not live"

ledger: services
	AIRFLEET_LEDGER=full $(PY) -m pytest tests/live/test_ledger.py tests/live/test_api_server.py

# Hours of the ledger's load with commands of chance; writes its part of docs/reliability.md. SECONDS=600 is the short form.
SECONDS := 7200
soak: services
	AIRFLEET_SOAK=$(SECONDS) $(PY) -m pytest -s tests/live/test_soak.py

fleets: services
	AIRFLEET_FLEETS=all $(PY) -m pytest tests/live/test_fleet.py tests/live/test_two_servers.py

upgrades: services
	AIRFLEET_UPGRADES=all $(PY) -m pytest tests/live/test_upgrade.py

# What stands for Google, the long forms: Cloud Build's steps, TLS to the database, scheduled backups into a bucket.
google: services
	AIRFLEET_GOOGLE=all $(PY) -m pytest tests/live/test_bucket.py tests/live/test_cloud_sql.py tests/live/test_cloudbuild.py \
	  tests/flows/test_iap_tunnel.py

drills: services
	AIRFLEET_DRILLS=all AIRFLEET_TEST_AIRFLOW=all $(PY) -m pytest --numprocesses=2 --dist=loadscope tests/live/test_drills.py

chaos: services
	AIRFLEET_CHAOS=all $(PY) -m pytest tests/live/test_way_back.py tests/live/test_rotate.py

# Every step of every change under every fault: days in all, hours a run; each run goes on with the cells that are left, and
# takes what it saw into docs/reliability.md. AIRFLEET_CHAOS_CELLS=deploy,sshd,0:10 for some of them; FLEETS=2 for two
# installations at the same time, each with commands of its own.
FLEETS := 0
chaos-matrix: services
	AIRFLEET_CHAOS=matrix $(PY) -m pytest -s --numprocesses=$(FLEETS) --dist=load tests/live/test_chaos.py; status=$$?; $(PY) -m tests.live.chaos.table; exit $$status

checkov: setup
	AIRFLEET_CHECKOV=1 $(PY) -m pytest tests/terraform
# The pages behind TLS, in a real browser; its pictures are kept in .sandbox/pictures.
browser: services
	@command -v chromedriver >/dev/null || (apt-get update -q && apt-get install -q -y --no-install-recommends chromium chromium-driver)
	AIRFLEET_BROWSER=1 AIRFLEET_TEST_AIRFLOW=all $(PY) -m pytest tests/live/test_tls.py

# 10,000 examples of whatever can come from outside: hours. FUZZ=tests/fuzz/test_fuzz_resp.py for one module.
FUZZ := tests/fuzz
fuzz: setup
	AIRFLEET_FUZZ=full $(PY) -m pytest $(FUZZ)

lint: setup
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

bench: packages
	$(PY) -m benchmarks

# What airfleet itself is made of: a CycloneDX list of all that uv.lock pins.
sbom: setup
	@$(PY) -m supply sbom

# dist/: the archive of a tag, its SBOM, their checksums; whoever makes them again gets the same bytes.
release: setup
	@$(PY) -m supply release $(TAG)

# What is publicly known against the libraries that uv.lock pins: a report, it fails nothing.
audit: setup
	@$(PY) -m supply audit

# Before each commit: no secret in it, ruff, format. `secrets` looks at all files; `baseline` accepts what it finds.
hooks: setup
	.venv/bin/pre-commit install
secrets: setup
	@$(PY) -m supply secrets
baseline: setup
	@$(PY) -m supply baseline

docs: setup
	@$(FAB) inventory.reference > docs/inventory.md
	@$(FAB) runbooks > docs/runbooks/README.md
	@$(FAB) commands > docs/commands.md

clean: setup
	-$(FAB) sandbox.down
