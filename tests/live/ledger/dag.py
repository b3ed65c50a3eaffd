"""Tasks that book their start and their end: what is lost, or run twice, shows in the book."""


# mypy: ignore-errors

from __future__ import annotations

import contextlib
import time
import uuid
from datetime import UTC, datetime

try:  # Airflow 3
    from airflow.sdk import BaseHook, dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.hooks.base import BaseHook
    from airflow.operators.python import get_current_context

TASKS = 20


def book(statement: str, *values: object) -> None:
    """Write one line of the book, and hold no connection afterwards: a task may sleep long."""
    import psycopg2

    where = BaseHook.get_connection("ledger")
    words = {"host": where.host, "port": where.port, "dbname": where.schema, "user": where.login}
    with contextlib.closing(psycopg2.connect(password=where.password, **words)) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement, values)


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=200,
    max_active_tasks=128,
)
def ledger() -> None:
    """Twenty tasks side by side; the n-th sleeps `seconds[n]` of the run's conf."""
    for number in range(TASKS):

        @task(task_id=f"t{number:02}", queue="default", retries=0)
        def work(position: int) -> None:
            from celery import current_task

            context = get_current_context()
            run, ti = context["dag_run"], context["ti"]
            entry = str(uuid.uuid4())
            book(
                "insert into ledger.entries (id, run, task, try, worker) values (%s, %s, %s, %s, %s)",
                *(entry, run.run_id, ti.task_id, ti.try_number, current_task.request.hostname),
            )
            time.sleep(run.conf["seconds"][position])
            book("update ledger.entries set ended = clock_timestamp() where id = %s", entry)

        work(number)


ledger()
