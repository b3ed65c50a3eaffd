"""A database of Airflow's own role on a real PostgreSQL, empty or migrated: fixtures of several tests."""

from __future__ import annotations

import subprocess

import pytest

PASSWORD = "p@:/%w '한글"
WANT = {"revision": "head", "tables": "there"}


@pytest.fixture
def sql(venv, server):
    """Run statements as the superuser, in the database that the tests use."""

    def run(*statements, database="airflow"):
        code = (
            "import sys, psycopg2\nc = psycopg2.connect(host='127.0.0.1', port=sys.argv[1], user='postgres',"
            " password='sup', dbname=sys.argv[2])\nc.autocommit = True\nq = c.cursor()\n"
            "for s in sys.argv[3:]:\n    q.execute(s)\nprint(q.fetchall() if q.description else '')"
        )
        argv = [venv / "bin" / "python", "-c", code, str(server), database, *statements]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    return run


@pytest.fixture
def unmigrated(venv, server, sql, account):
    """An empty database of Airflow's own role."""
    quoted = PASSWORD.replace("'", "''")
    sql(
        "drop database if exists airflow with (force)",
        "drop role if exists airflow",
        f"create role airflow login password '{quoted}'",
        "create database airflow owner airflow",
        database="postgres",
    )
    dsn = {"host": "127.0.0.1", "port": server, "name": "airflow", "user": "airflow", "password": PASSWORD}
    escaped = PASSWORD.replace("'", r"\'")
    url = f"host=127.0.0.1 port={server} dbname=airflow user=airflow password='{escaped}'"
    env = {"AIRFLOW_HOME": "/home/x", "TEST_DSN": url}
    return {"dsn": {**dsn, "sslmode": "prefer"}, "venv": str(venv), "account": account, "env": env}


@pytest.fixture
def migrated(agent, unmigrated):
    """The same with Airflow's tables in it."""
    answer = agent.make("schema", "metadata", WANT, unmigrated, **unmigrated)
    assert answer["t"] == "done", answer
    return unmigrated
