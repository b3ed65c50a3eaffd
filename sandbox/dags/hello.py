"""Six small tasks that tell where they ran: the proof that every worker takes work."""

# ruff: noqa: INP001 (a file of the DAG repository, not of a package)
# mypy: ignore-errors

from __future__ import annotations

import socket
from datetime import UTC, datetime

try:  # Airflow 3
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


def worker_name() -> str:
    """The Celery node that runs this task."""
    try:
        from celery import current_task
    except ImportError:
        return "not under Celery"
    return current_task.request.hostname if current_task else "not under Celery"


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    tags=["airfleet"],
)
def hello() -> None:
    """Say hello from six tasks that may run side by side."""
    for number in range(1, 7):

        @task(task_id=f"hello_{number}", queue="default")
        def say_hello() -> dict[str, str]:
            where = {"host": socket.gethostname(), "worker": worker_name()}
            print(f"hello from {where['worker']} on {where['host']}")
            return where

        say_hello()


hello()
