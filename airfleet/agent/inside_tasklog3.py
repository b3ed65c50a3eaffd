"""Reads the log of a try as Airflow 3's web pages do; run by the environment's own Python, which has Airflow.

Airflow 3 keeps a log as one JSON object a line: here each becomes a line as people read it, a traceback below it. The
try is looked for first, without Airflow: a wrong name is told at once, not after the seconds that importing takes.
"""

from __future__ import annotations

import json
import site
import sys

from airfleet.agent import inside_postgres, inside_tries

PIECE = 500  # lines
KNOWN = {"timestamp", "level", "event", "logger", "filename", "lineno", "error_detail"}
THE_TRY = {"dag_id", "task_id", "run_id", "map_index", "try_number", "ti_id"}  # that is told once, above the log
COMMANDS = ("::group::", "::endgroup::")  # of the web page, which folds what is between them


def inside(words, tell):
    """Tell which try was found, then its log."""
    try:
        found = inside_tries.find(words["dsn"], words)
    except (inside_tries.Unknown, inside_postgres.Refusal) as e:
        return {"refused": e.args[0]}
    tell({"found": found})
    site.main()  # as when Airflow starts: with what packages hook in
    sys.dont_write_bytecode = True
    from airflow.utils.log.log_reader import TaskLogReader

    reader = TaskLogReader()
    if not reader.supports_read:
        what = "Airflow's handler of task logs can only write them"
        return {"refused": {"what": what, "kind": "refused", "remedy": "look at [logging] task_log_reader"}}
    lines = []
    for text in reader.read_log_stream(_instance(found), found["try"], {"download_logs": True}):
        lines += [line for entry in text.splitlines() for line in readable(json.loads(entry))]
        if len(lines) >= PIECE:
            tell({"text": "".join(lines)})
            lines = []
    if lines:
        tell({"text": "".join(lines)})
    return {}


def _instance(found):
    """Return Airflow's own object for this try, in no session; an ended try is in the history."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload

    names = {"dag_id": found["dag"], "task_id": found["task"], "run_id": found["run"], "map_index": found["map_index"]}
    with create_session() as session:
        asked = select(TaskInstance).filter_by(**names, try_number=found["try"])
        asked = asked.options(joinedload(TaskInstance.dag_run), joinedload(TaskInstance.dag_model))
        asked = asked.options(joinedload(TaskInstance.trigger).joinedload(Trigger.triggerer_job))
        instance = session.scalar(asked)
        if instance is None:
            asked = select(TaskInstanceHistory).filter_by(**names, try_number=found["try"])
            instance = session.scalar(asked.options(joinedload(TaskInstanceHistory.dag_run)))
        session.expunge_all()
    return instance


def readable(entry):
    """Yield the lines that a person reads for one entry of a log: when, how grave, what; then its traceback."""
    event = str(entry.get("event", ""))
    if event.startswith(COMMANDS):
        sources = entry.get("sources") or []
        yield from (f"*** {source}\n" for source in sources)
        return
    when = str(entry.get("timestamp") or "")
    head = " ".join(part for part in (f"[{when}]" if when else "", str(entry.get("level") or "").upper()) if part)
    told = KNOWN | THE_TRY
    more = "".join(f" {name}={value!r}" for name, value in entry.items() if name not in told and value is not None)
    yield f"{head} - {event}{more}\n" if head else f"{event}{more}\n"
    for error in entry.get("error_detail") or ():
        yield "Traceback (most recent call last):\n"
        for frame in error.get("frames") or ():
            yield f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}\n'
        yield f"{error.get('exc_type')}: {error.get('exc_value')}\n"
