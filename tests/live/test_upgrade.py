"""From Airflow 2.11.2 to 3.3.2 and back, on a host of its own, with users, connections, variables and finished runs.

What goes wrong on the way leaves the old Airflow running, or a state from which one command leads back. The order of
the tests is the story; AIRFLEET_UPGRADES=all (`make upgrades`) has some more of it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import pytest
import yaml

from tests.live.conftest import THREE, TWO, Installation, wait_for
from tests.live.team import Team
from tests.live.web import Api

pytestmark = [pytest.mark.live, pytest.mark.timeout(3600)]

ALL = os.environ.get("AIRFLEET_UPGRADES") == "all"
ROLES = ["redis", "webserver", "scheduler", "triggerer", "worker"]
HOST, NAME, BRANCH = "up1", "airflow_upgrade", "upgrade"
SQL = f"create database {NAME} owner airflow;\nalter role airflow createdb;\nselect pg_reload_conf();\n"
# What Airflow 3 does not have any more.
OLD = "from airflow.operators.python_operator import PythonOperator  # airflow dag\n"
IN_THE_WAY = "set role airflow;\ncreate table dag_bundle (name text);\n"


@dataclass
class Alone:
    """One host with its own database and its own branch of DAGs."""

    installation: Installation
    password: str
    team: Team

    def fab(self, *words, rc=0):
        return self.installation.fab(*words, rc=rc, timeout_s=3000)

    def push(self, message, **files):
        self.team.git("checkout", "--quiet", "-B", BRANCH)
        for name, text in files.items():
            path = self.team.folder / "dags" / f"{name}.py"
            path.unlink(missing_ok=True) if text is None else path.write_text(text)
        self.team.git("add", "--all")
        self.team.git("commit", "--quiet", "--allow-empty", "--message", message)
        self.team.git("push", "--quiet", "--force", "origin", f"HEAD:{BRANCH}")

    def sql(self, text, database=NAME):
        words = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
        return self.installation.on("svc", *words, stdin=text).strip()

    def api(self, version):
        return Api(self.web, "admin", self.password, version)

    @property
    def web(self):
        return f"http://{self.installation.machines[HOST].address}"

    @property
    def version(self):
        """What the inventory says, and what the host's environment has."""
        said = yaml.safe_load(self.installation.inventory.read_text())["airflow"]["version"]
        there = self.installation.on(HOST, "/home/airflow/.pyenv/versions/.venv/bin/airflow", "version", check=False)
        return said, there.split()[-1]

    def upgrade(self, *words, at, do, rc):
        """Run an upgrade as an operator, do something when it comes to a step, and return what it said."""
        operator = self.installation.start("upgrade", "--to", THREE, *words)
        lines = []
        for line in operator.stdout:
            lines.append(line)
            if re.match(rf"\[ *\d+ s\] {at}$", line):
                do()
        assert operator.wait(timeout=60) == rc, "".join(lines[-60:])
        return "".join(lines)

    def well(self, version):
        """See that this Airflow runs whole: in order, with all that was there, and a DAG runs to its end."""
        assert self.version == (version, version)
        assert self.fab("plan").stdout.startswith("in order")
        assert "maintenance is off" in self.fab("maintenance.off").stdout
        api = self.api(version)
        assert api.ask("/variables/colour")["value"] == "green"
        assert api.ask("/connections/shop")["login"] == "till"
        assert {each["dag_id"]: each["is_paused"] for each in api.ask("/dags")["dags"]}["hello"] is False
        run = api.trigger("hello")
        wait_for(lambda: api.ask(f"/dags/hello/dagRuns/{run}")["state"] == "success", f"the end of {run}", 300)
        assert "ann" in self.fab("users.list").stdout
        return api


@pytest.fixture(scope="module")
def alone(bare, tmp_path_factory):
    """A bare host beside the others, bootstrapped with 2.11.2 and the distribution's Python."""
    from sandbox.machine import boot, destroy

    machine = boot(HOST, "bookworm", site=bare.site)
    rules = bare.on("svc", "sh", "-c", "ls /etc/postgresql/*/main/pg_hba.conf").strip()
    bare.on("svc", "sed", "-i", "s/^host airflow airflow .*/&\\n&/;s/^host airflow airflow/host all airflow/", rules)
    bare.on("svc", "runuser", "-u", "postgres", "--", "psql", "-qX", stdin=SQL)
    value = yaml.safe_load(bare.inventory.read_text())
    value["environment"] = "upgrade"
    value["airflow"] |= {"version": TWO, "python": "system", "base_url": f"http://{machine.address}"}
    value.pop("pyenv", None)
    value["database"]["name"] = NAME
    value["dags"]["branch"] = BRANCH
    value["celery"] = {"instances": 1, "concurrency": 2}
    value["hosts"] = {HOST: {"address": machine.address, "roles": ROLES}}
    made = Installation(bare.site, {**bare.machines, HOST: machine}, env="upgrade", airflow=TWO)
    made.inventory.write_text(yaml.safe_dump(value, sort_keys=False))
    made.secrets.touch(0o600)
    given = {name: bare.secret_values()[name] for name in ("database_password", "deploy_key")}
    made.secrets.write_text(yaml.safe_dump(given))
    found = Alone(made, "", Team(made, tmp_path_factory.mktemp("upgrade") / "dags"))
    found.push("begin")
    found.password = re.search(r"password: (\S+)", found.fab("bootstrap").stdout)[1]
    api = found.api(TWO)
    api.ask("/variables", {"key": "colour", "value": "green"})
    api.ask("/connections", {"connection_id": "shop", "conn_type": "http", "login": "till", "password": "p@:/%"})
    person = ["--role", "Viewer", "--email", "ann@example.com", "--firstname", "A", "--lastname", "B"]
    found.fab("users.create", "ann", *person)
    found.well(TWO)
    yield found
    destroy(HOST, site=bare.site)


def pid(alone):
    return alone.installation.on(HOST, "systemctl", "show", "--value", "-p", "MainPID", "airflow-scheduler")


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


@pytest.mark.skipif(not ALL, reason="only `make upgrades` takes the time")
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
    assert len(runs) >= 3
    assert {each["state"] for each in runs} == {"success"}
    for unit in ("airflow-webserver.service", "airflow-api-server.service"):
        there = alone.installation.on(HOST, "ls", "/etc/systemd/system").split()
        assert (unit in there) == ("api" in unit)
    assert "upgrade" in alone.fab("history").stdout
    if ALL:
        backup = re.search(r"fab undo-upgrade (\S+)", said)[1]
        alone.fab("undo-upgrade", backup)
        alone.well(TWO)
