"""Backups put back with a real PostgreSQL: all of it or nothing, and nothing is left of a try."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from agent_services import POSTGRES
from backup_rig import KEY, OTHER_KEY, PASSWORD, Rig

from airfleet.agent import backup_restore

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")
MUCH = "insert into dag_run (dag_id, said) select 'dag1', repeat(md5(n::text), 99) from generate_series(1, 8000) n"


@pytest.fixture
def rig(agent, server, account, tmp_path):
    return Rig(agent, server, account, tmp_path)


@pytest.fixture
def changed(rig):
    """A backup, and a database that has changed since: rows, tables of a newer Airflow tied to the old, a new type."""
    manifest = rig.create()
    before = rig.printed()
    rig.own(
        "delete from dag_run where id > 5; update dag set feels = 'ok'; drop view runs; truncate \"Odd; name\";"
        " create type newer as enum ('x'); create table dag_version (id serial primary key, kind newer, dag_id varchar"
        " references dag (dag_id)); alter table dag_run add column newer integer;"
        " update alembic_version set version_num = 'newer'; select nextval('task_id_sequence')"
    )
    return manifest, before


def test_everything_is_back_and_nothing_else_is_there(rig, changed):
    """Rows, sequences, views, functions, types, indexes and the rights of others; what came since is gone."""
    manifest, before = changed
    ready = rig.call("backup_ready", manifest)["words"]
    assert (ready["airflow"], ready["extra"]) == ("2.11.2", ["dag_version"])
    answer = rig.call("backup_restore", manifest)["words"]
    assert (answer["rows"], answer["tables"], answer["others"]) == (2053, 5, [])
    assert rig.printed() == before
    assert rig.own("select count(*) from pg_type where typname = 'newer'").strip() == "0"
    assert float(rig.own("select reltuples from pg_class where relname = 'dag_run'")) == 2000


def test_pg_restore_by_itself_is_not_up_to_it(rig, changed):
    """Why it is not used alone: a table of a newer Airflow hangs on one that it would drop, and it drops no other."""
    manifest, _ = changed
    argv = [f"{POSTGRES}/pg_restore", "--clean", "--if-exists", "--single-transaction", "--schema=public", "--no-owner"]
    argv += ["-h", "127.0.0.1", "-p", str(rig.port), "-U", "airflow", "-d", "airflow"]
    env = {"PGPASSWORD": PASSWORD, "PATH": os.environ["PATH"]}
    dump = rig.folder / f"{manifest['name']}.dump"
    done = subprocess.run([*argv, dump], env=env, capture_output=True, text=True)
    assert (done.returncode, "because other objects depend on it" in done.stderr) == (1, True), done.stderr


def test_a_backup_is_tried_in_a_database_that_is_gone_afterwards(rig, changed):
    """Rows and revisions are compared; Airflow's own database is not touched, and no scratch database is left."""
    manifest, _ = changed
    now = rig.own("select count(*) from dag_run")
    answer = rig.call("backup_verify", manifest)["words"]
    assert (answer["ok"], answer["problem"], answer["rows"]) == (True, "", 2053)
    assert (rig.own("select count(*) from dag_run"), rig.scratch_there()) == (now, False)


@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_damaged_file_is_found_before_anything_is_touched(rig, changed, how):
    """Shorter, or another byte in the middle: refused, and a verification says what is wrong."""
    manifest, _ = changed
    now = rig.printed_now()
    with (rig.folder / f"{manifest['name']}.dump").open("r+b") as f:
        f.truncate(manifest["size"] - 1) if how == "cut" else (f.seek(2000), f.write(b"!"))
    for op in ("backup_ready", "backup_restore"):
        refused = rig.call(op, manifest)
        assert (refused["class"], "is damaged" in refused["error"]) == ("damaged", True)
    assert rig.printed_now() == now
    answer = rig.call("backup_verify", manifest)["words"]
    assert (answer["ok"], "is damaged" in answer["problem"], rig.scratch_there()) == (False, True, False)


def test_another_fernet_key_is_refused(rig, changed):
    """Each key of then must be in use now; more of them are no trouble."""
    manifest, _ = changed
    rig.keys(OTHER_KEY)
    refused = rig.call("backup_ready", manifest)
    assert (refused["class"], "could not be decrypted" in refused["error"]) == ("refused", True)
    assert "fernet_key" in refused["remedy"]
    assert KEY not in json.dumps(refused)
    rig.keys(f"{OTHER_KEY},{KEY}")
    assert rig.call("backup_ready", manifest)["t"] == "answer"


def test_what_does_not_match_its_manifest_is_rolled_back(rig, changed):
    """The rows are counted before the commit: the database is as it was."""
    manifest, _ = changed
    now = rig.printed_now()
    wrong = {**manifest, "tables": {**manifest["tables"], "dag": 51}}
    refused = rig.call("backup_restore", wrong)
    assert "rows of dag: 50, not 51" in refused["error"]
    assert rig.printed_now() == now
    assert "not 51" in rig.call("backup_verify", wrong)["words"]["problem"]
    revision = {**manifest, "revisions": {"alembic_version": "other"}}
    assert "its revisions are" in rig.call("backup_restore", revision)["error"]
    assert (rig.printed_now(), rig.scratch_there()) == (now, False)


def test_a_table_of_somebody_elses_is_refused_by_name(rig, changed):
    """What Airflow's role does not own it can't drop: said before anything is touched, with what to type."""
    manifest, _ = changed
    rig.sql("create table theirs ()", "alter table dag_run owner to postgres", database="airflow")
    for op in ("backup_ready", "backup_restore"):
        refused = rig.call(op, manifest)
        assert refused["class"] == "refused"
        assert "dag_run (of postgres)" in refused["error"]
        assert "theirs (of postgres)" in refused["error"]
        assert "OWNER TO airflow" in refused["remedy"]


def test_a_view_of_somebody_elses_elsewhere_is_not_dropped(rig, changed):
    """Nothing is ever dropped with what hangs on it: the database names it, and all is as it was."""
    manifest, _ = changed
    rig.sql("create schema bi", "create view bi.runs as select id from public.dag_run", database="airflow")
    now = rig.printed_now()
    refused = rig.call("backup_restore", manifest)
    assert (refused["class"], "view bi.runs depends on table dag_run" in refused["tail"]) == ("database", True), refused
    assert rig.printed_now() == now


def test_a_role_that_is_not_there_is_named(rig, changed):
    """As on a new server: the backup grants it rights, and says so; one `create role` later all is well."""
    manifest, before = changed
    rig.sql("drop owned by reader", "drop role reader", database="airflow")
    now = rig.printed_now()
    refused = rig.call("backup_restore", manifest)
    assert (refused["class"], 'CREATE ROLE "reader"' in refused["remedy"]) == ("database", True), refused
    assert rig.printed_now() == now
    rig.sql("create role reader")
    assert rig.call("backup_restore", manifest)["t"] == "answer"
    assert rig.printed() == before


def test_another_schema_is_refused_before_anything_is_touched(rig, changed):
    """The role's own schema is what a backup is of."""
    manifest, _ = changed
    for op in ("backup_ready", "backup_restore"):
        refused = rig.call(op, {**manifest, "schema": "other"})
        assert (refused["class"], "the backup is of the schema other" in refused["error"]) == ("refused", True)


def test_somebody_who_uses_the_tables_is_named(rig, changed):
    """A session that holds a lock is not waited for without end, and not ended."""
    manifest, _ = changed
    argv = [f"{POSTGRES}/psql", "-XAtq", "-h", "127.0.0.1", "-p", str(rig.port), "-U", "airflow", "airflow"]
    env = {"PGPASSWORD": PASSWORD, "PGAPPNAME": "forgotten scheduler", "PATH": os.environ["PATH"]}
    child = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdin.write("begin; select count(*) from dag;\n")
    child.stdin.flush()
    assert child.stdout.readline().strip() == "50"
    try:
        refused = rig.call("backup_restore", manifest, lock_ms=500)
        assert refused["class"] == "refused"
        assert "airflow from 127.0.0.1" in refused["error"]
        assert "forgotten scheduler" in refused["error"]
    finally:
        child.stdin.close()
        child.wait(timeout=10)
    assert rig.call("backup_restore", manifest)["t"] == "answer"


def test_a_role_that_may_create_no_database_is_told_what_to_grant(rig, changed):
    """Only a verification needs it: a restore does not."""
    manifest, before = changed
    rig.sql("alter role airflow nocreatedb")
    refused = rig.call("backup_verify", manifest)
    assert (refused["class"], 'ALTER ROLE "airflow" CREATEDB' in refused["remedy"]) == ("refused", True)
    assert rig.call("backup_restore", manifest)["t"] == "answer"
    assert rig.printed() == before


@pytest.mark.parametrize("op", ["backup_restore", "backup_verify"])
@pytest.mark.parametrize("how", ["operator", "pg_restore", "backend"])
def test_one_that_is_cut_in_the_middle_changes_nothing(rig, op, how):
    """The operator is lost, pg_restore is killed, the connection is ended: all as it was, no scratch database."""
    rig.own(MUCH)
    manifest = rig.create()
    rig.own("delete from dag_run where id > 5")
    now = rig.printed()
    words = {**rig.words, "path": f"{rig.folder}/{manifest['name']}.dump", "manifest": manifest}
    child = rig.agent.start(op, words=words)
    busy = "select pid from pg_stat_activity where application_name = 'airfleet' and query like 'COPY public.dag_run%'"
    deadline = time.monotonic() + 60
    while not (pid := rig.sql(busy).strip()):
        assert time.monotonic() < deadline
    if how == "operator":
        child.stdin.close()
    elif how == "backend":
        rig.sql(f"select pg_terminate_backend({pid})")
    else:
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                if (path / "comm").read_text() == "pg_restore\n" and _of(path, child.pid):
                    os.kill(int(path.name), signal.SIGKILL)
    lines = [json.loads(line) for line in child.stdout]
    if how == "operator":
        assert child.wait(timeout=45) == 70
    elif op == "backup_restore":
        assert lines[-1]["t"] == "failed"
    else:
        assert lines[-2]["words"]["ok"] is False
    child.stdin.close()
    child.wait(timeout=45)
    deadline = time.monotonic() + 30
    while rig.sql("select count(*) from pg_stat_activity where application_name = 'airfleet'").strip() != "0":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (rig.printed(), rig.scratch_there()) == (now, False)


def _of(path, parent):
    return f"\nPPid:\t{parent}\n" in (path / "status").read_text()


def test_what_a_crash_left_is_cleared_by_the_next_verification(rig, changed):
    """The scratch database has always the same name; it is nobody else's."""
    manifest, _ = changed
    rig.sql("create database airflow_airfleet_verify owner airflow")
    assert rig.call("backup_verify", manifest)["words"]["ok"] is True
    assert not rig.scratch_there()


def test_settings_that_an_older_server_does_not_know_are_left_out():
    """Only in the preamble: what rows and functions say is theirs."""
    head = (
        b"--\n\\restrict x\n\nSET statement_timeout = 0;\nSET transaction_timeout = 0;\n"
        b"SELECT pg_catalog.set_config('search_path', '', false);\nSET row_security = off;\n\n"
        b"CREATE TABLE a (\nSET transaction_timeout = 0;\n"
    )
    known = {b"statement_timeout", b"row_security"}
    assert backup_restore._understood(head, known) == head.replace(b"SET transaction_timeout = 0;\n", b"", 1)
