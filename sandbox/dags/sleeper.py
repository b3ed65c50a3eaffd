"""Tasks that run as long as they are told: what a restart must not cut."""

# ruff: noqa: INP001 (a file of the DAG repository, not of a package)
# mypy: ignore-errors

from __future__ import annotations

import time
from datetime import UTC, datetime

try:  # Airflow 3
    from airflow.sdk import dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.operators.python import get_current_context


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=64,
    tags=["airfleet"],
)
def sleeper() -> None:
    """Sleep for `seconds` of the run's conf, or for half a minute."""

    @task(queue="default", retries=1)
    def sleep() -> dict[str, str]:
        from celery import current_task

        seconds = float((get_current_context()["dag_run"].conf or {}).get("seconds", 30))
        began = time.time()
        time.sleep(seconds)
        return {"worker": current_task.request.hostname, "began": str(began), "ended": str(time.time())}

    sleep()


sleeper()
