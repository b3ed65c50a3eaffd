"""How many connections to the database an inventory means, against what the database has."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from airfleet import bootstrap, bootstrap_run, connections, inventory, wishes
from airfleet.secrets import Secrets

ROOT = Path(__file__).resolve().parents[2]
TEXT = """
airflow: {{version: {version}, web_workers: 3, config: {config}}}
database: {{host: 10.0.0.5, max_connections: {most}}}
celery: {{instances: 2, concurrency: 4}}
dags: {{repository: "git@git.internal:data/dags.git"}}
hosts:
  af1: {{address: 10.0.0.1, roles: [redis, webserver, scheduler, triggerer, flower]}}
  af2: {{address: 10.0.0.2, roles: [worker]}}
  af3: {{address: 10.0.0.3, roles: [worker], celery: {{instances: 1, concurrency: 16}}}}
"""


def of(version="2.11.2", config="{}", most="~"):
    return inventory.parse(TEXT.format(version=version, config=config, most=most), Path("/ops/inventory.yaml"))


def test_each_process_has_its_pool_or_one_connection():
    """Airflow 2: a scheduler with its parsers' manager, web workers that serve one request, two for each task slot."""
    want = {"scheduler": 15 + 15 + 2 + 1, "triggerer": 15, "webserver": 3 * 2, "worker": 2 * (8 + 16), "airfleet": 5}
    assert connections.most(of()) == want


def test_tasks_of_airflow_3_have_none():
    """They ask the API server, whose processes work in threads and fill their pools."""
    want = {"api-server": 3 * 15, "scheduler": 16, "dag-processor": 15, "triggerer": 15, "airfleet": 5}
    assert connections.most(of("3.3.2")) == want


def test_the_pools_of_the_inventory_count():
    """What airflow.config says of them, however it spells the section."""
    config = "{DATABASE: {sql_alchemy_pool_size: 2, sql_alchemy_max_overflow: 1}, scheduler: {parsing_processes: 8}}"
    assert connections.most(of(config=config))["scheduler"] == 3 + 3 + 8 + 1
    assert connections.most(of(config="{database: {sql_alchemy_max_overflow: -1}}"))["triggerer"] == 15


def test_too_few_are_warned_about_with_the_sum():
    """The need is the sum of what is named; one less than that is warned about."""
    need = sum(connections.most(of()).values()) + connections.RESERVED
    assert need == 33 + 15 + 6 + 48 + 5 + 3
    assert connections.warning(of(most=need)) == ""
    said = connections.warning(of(most=need - 1))
    assert said.startswith(f"database.max_connections: {need - 1} may not suffice: {need} can be open at one time (")
    assert "webserver 6" in said
    assert connections.warning(of()) == ""


def test_the_check_of_the_inventory_warns(tmp_path):
    """`fab inventory.check` says it, and exits with 0: it is no error."""
    text = TEXT.format(version="2.11.2", config="{}", most=25)
    (tmp_path / "inventory.yaml").write_text(text)
    fab = Path(sys.executable).with_name("fab")
    env = {**os.environ, "AIRFLEET_ROOT": str(tmp_path)}
    done = subprocess.run([fab, "inventory.check"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  database.max_connections: 25 may not suffice: 110 can be open" in done.stdout


def test_a_plan_warns(monkeypatch):
    """`fab plan` and `fab bootstrap` say it after the look, also when nothing is to be changed."""

    class NothingToDo:
        """A run on hosts that are in order."""

        asked = 0

        def __init__(self, *_, **__):
            self.look = list
            self.tell_left_behind = self.stop_if_any_failed = lambda: None

    @contextmanager
    def opened(*_, **__):
        yield SimpleNamespace(
            inventory=of(most=25), hosts={}, bear=lambda *_: None, connect=lambda: None, secrets=Secrets({})
        )

    monkeypatch.setattr(bootstrap_run, "Run", NothingToDo)
    monkeypatch.setattr(bootstrap.session, "opened", opened)
    said = []
    bootstrap.bring_up(
        "", wishes.BootstrapWish(), SimpleNamespace(say=lambda text, style="": said.append((text, style)))
    )
    assert said == [(connections.warning(of(most=25)), "yellow")]
