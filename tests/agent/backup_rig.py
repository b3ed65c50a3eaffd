"""A real PostgreSQL with something like Airflow's schema in it, and the agent's words for its backups."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading

from agent_services import POSTGRES

PASSWORD = r"p@:/%w\ '한글"
KEY, OTHER_KEY = "k" * 43 + "=", "o" * 43 + "="
SCHEMA = """
create type mood as enum ('sad', 'ok');
create table dag (dag_id varchar primary key, feels mood default 'ok', extra jsonb, raw bytea);
create table dag_run (id serial primary key, dag_id varchar references dag (dag_id), said text);
create index on dag_run (dag_id);
create table "Odd; name" (id integer generated always as identity, "a b" text);
create table alembic_version (version_num varchar primary key);
create table alembic_version_fab (version_num varchar primary key);
create sequence task_id_sequence;
create function twice(n integer) returns integer language sql as 'select 2 * n';
create view runs as select dag_id, count(*), twice(1) from dag_run group by dag_id;
insert into alembic_version values ('abc123');
insert into alembic_version_fab values ('fab456');
insert into dag select 'dag' || n, 'sad', '{"한": [1, null]}', '\\x00ff' from generate_series(1, 50) n;
insert into dag_run (dag_id, said) select 'dag' || (n % 50 + 1), E'tab\\t\\\\N ' || n from generate_series(1, 2000) n;
insert into "Odd; name" ("a b") values ('SET work_mem = 1;');
select nextval('task_id_sequence') from generate_series(1, 7);
grant select on dag_run to reader;
"""
# What must be the same after a restore: all rows, the next numbers, rights, and what else is there.
PRINT = """
select md5(string_agg(t::text, '|' order by dag_id)) from dag t;
select md5(string_agg(t::text, '|' order by id)) from dag_run t;
select * from "Odd; name"; select last_value from task_id_sequence; select last_value from dag_run_id_seq;
select has_table_privilege('reader', 'dag_run', 'select'), has_table_privilege('reader', 'dag', 'select');
select count(*) from runs; select twice(4); select indexdef from pg_indexes where schemaname = 'public' order by 1;
select relname, relkind from pg_class where relnamespace = 'public'::regnamespace order by 1;
"""
AS_POSTGRES = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}


class Rig:
    """One database, one folder of backups, one configuration with its keys."""

    def __init__(self, agent, port, account, folder):
        self.agent, self.port = agent, port
        self.folder = folder / "backups"
        self.config = folder / "airflow.cfg"
        self.keys(KEY)
        releases = folder / "dags"
        releases.mkdir()
        (releases / "current").symlink_to("releases/c0ffee")
        site = folder / "venv" / "lib" / "python3.11" / "site-packages"
        (site / "apache_airflow-2.11.2.dist-info").mkdir(parents=True)
        (folder / "venv" / "pyvenv.cfg").write_text("version = 3.11.2\n")
        (folder / "venv" / "bin").mkdir()
        (folder / "venv" / "bin" / "python").touch()
        dsn = {"host": "127.0.0.1", "port": port, "name": "airflow", "user": "airflow", "password": PASSWORD}
        self.words = {
            "dsn": dsn,
            "account": account,
            "venv": str(folder / "venv"),
            "config": str(self.config),
            "fernet": ["core", "fernet_key"],
            "current": str(releases / "current"),
            "folder": str(self.folder),
            "environment": "production",
            "who": "ann@desk",
            "at": "2026-11-26T10:00:00Z",
            "last": 0,
            "reserve": 0,
        }
        self.reset()

    def reset(self):
        """Make the database anew."""
        quoted = PASSWORD.replace("'", "''")
        self.sql("drop database if exists airflow with (force)", "drop database if exists airflow_airfleet_verify")
        self.sql("drop role if exists airflow", "drop role if exists reader", "create role reader")
        self.sql(f"create role airflow login createdb password '{quoted}'")
        self.sql("create database airflow owner airflow")
        self.own(SCHEMA)

    def keys(self, keys):
        """Have these Fernet keys be in use."""
        self.config.write_text(f"[core]\nfernet_key = {keys}\n")

    def sql(self, *statements, database="postgres"):
        """Run statements as the superuser."""
        return self._psql([word for each in statements for word in ("-c", each)], "postgres", "sup", database)

    def own(self, text):
        """Run statements as Airflow's own role."""
        return self._psql(["-c", text], "airflow", PASSWORD, "airflow")

    def _psql(self, words, user, password, database):
        argv = [f"{POSTGRES}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port)]
        env = {"PGPASSWORD": password, "PATH": os.environ["PATH"]}
        argv += ["-U", user, "-d", database, *words]
        done = subprocess.run(argv, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def printed(self):
        """Return what a restore has to bring back."""
        return self.own(PRINT)

    def printed_now(self):
        """Return the same of a database that was changed."""
        return self.own(
            "select * from dag_run order by id; select * from dag order by 1; select * from alembic_version"
        )

    def scratch_there(self):
        """Tell whether a scratch database was left."""
        return bool(self.sql("select from pg_database where datname like '%airfleet%'"))

    def create(self, name="production-20261126T100000Z", **more):
        """Make a backup; return its manifest, or the refusal."""
        last = self.ask("backup_create", **{"name": name, **more})
        return last["words"]["manifest"] if last["t"] == "answer" else last

    def call(self, op, manifest, **more):
        """Ask about a backup."""
        return self.ask(op, **{"path": f"{self.folder}/{manifest['name']}.dump", "manifest": manifest, **more})

    def ask(self, op, **words):
        """Ask something; return the last answer: answer or failed."""
        return [a for a in self.agent(op, words={**self.words, **words}) if a["t"] in ("answer", "failed")][-1]

    def names(self):
        """Return the files in the folder."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    def receive(self, data, chunk=100_000, ping=b"\n", **more):
        """Send a file to the agent as the operator does; return its last answer."""
        words = {**self.words, "name": "production-20261126T100000Z", "size": len(data), **more}
        child = self.agent.start("backup_receive", words=words)
        answer = json.loads(child.stdout.readline())
        if answer["t"] == "ready":
            frames = [base64.b64encode(data[at : at + chunk]) + b"." for at in range(0, len(data), chunk)]
            text = b"".join(frame[:50] + ping + frame[50:] for frame in frames) + b"."

            def give():
                child.stdin.write(text)
                child.stdin.flush()

            giving = threading.Thread(target=give)
            giving.start()
            answer = json.loads(child.stdout.readline())
            giving.join()
        child.stdin.close()
        child.wait(timeout=20)
        return answer
