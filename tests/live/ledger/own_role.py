"""The ledger's DAG on an installation, booking with a role of its own: Airflow's gets another password meanwhile."""

from __future__ import annotations

from urllib.error import HTTPError

from tests.live.conftest import wait_for
from tests.live.ledger.book import Book
from tests.live.ledger.load import DAG

ROLE = """\
do $$ begin if not exists (select from pg_roles where rolname = 'ledger') then
  create role ledger login password 'of-the-ledger' in role airflow; end if; end $$;
"""
RULE = "host all ledger samenet scram-sha-256"
LET_IN = f'cd /etc/postgresql/*/main && {{ grep -q " ledger " pg_hba.conf || echo "{RULE}" >> pg_hba.conf; }}'


def opened(first, team):
    """Return the book, once the DAG is deployed and Airflow knows it."""
    installation = first.installation
    made = Book(installation)
    psql = ["runuser", "-u", "postgres", "--", "psql", "-qX", "-v", "ON_ERROR_STOP=1", "airflow"]
    installation.on("svc", "sh", "-c", LET_IN)
    installation.on("svc", *psql, stdin=ROLE + "select pg_reload_conf();\n")
    api = first.api
    words = {"connection_id": "ledger", "conn_type": "postgres", "host": installation.machines["svc"].address}
    words |= {"schema": "airflow", "login": "ledger", "port": 5432, "password": "of-the-ledger"}
    try:
        api.ask("/connections", words)
    except HTTPError as e:
        if e.code != 409:
            raise
        api.ask("/connections/ledger", words, method="PATCH")
    team.push("the ledger", ledger=DAG)
    installation.fab("deploy", "--restart", "changed")
    wait_for(lambda: '"ledger"' in str(api.ask("/dags")).replace("'", '"'), "the ledger's DAG", 120)
    return made
