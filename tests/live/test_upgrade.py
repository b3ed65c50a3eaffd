"""From Airflow 2.11.2 to 3.3.2 and back, on a host of its own, with users, connections, variables and finished runs.

What goes wrong on the way leaves the old Airflow running, or a state from which one command leads back. The order of
the tests is the story; AIRFLEET_UPGRADES=all (`make upgrades`) has all of it, an ordinary run the way there.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.live.alone import HOST, alone_on
from tests.live.conftest import THREE, TWO

pytestmark = [pytest.mark.live, pytest.mark.timeout(3600)]

ALL = os.environ.get("AIRFLEET_UPGRADES") == "all"
long = pytest.mark.skipif(not ALL, reason="only `make upgrades` takes the time")
# What Airflow 3 does not have any more.
OLD = "from airflow.operators.python_operator import PythonOperator  # airflow dag\n"
IN_THE_WAY = "set role airflow;\ncreate table dag_bundle (name text);\n"


@pytest.fixture(scope="module")
def alone(bare, tmp_path_factory):
    """A bare host beside the others, bootstrapped with 2.11.2 and the distribution's Python."""
    with alone_on(bare, tmp_path_factory.mktemp("upgrade") / "dags") as found:
        yield found


def pid(alone):
    return alone.installation.on(HOST, "systemctl", "show", "--value", "-p", "MainPID", "airflow-scheduler")


@long
def test_a_dag_that_the_new_airflow_can_not_read_is_no_go(alone):
    """Exit 8 names file and line; the scheduler was not touched, no copy of the database is left, all is in order."""
    alone.push("old", old=OLD)
    alone.fab("deploy", "--restart", "changed")
    before = pid(alone)
    said = alone.fab("upgrade", "--to", THREE, "--rehearse", rc=8)
    assert "import-error:dags/old.py: line 1: ModuleNotFoundError" in said.stderr
    assert "nothing that runs was touched" in said.stderr
    assert "a copy of the database was migrated in" in said.stdout
    assert pid(alone) == before
    assert "verify" not in alone.sql("select string_agg(datname, ',') from pg_database", "postgres")
    alone.push("mended", old=None)
    alone.fab("deploy", "--restart", "changed")
    alone.well(TWO)


@long
def test_a_setting_that_the_new_airflow_has_elsewhere_is_no_go(alone):
    """Exit 8, which no `--accept` lifts: the new Airflow would not do what it says."""
    alone.installation.edit(lambda value: value["airflow"].update(config={"webserver": {"navbar_color": "#fff"}}))
    alone.fab("bootstrap")
    said = alone.fab("upgrade", "--to", THREE, "--rehearse", rc=8).stderr
    assert "setting:webserver.navbar_color: an old name; write [fab] navbar_color" in said
    accepted = ["--accept", "setting:webserver.navbar_color"]
    assert "no go for Airflow 3.3.2" in alone.fab("upgrade", "--to", THREE, *accepted, rc=8).stderr
    alone.installation.edit(lambda value: value["airflow"].pop("config"))
    alone.fab("bootstrap")


@long
def test_a_backup_that_can_not_be_made_puts_everything_back(alone):
    """Before the migration: the old Airflow is started again, DAGs are unpaused."""
    folder = "/var/backups/airfleet"
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder]
    try:
        said = alone.upgrade(at="stop", do=lambda: alone.installation.on(HOST, *mount), rc=7)
    finally:
        alone.installation.on(HOST, "umount", folder)
    assert f"Airflow {TWO} runs as before" in said
    alone.well(TWO)


@long
def test_a_migration_that_fails_is_restored_on_wish(alone):
    """In the middle of it, where nothing goes back by itself: the backup and the old Airflow are put back at once."""
    said = alone.upgrade("--restore-on-failure", at="stop", do=lambda: alone.sql(IN_THE_WAY), rc=7)
    assert "on the database as it was before the migration" in said
    alone.sql("drop table if exists dag_bundle")
    alone.well(TWO)


def test_an_upgrade_keeps_all_and_an_undo_leads_back(alone):
    """Users, connections, variables and runs are there under 3.3.2, logins work, DAGs run; and the other way round."""
    said = alone.fab("upgrade", "--to", THREE).stdout
    assert f"done: every host runs Airflow {THREE}, and every service is well" in said
    api = alone.well(THREE)
    runs = api.ask("/dags/hello/dagRuns?limit=100")["dag_runs"]
    assert len(runs) >= 2  # one of before
    assert {each["state"] for each in runs} == {"success"}
    for unit in ("airflow-webserver.service", "airflow-api-server.service"):
        there = alone.installation.on(HOST, "ls", "/etc/systemd/system").split()
        assert (unit in there) == ("api" in unit)
    assert "upgrade" in alone.fab("history").stdout
    if ALL:
        backup = re.search(r"fab undo-upgrade (\S+)", said)[1]
        alone.fab("undo-upgrade", backup)
        alone.well(TWO)
