"""Schema, first user, and what is asked of the database: with a real PostgreSQL, and an `airflow` that is a script."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest
from agent_services import POSTGRES, free_port, running
from airflow_database import PASSWORD, WANT
from stand_in_airflow import COMMANDS

from airfleet.generations import filled

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")

BEATS = {"service": "scheduler", "job_type": "SchedulerJob"}
NAMES = {"firstname": "Air", "lastname": "Flow", "email": "a@example.com"}
PERSON = {"create": filled(COMMANDS.create_user, username="admin", role="Admin", **NAMES)}


def test_before_there_is_an_airflow_nothing_is_known(agent, unmigrated):
    """On a bare host the database is not asked: absent."""
    assert agent.state("schema", "metadata", **{**unmigrated, "venv": "/nothing"}) is None
    assert agent.state("admin", "admin", **{**unmigrated, "venv": "/nothing"}) is None


def test_an_empty_database_is_migrated_to_the_head(agent, unmigrated):
    """Without the table of revisions: absent; after the migration: at the head, tables there."""
    assert agent.state("schema", "metadata", **unmigrated) is None
    answer = agent.make("schema", "metadata", WANT, unmigrated, **unmigrated)
    assert answer["told"] == {"from": None, "to": "bbb222"}
    assert agent.state("schema", "metadata", **unmigrated) == WANT


def test_schema_and_user_are_one_question(agent, migrated):
    """Both looks of one request are answered, after one connection."""
    answers = agent("look", resources=[["schema", "metadata", migrated], ["admin", "admin", migrated]])
    assert [(a.get("kind"), a.get("state")) for a in answers[:2]] == [("schema", WANT), ("admin", None)]


def test_an_older_revision_is_behind_and_migrated(agent, migrated, sql):
    """A revision that this Airflow knows and has passed is said, then migrated."""
    sql("update alembic_version set version_num = 'aaa111'")
    assert agent.state("schema", "metadata", **migrated) == {"revision": "behind: aaa111", "tables": "there"}
    assert agent.make("schema", "metadata", WANT, migrated, **migrated)["t"] == "done"


def test_a_newer_revision_is_never_migrated_backwards(agent, migrated, sql):
    """A revision that this Airflow does not know is said and refused; the command is not run."""
    sql("update alembic_version set version_num = 'ccc333'")
    assert agent.state("schema", "metadata", **migrated)["revision"] == "unknown to Airflow 2.11.2: ccc333"
    answer = agent.make("schema", "metadata", WANT, migrated, **migrated)
    assert (answer["t"], answer["class"]) == ("failed", "database")
    assert "newer" in answer["error"]
    assert "ccc333" in sql("select version_num from alembic_version")


def test_tables_that_are_missing_at_the_head_are_named(agent, migrated, sql):
    """A migration that ended well and left tables out is not believed."""
    sql("drop table variable", "drop table ab_user cascade")
    assert agent.state("schema", "metadata", **migrated)["tables"] == "missing: variable, ab_user"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "wrong"}, "refused the password of airflow"),
        ({"name": "nowhere"}, "there is no database nowhere"),
        ({"host": "nowhere.invalid"}, "host name is unknown"),
        ({"port": 1}, "nothing listens there"),
        ({"sslmode": "require"}, "do not agree on TLS"),
    ],
)
def test_a_database_that_cannot_be_used_says_why(agent, migrated, change, says):
    """Each cause has its own words, the password is in none of them, and nobody is told that all is absent."""
    words = {**migrated, "dsn": {**migrated["dsn"], **change}}
    answer = agent.look("schema", "metadata", **words)
    assert (answer["t"], answer["class"]) == ("failed", "database")
    assert says in answer["error"]
    assert PASSWORD not in str(answer)


def test_a_user_is_made_with_a_password_that_is_told_once(agent, migrated, sql):
    """The password of the answer is the one that Airflow got, over its stdin; a second look is in order."""
    assert agent.state("admin", "admin", **migrated) is None
    answer = agent.make("admin", "admin", {"role": "Admin"}, migrated, **migrated, **PERSON)
    reveal = answer["told"]["reveal"]
    assert reveal["username"] == "admin"
    assert reveal["password"] in sql("select password from ab_user")
    assert agent.look("admin", "admin", **migrated)["state"] == {"role": "Admin"}
    assert agent.look("admin", "admin", **migrated)["detail"] == {"logins": 0}


def test_a_user_without_the_role_is_given_it_and_no_new_password(agent, migrated, sql):
    """Somebody who is there keeps the password and gets the role."""
    sql("insert into ab_user (username, email) values ('ann', 'ann@x')")
    assert agent.state("admin", "ann", **migrated) == {"role": "none"}
    answer = agent.make("admin", "ann", {"role": "Admin"}, migrated, **migrated, **PERSON)
    assert (answer["t"], answer["told"]) == ("done", {})
    assert agent.state("admin", "ann", **migrated) == {"role": "Admin"}


def test_a_refused_user_shows_no_password(agent, migrated, sql):
    """The same e-mail address twice: said as that, and the lines that hold the password are not."""
    sql("insert into ab_user (username, email) values ('ann', 'a@example.com')")
    answer = agent.make("admin", "admin", {"role": "Admin"}, migrated, **migrated, **PERSON)
    assert answer["t"] == "failed"
    assert "same e-mail address" in answer["error"]
    assert "'password'" not in answer["tail"]


def test_a_deactivated_user_is_not_in_order(agent, migrated, sql):
    """The role alone is not enough for who may not log in."""
    agent.make("admin", "admin", {"role": "Admin"}, migrated, **migrated, **PERSON)
    sql("update ab_user set active = false")
    assert agent.state("admin", "admin", **migrated) == {"role": "Admin, but deactivated"}


def test_one_user_of_many_is_found(agent, migrated, sql):
    """However many users there are, the one that is asked about is found."""
    sql("insert into ab_user (username, email) select 'u' || n, 'u' || n from generate_series(1, 300) n")
    assert agent.state("admin", "u300", **migrated) == {"role": "none"}
    assert agent.state("admin", "u301", **migrated) is None


def test_the_database_is_well_when_airflows_own_role_can_write(agent, migrated, sql):
    """A temporary table is made, written and read; a role that may only read is not well."""
    assert agent.call("probe_database", **migrated, timeout_s=0)["words"]["ok"] is True
    sql("alter role airflow set default_transaction_read_only = on")
    answer = agent.call("probe_database", **migrated, timeout_s=0)["words"]
    assert answer["ok"] is False
    assert "read-only" in answer["says"]


def beat(sql, **more):
    """Let a job beat."""
    job = {
        "job_type": "SchedulerJob",
        "state": "running",
        "hostname": socket.gethostname(),
        "age": 1,
        "started": 60,
        **more,
    }
    sql(
        "insert into job (job_type, state, hostname, latest_heartbeat, start_date) values ('{job_type}', '{state}',"
        " '{hostname}', now() - interval '{age} s', now() - interval '{started} s')".format(**job)
    )


@pytest.mark.parametrize(
    ("job", "ok", "says"),
    [
        ({}, True, "heartbeat 1"),
        ({"hostname": "127.0.0.1"}, True, "on 127.0.0.1"),
        ({"age": 100}, False, "s old"),
        ({"state": "failed"}, False, "is failed"),
        ({"hostname": "elsewhere.invalid"}, False, "seen: elsewhere.invalid"),
        ({"job_type": "TriggererJob"}, False, "no SchedulerJob"),
    ],
)
def test_a_scheduler_is_well_when_it_beats_here(agent, migrated, sql, job, ok, says):
    """A fresh heartbeat of this host, by its name or its address; anything else is said."""
    beat(sql, **job)
    answer = agent.call("probe_scheduler", **migrated, **BEATS, timeout_s=0)["words"]
    assert (answer["ok"], says in answer["says"]) == (ok, True), answer


def test_a_heartbeat_from_before_the_restart_does_not_count(agent, migrated, sql):
    """What started before `since` is the old process, however fresh its heartbeat."""
    beat(sql, started=60)
    words = {**migrated, **BEATS, "timeout_s": 0}
    assert agent.call("probe_scheduler", **words, since=time.time() - 120)["words"]["ok"] is True
    assert agent.call("probe_scheduler", **words, since=time.time() - 10)["words"]["ok"] is False


def test_a_database_that_comes_back_is_waited_for(agent, migrated):
    """Nothing listens there: the probe waits as long as it may, then says so."""
    words = {**migrated, "dsn": {**migrated["dsn"], "port": free_port()}, "timeout_s": 1}
    began = time.monotonic()
    answer = agent.call("probe_database", **words)["words"]
    assert (answer["ok"], "nothing listens there" in answer["says"]) == (False, True)
    assert time.monotonic() - began >= 1


def test_no_password_stands_in_a_command_line(agent, migrated):
    """While the database is asked, no process of ours shows the password in its arguments or its environment."""
    words = {**migrated, "dsn": {**migrated["dsn"], "port": free_port()}, "timeout_s": 2}
    child = agent.start("probe_database", words=words)
    seen = set()
    while child.poll() is None and not seen >= {"cmdline", "environ"}:
        for name in os.listdir("/proc"):
            for what in ("cmdline", "environ"):
                try:
                    text = Path(f"/proc/{name}/{what}").read_bytes()
                except OSError:
                    continue
                if b"airfleet_inside" in text or f"{words['venv']}/bin/python".encode() in text:
                    seen.add("cmdline")
                if b"USER=" in text:
                    seen.add("environ")
                assert PASSWORD.encode() not in text
        time.sleep(0.1)
    child.stdout.read()
    child.stdin.close()
    child.wait()
    assert seen == {"cmdline", "environ"}


def test_a_database_behind_a_proxy_that_is_to_come_is_no_error(agent, migrated):
    """Its schema is looked at once the proxy is there; which Airflow would use it is known all the same."""
    port, health = free_port(), free_port()
    words = {**migrated, "dsn": {**migrated["dsn"], "port": port}, "through": "cloud-sql-proxy.service"}
    ready = {"url": f"http://127.0.0.1:{health}/readiness", "timeout_s": 0}
    why = {"why": "cloud-sql-proxy.service does not run yet"}
    for kind, key, told in (("schema", "metadata", {**why, "airflow": "2.11.2"}), ("admin", "admin", why)):
        seen = agent.look(kind, key, **words)
        assert (seen["state"], seen["detail"]) == (None, told)
    assert not agent.call("probe_auth_proxy", **ready)["words"]["ok"]
    argv = [sys.executable, Path(__file__).with_name("stand_in_proxy.py"), port, migrated["dsn"]["port"], health]
    with running(list(map(str, argv)), port, hard=True):
        assert agent.call("probe_auth_proxy", **ready)["words"]["ok"]
        assert agent.look("schema", "metadata", **words)["state"] == WANT
        assert agent.call("probe_database", **words, timeout_s=0)["words"]["ok"]
