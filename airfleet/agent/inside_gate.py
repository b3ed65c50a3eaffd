"""Parses the DAGs of a folder as the scheduler would; run by the environment's own Python, which has Airflow.

Each file is parsed by Airflow's own DagBag, under its own time limit for a file, and all of them under one of ours.
"""

from __future__ import annotations

import importlib
import os
import re
import site
import sys
import time
import traceback

from airfleet.agent import inside_postgres

TASKS_NAMED = 3
LONGEST_ERROR = 500
DUPLICATE = "DuplicatedIdException"
RUNNING = (
    "select d.dag_id, d.fileloc, count(*) from dag d join dag_run r on r.dag_id = d.dag_id"
    " where {} and r.state in ('running', 'queued') group by d.dag_id, d.fileloc"
)
UNTOLD = {
    "what": "the database does not tell which DAGs have runs under way",
    "kind": "database",
    "remedy": "read the line below; where it is that of another generation of Airflow: fab upgrade",
}


def inside(words, tell):
    """Return what parsing says; see airfleet.agent.gate."""
    try:
        return parse(words, tell)
    except inside_postgres.Refusal as e:
        return {"refused": e.args[0]}


def parse(words, tell):
    """Return what parsing says, and the database beside it; Refusal where that can't be asked."""
    site.main()  # as when Airflow starts: with what packages hook in
    sys.dont_write_bytecode = True
    began = time.monotonic()
    folder = words["folder"]
    if folder not in sys.path:
        sys.path.append(folder)  # DAG files import each other from there
    from airflow.utils.file import list_py_file_paths

    bag = importlib.import_module(words["dagbag"]).DagBag(os.devnull, safe_mode=True, collect_dags=False)
    paths = sorted(map(str, list_py_file_paths(folder)))
    names = {path: os.path.relpath(path, folder) for path in paths}
    late, broken = [], {}
    for path in paths:
        if time.monotonic() - began > words["timeout_s"]:
            late.append(names[path])
            continue
        tell(names[path])
        try:
            bag.process_file(path, only_if_updated=False, safe_mode=True)
        except BaseException as e:  # noqa: BLE001  # a file that calls sys.exit() is no file for the scheduler either
            broken[path] = "".join(traceback.format_exception(e))
    broken.update({path: error for path, error in bag.import_errors.items() if path in names})
    errors = {names[path]: _error(path, error) for path, error in broken.items() if DUPLICATE not in error}
    dags = {dag_id: names.get(dag.fileloc, os.path.relpath(dag.fileloc, folder)) for dag_id, dag in bag.dags.items()}
    return {
        "files": len(paths),
        "dags": dags,
        "errors": errors,
        "duplicates": {names[path]: _duplicate(error) for path, error in broken.items() if DUPLICATE in error},
        "vanished": _vanished(words, dags, [*errors, *late]) if words["dsn"] else {},
        "queues": _queues(bag),
        "late": late,
        "stuck": "",
        "ended": "",
        "seconds": round(time.monotonic() - began, 1),
    }


def _error(path, error):
    """Return the line of the file itself at which it failed, and the first line of what the error says."""
    lines = [int(line) for line in re.findall(rf'File "{re.escape(path)}", line (\d+)', error)]
    told = re.split(r'^ +File ".*$', error, flags=re.MULTILINE)[-1].splitlines()
    # Behind the last frame: its indented source, then `NameError: …`, which may go on over many lines.
    said = [line for line in told if re.match(r"\w", line)] or [line for line in told if line.strip()] or ["unknown"]
    return {"line": lines[-1] if lines else 0, "error": said[0].strip()[:LONGEST_ERROR]}


def _duplicate(error):
    """Return which DAG is in two files, and in which others."""
    last = error.strip().splitlines()[-1]
    found = re.search(r"DAG (\S+) from .* also found in (.*)", last)
    if not found:
        return {"dag": "", "error": last[:LONGEST_ERROR]}
    return {"dag": found.group(1), "error": f"the DAG is in {os.path.basename(found.group(2))} as well"}


def _queues(bag):
    """Return {queue: ["dag.task", …]} of all tasks; only a few tasks are named."""
    found = {}
    for dag in bag.dags.values():
        for task in dag.tasks:
            found.setdefault(task.queue, []).append(f"{dag.dag_id}.{task.task_id}")
    return {queue: [*tasks[:TASKS_NAMED], *(["…"] * (len(tasks) > TASKS_NAMED))] for queue, tasks in found.items()}


def _vanished(words, dags, unknown):
    """Return {DAG: number of running runs} of those with running runs that no file has, unless its file is unknown."""
    connection = inside_postgres.connect(words["dsn"])
    try:
        rows = inside_postgres.query(connection, RUNNING.format(words["active_dag"]))
    except inside_postgres.psycopg2.Error as e:
        raise inside_postgres.Refusal({**UNTOLD, "tail": str(e).strip()}) from e
    finally:
        connection.close()
    return {
        dag_id: count
        for dag_id, fileloc, count in rows
        if dag_id not in dags and not any(fileloc.endswith("/" + name) for name in unknown)
    }
