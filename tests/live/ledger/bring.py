"""How the ledger's DAG comes to an installation."""

from __future__ import annotations

from urllib.error import HTTPError

from tests.live.conftest import wait_for
from tests.live.ledger.load import DAG


def bring(installation, api, team):
    """Deploy the DAG, with the connection by which its tasks write, and wait until Airflow knows it."""
    words = {"connection_id": "ledger", "conn_type": "postgres", "host": installation.machines["svc"].address}
    words |= {"schema": "airflow", "login": "airflow", "port": 5432}
    try:
        api.ask("/connections", {**words, "password": installation.secret_values()["database_password"]})
    except HTTPError as e:
        if e.code != 409:  # another module has made it
            raise
    team.push("the ledger", ledger=DAG)
    installation.fab("deploy", "--restart", "changed")
    wait_for(lambda: "'ledger'" in str(api.ask("/dags")), "the ledger's DAG", 120)
