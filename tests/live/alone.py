"""A host of its own beside the others, with its own database and branch of DAGs: what upgrades are tried on."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

import yaml

from sandbox.machine import boot, destroy
from tests.live.conftest import THREE, TWO, Installation, wait_for
from tests.live.team import Team
from tests.live.web import Api

ROLES = ["redis", "webserver", "scheduler", "triggerer", "worker"]
HOST, NAME, BRANCH = "up1", "airflow_upgrade", "upgrade"
SQL = f"create database {NAME} owner airflow;\nalter role airflow createdb;\nselect pg_reload_conf();\n"


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


@contextlib.contextmanager
def alone_on(bare, folder):
    """A bare host beside the others, bootstrapped with 2.11.2 and the distribution's Python; taken away at the end."""
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
    found = Alone(made, "", Team(made, folder))
    found.push("begin")
    found.password = re.search(r"password: (\S+)", found.fab("bootstrap").stdout)[1]
    api = found.api(TWO)
    api.ask("/variables", {"key": "colour", "value": "green"})
    api.ask("/connections", {"connection_id": "shop", "conn_type": "http", "login": "till", "password": "p@:/%"})
    person = ["--role", "Viewer", "--email", "ann@example.com", "--firstname", "A", "--lastname", "B"]
    found.fab("users.create", "ann", *person)
    found.well(TWO)
    try:
        yield found
    finally:
        destroy(HOST, site=bare.site)
