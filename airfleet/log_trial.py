"""The flow of `fab verify-logs`: may every host use the bucket, and does the log of a task arrive there?"""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

from airfleet import session
from airfleet.airflow_command import ask_airflow
from airfleet.errors import NotHealthy, UsageError
from airfleet.gates import try_bucket
from airfleet.layout import layout_of
from airfleet.metadata import database_host
from airfleet.rollout import on_each
from airfleet.task_log import Wish, log_words, reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from airfleet.remote import Host
    from airfleet.session import Fleet

    Say = Callable[[str], None]

POLL_S = 3
ROLES = ("worker", "webserver", "scheduler", "triggerer")
ENDED = ("success", "failed")


def verify_logs(env: str, dag: str, task: str, *, max_wait_s: int, say: Say) -> None:
    """Try the bucket from every host; with a DAG and its task, run it once and wait for its log in the bucket.

    Raises GateRefused for what a host may not, NotHealthy when the log does not come within `max_wait_s` seconds.
    """
    if bool(dag) != bool(task):
        raise UsageError(
            "it takes a DAG and its task, or neither",
            place="fab verify-logs",
            remedy="fab verify-logs --dag DAG --task TASK",
            state="nothing was contacted",
        )
    with session.opened(env, doing="verify-logs") as fleet:
        if not fleet.inventory.logging.bucket:
            raise UsageError(
                "task logs stay on the hosts: there is no bucket for them",
                place="logging.bucket",
                remedy="name one in the inventory, then: fab bootstrap",
                state="nothing was contacted",
            )
        venv = layout_of(fleet.inventory).venv

        def work(host: Host) -> None:
            say(f"{host.name}: {try_bucket(host, fleet.inventory, venv)}")

        hosts = {name: fleet.hosts[name] for name in fleet.inventory.hosts if _logs(fleet, name)}
        on_each(hosts, work, parallel=fleet.inventory.ssh.parallel)
        if dag:
            _run_and_wait(fleet, dag, task, max_wait_s, say)


def _logs(fleet: Fleet, name: str) -> bool:
    return bool({*ROLES} & {*fleet.inventory.hosts[name].roles})


def _run_and_wait(fleet: Fleet, dag: str, task: str, max_wait_s: int, say: Say) -> None:
    host = fleet.everyone[database_host(fleet.inventory)]
    run = f"airfleet__{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S}"
    said: list[str] = []
    if ask_airflow(fleet, host, ["dags", "trigger", dag, "--run-id", run], lambda text, _: said.append(text)):
        raise NotHealthy(
            f"a run of {dag} could not be asked for: {''.join(said).strip()[-400:]}", place=dag, remedy="fab airflow"
        )
    say(f"{dag}: run {run} is asked for")
    place = f"gs://{fleet.inventory.logging.bucket}/"
    deadline, page = time.monotonic() + max_wait_s, reader(fleet)
    state, log, why = "", "", ""
    while time.monotonic() < deadline:
        state, log, why = _log(fleet, page, Wish(dag, task, run))
        if state in ENDED and place in log:
            source = next(word for word in log.split() if place in word)
            where = source[source.index(place) :].strip('",')
            say(f"{dag}.{task} ({run}): {state}; Airflow reads its log from {where}")
            return
        time.sleep(POLL_S)
    where = f"its state is {state}" if state else f"it has not begun ({why}): is the DAG paused, is a worker there?"
    raise NotHealthy(
        f"no log of {dag}.{task} ({run}) in {place} after {max_wait_s} s; {where}",
        place=dag,
        remedy=f"fab doctor; fab task-log {dag} {task}",
        state="tasks go on; their logs stay on the hosts",
    )


def _log(fleet: Fleet, host: Host, wish: Wish) -> tuple[str, str, str]:
    """Return the state of the try, its log, and, while there is no such try, why."""
    found: dict[str, Any] = {}
    parts: list[str] = []

    def take(part: dict[str, Any]) -> None:
        found.update(part.get("found") or {})
        parts.append(str(part.get("text") or ""))

    try:
        host.stream("task_log", log_words(fleet, wish), take)
    except UsageError as e:
        return "", "", e.problem
    return str(found.get("state") or ""), "".join(parts), ""
