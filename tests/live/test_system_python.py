"""A host that takes the distribution's Python instead of building one: `python: system`. Everything here is real."""

from __future__ import annotations

import pytest
import yaml

from tests.live.conftest import Installation

pytestmark = [pytest.mark.live, pytest.mark.timeout(1500)]

NAME = "airflow_system"
ROLES = ["redis", "webserver", "scheduler", "triggerer", "worker"]
SQL = f"create database {NAME} owner airflow;\n"


def test_a_bare_host_with_the_distributions_python(bare, scratch):
    """Bootstrapped whole, every service well, nothing built; the second look finds everything in order."""
    machine = scratch("sys1")
    bare.on("svc", "runuser", "-u", "postgres", "--", "psql", "-qX", stdin=SQL)
    rules = bare.on("svc", "sh", "-c", "ls /etc/postgresql/*/main/pg_hba.conf").strip()
    bare.on("svc", "sed", "-i", f"s/^host airflow airflow .*/&\\n&/;s/^host airflow/host {NAME}/", rules)
    bare.on("svc", "runuser", "-u", "postgres", "--", "psql", "-qX", stdin="select pg_reload_conf();\n")
    value = yaml.safe_load(bare.inventory.read_text())
    value["airflow"] |= {"python": "system", "base_url": f"http://{machine.address}"}
    value.pop("pyenv", None)
    value["database"]["name"] = NAME
    value["celery"] = {"instances": 1}
    value["hosts"] = {"sys1": {"address": machine.address, "roles": ROLES}}
    alone = Installation(bare.site, {**bare.machines, "sys1": machine}, env="system")
    alone.inventory.write_text(yaml.safe_dump(value, sort_keys=False))
    alone.secrets.touch(0o600)
    given = {name: bare.secret_values()[name] for name in ("database_password", "deploy_key")}
    alone.secrets.write_text(yaml.safe_dump(given))
    said = alone.fab("bootstrap").stdout
    assert "worker1@sys1 ran a task" in said
    python = alone.on("sys1", "readlink", "-f", "/home/airflow/.pyenv/versions/.venv/bin/python").strip()
    assert python == "/usr/bin/python3.11"
    assert alone.on("sys1", "ls", "-A", "/home/airflow/.pyenv").split() == ["versions"]
    assert alone.fab("plan").stdout.startswith("in order")
