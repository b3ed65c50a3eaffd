"""TLS to the database on booted machines: PostgreSQL shows certificates of an authority of its own, as Cloud SQL does.

`sslmode: verify-ca` with the right authority, a stranger's, a certificate that has expired, and a change of authority.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.authority_rig import OVER, authority, server
from tests.live.conftest import Installation, wait_for
from tests.live.drill import look, named

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.environ.get("AIRFLEET_GOOGLE") != "all", reason="only `make google` has TLS to the database"),
]

HOME = "/var/lib/postgresql"
CONFIG = "/home/airflow/airflow/airflow.cfg"
COPY = "/home/airflow/airflow/database-ca.pem"
SETTINGS = ("ssl", "ssl_cert_file", "ssl_key_file")
PLAIN = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'airflow' and not ssl"
UNITS = ("airflow-scheduler.service", "airflow-api-server.service", "airflow-worker@1.service")


@dataclass
class Server:
    """The database of the installation, whose certificate the tests choose."""

    installation: Installation
    papers: Path

    def sql(self, *statements):
        """Do each as the database's administrator, in a transaction of its own."""
        words = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
        return self.installation.on("svc", *words, stdin=";\n".join(statements) + ";\n").strip()

    def show(self, name):
        """Have the server show the certificate of this name, and wait until it does."""
        for end in ("key", "pem"):
            path, text = f"{HOME}/{name}.{end}", (self.papers / f"{name}.{end}").read_text()
            self.installation.on("svc", "install", "--owner=postgres", "--mode=0600", "/dev/null", path)
            self.installation.on("svc", "tee", path, stdin=text)
        values = ("on", f"{HOME}/{name}.pem", f"{HOME}/{name}.key")
        self.sql(
            *(f"alter system set {key} = '{value}'" for key, value in zip(SETTINGS, values, strict=True)),
            "select pg_reload_conf()",
        )
        wanted = (self.papers / f"{name}.pem").read_text().strip()
        wait_for(lambda: wanted in self.shown(), f"the certificate {name}", 30)

    def shown(self):
        """Return what the server shows to whoever asks, in PEM."""
        address = f"{self.installation.machines['svc'].address}:5432"
        argv = ["openssl", "s_client", "-starttls", "postgres", "-connect", address]
        return subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30).stdout

    def put_back(self):
        """Have it show what it showed before."""
        self.sql(*(f"alter system reset {key}" for key in SETTINGS), "select pg_reload_conf()")

    def trust(self, name):
        """Write into the inventory that this authority is the database's; `fab bootstrap` is the caller's."""
        ca = str(self.papers / f"{name}.pem")
        self.installation.edit(lambda value: value["database"].update(sslmode="verify-ca", ca=ca))


@pytest.fixture(scope="module")
def database(first, tmp_path_factory):
    """The server with a certificate of the authority `ours`, which the installation trusts."""
    papers = tmp_path_factory.mktemp("papers")
    for name in ("ours", "theirs"):
        authority(papers, name)
    authority(papers, "old", OVER)
    server(papers, "ours", "good")
    server(papers, "ours", "over", OVER)
    server(papers, "theirs", "next")
    (papers / "both.pem").write_text((papers / "ours.pem").read_text() + (papers / "theirs.pem").read_text())
    made, kept = Server(first.installation, papers), first.installation.inventory.read_text()
    try:
        made.show("good")
        made.trust("ours")
        made.installation.fab("bootstrap")
        yield made
    finally:
        first.installation.inventory.write_text(kept)
        made.show("good")
        first.installation.fab("bootstrap")
        made.put_back()


def started(installation):
    """Return the main processes of what must not be restarted."""
    return installation.on("af1", "systemctl", "show", "--property=Id,MainPID", *UNITS)


def refused(installation, *words):
    """Run a command that the database's certificate stops; return what it said."""
    done = installation.fab(*words, rc=None)
    assert done.returncode not in {0, 1, 10}, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_with_the_right_authority_all_is_checked_and_well(first, database):
    """Every connection of Airflow is encrypted and names the file; a task runs; a backup is made and tried over it."""
    installation = first.installation
    assert installation.fab("plan").stdout.startswith("in order")
    for host in ("af1", "af2"):
        line = installation.on(host, "grep", "^sql_alchemy_conn *=", CONFIG)
        assert "sslmode=verify-ca" in line
        assert installation.on(host, "cat", COPY) == (database.papers / "ours.pem").read_text()
    wait_for(lambda: database.sql(PLAIN) == "0", "the end of what was plain", 120)
    run = first.api.trigger("hello")
    wait_for(lambda: first.api.ask(f"/dags/hello/dagRuns/{run}")["state"] == "success", "the run's success", 180)
    installation.fab("backup.create")
    installation.fab("backup.verify", "latest")
    assert named(look(installation)) == []


def test_a_strangers_authority_is_refused_before_a_host_has_it(installation, database):
    """By plan and bootstrap, in words of their own; the hosts keep the right one, and nothing is restarted."""
    before = started(installation)
    database.trust("theirs")
    try:
        for command in ("plan", "bootstrap"):
            assert "is not from the authority in database.ca" in refused(installation, command)
    finally:
        database.trust("ours")
    assert installation.on("af1", "cat", COPY) == (database.papers / "ours.pem").read_text()
    assert started(installation) == before
    assert installation.fab("plan").stdout.startswith("in order")


def test_an_authority_that_has_expired_is_an_error_of_the_inventory(installation, database):
    """Exit 2 by every command, before anything is contacted."""
    database.trust("old")
    try:
        for command in ("plan", "doctor", "backup.create"):
            assert "expired on 2020-02-01" in installation.fab(command, rc=2).stderr
    finally:
        database.trust("ours")


def test_a_certificate_that_has_expired_is_named_and_heals_by_itself(installation, database):
    """The doctor and a backup say so; with a good one again all is well, and nothing was restarted."""
    before = started(installation)
    database.show("over")
    try:
        says = "the database's certificate has expired"
        assert says in refused(installation, "backup.create")
        assert says in refused(installation, "plan")
        wait_for(lambda: says in str(look(installation)), "the doctor", 60)
    finally:
        database.show("good")
    wait_for(lambda: named(look(installation)) == [], "a healthy installation", 180)
    assert started(installation) == before


def test_another_authority_comes_without_a_restart(installation, database):
    """Both in the file, the server changes, the old one goes: each new connection reads the file."""
    before = started(installation)
    try:
        database.trust("both")
        installation.fab("bootstrap")
        database.show("next")
        wait_for(lambda: named(look(installation)) == [], "a healthy installation", 120)
        database.trust("theirs")
        installation.fab("bootstrap")
        assert installation.fab("plan").stdout.startswith("in order")
        assert started(installation) == before
    finally:
        database.trust("both")
        installation.fab("bootstrap")
        database.show("good")
        database.trust("ours")
        installation.fab("bootstrap")
