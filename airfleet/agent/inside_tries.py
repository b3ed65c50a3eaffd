"""Finds one try of a task in Airflow's metadata database, or says what there is instead. Airflow is not imported."""

from __future__ import annotations

import difflib

from airfleet.agent import inside_postgres
from airfleet.agent.inside_postgres import query

NEAREST = 3
SHOWN = 20
RECENT_RUNS = 5
UNMAPPED = -1
# A try that has ended leaves its place in task_instance to the next one.
TRIES = (
    "(select dag_id, task_id, run_id, map_index, try_number, state, hostname, start_date, 1 as older"
    " from task_instance_history union all"
    " select dag_id, task_id, run_id, map_index, try_number, state, hostname, start_date, 2"
    " from task_instance where start_date is not null) tries"
)
OF_TASK = f"from {TRIES} where dag_id = %s and task_id = %s"


class Unknown(Exception):
    """There is no such thing: its argument is the words of a refusal."""


def find(dsn, words):
    """Return {"dag", "task", "run", "map_index", "try", "tries", "state", "hostname"} of the try that is meant."""
    connection = inside_postgres.connect(dsn)
    try:
        return _find(connection, words)
    finally:
        connection.close()


def _find(connection, words):
    dag, task = words["dag"], words["task"]
    run = words["run"] or _latest_run(connection, dag, task, words["map_index"])
    found = query(
        connection,
        f"select map_index, try_number, state, hostname {OF_TASK} and run_id = %s order by try_number, older desc",
        *(dag, task, run),
    )
    if not found:
        raise Unknown(_why_none(connection, dag, task, run))
    index = _index(connection, words, run, sorted({each[0] for each in found}))
    tries = {number: (state, hostname) for where, number, state, hostname in found if where == index}
    number = words["try"] or max(tries)
    if number not in tries:
        raise Unknown(
            _refusal(f"{dag}.{task} ({run}) has no try {number}", f"--try: {', '.join(map(str, sorted(tries)))}")
        )
    state, hostname = tries[number]
    return {
        "dag": dag,
        "task": task,
        "run": run,
        "map_index": index,
        "try": number,
        "tries": max(tries),
        "state": state,
        "hostname": hostname,
    }


def _latest_run(connection, dag, task, index):
    """Return the run whose try of the task, of this map index where there is one, started last."""
    latest = query(
        connection,
        f"select run_id {OF_TASK} order by coalesce(map_index = %s, false) desc, start_date desc nulls last limit 1",
        *(dag, task, index),
    )
    if not latest:
        raise Unknown(_why_none(connection, dag, task, ""))
    return latest[0][0]


def _why_none(connection, dag, task, run):
    """Return why there is no try: no such DAG, task or run, or it has not run yet."""
    dags = [row[0] for row in query(connection, "select dag_id from dag order by dag_id")]
    runs = query(
        connection, "select run_id, state from dag_run where dag_id = %s order by id desc limit %s", dag, RECENT_RUNS
    )
    if dag not in dags and not runs:
        return _refusal(f"there is no DAG {dag}", _nearest(dag, dags, '`fab airflow "dags list"` shows them all'))
    latest = ", ".join(f"{name} ({state})" for name, state in runs) or "none"
    tasks = [
        row[0]
        for row in query(
            connection,
            "select distinct task_id from task_instance where dag_id = %s and run_id = any(%s) order by task_id",
            *(dag, [name for name, _ in runs]),
        )
    ]
    if run and not query(connection, "select 1 from dag_run where dag_id = %s and run_id = %s", dag, run):
        return _refusal(f"DAG {dag} has no run {run}", f"--run: the latest are {latest}")
    if not runs:
        return _refusal(f"DAG {dag} has never run", f'start it: fab airflow "dags trigger {dag}"')
    if task not in tasks:
        return _refusal(
            f"DAG {dag} has no task {task}", _nearest(task, tasks, f"its tasks: {', '.join(tasks[:SHOWN])}")
        )
    what = f"{dag}.{task} has not run yet" + (f" in {run}" if run else "")
    return _refusal(what, f"--run: the latest runs are {latest}")


def _index(connection, words, run, indexes):
    index = words["map_index"]
    if index in indexes or (index is None and len(indexes) == 1):
        return indexes[0] if index is None else index
    if indexes == [UNMAPPED]:
        what = f"{words['dag']}.{words['task']} is not mapped in {run}"
        raise Unknown(_refusal(what, "leave --map-index away"))
    failed = query(
        connection,
        "select map_index from task_instance where dag_id = %s and task_id = %s and run_id = %s and state = 'failed'"
        " order by map_index limit %s",
        *(words["dag"], words["task"], run, SHOWN),
    )
    there = f"{indexes[0]} to {indexes[-1]}" if len(indexes) > 1 else str(indexes[0])
    told = f"; failed: {', '.join(str(row[0]) for row in failed)}" if failed else ""
    what = "which one? it is mapped" if index is None else f"there is no map index {index}"
    raise Unknown(_refusal(f"{words['dag']}.{words['task']} ({run}): {what}", f"--map-index: {there}{told}"))


def _nearest(word, known, otherwise):
    found = difflib.get_close_matches(word, known, n=NEAREST)
    return f"did you mean {' or '.join(found)}?" if found else otherwise


def _refusal(what, remedy):
    return {"what": what, "kind": "usage", "remedy": remedy}
