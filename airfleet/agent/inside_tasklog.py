"""Reads the log of a try as Airflow's web pages do; run by the environment's own Python, which has Airflow.

The try is looked for first, without Airflow: a wrong name is told at once, not after the seconds that importing takes.
"""

from __future__ import annotations

import contextlib
import site
import sys

from airfleet.agent import inside_postgres, inside_tries

PIECE = 64 * 1024  # characters


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
    try_of = _instance(found)
    for text in reader.read_log_stream(try_of, found["try"], {"download_logs": True}):
        _hand_on(text.removeprefix(f"{try_of.hostname}\n"), tell)
    return {}


def _instance(found):
    """Return Airflow's own object for this try, in no session: what is set here is never written down."""
    from airflow.exceptions import TaskNotFound
    from airflow.models.dagbag import DagBag
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy.orm import joinedload

    names = {"dag_id": found["dag"], "task_id": found["task"], "run_id": found["run"], "map_index": found["map_index"]}
    with create_session() as session:
        instance = (
            session.query(TaskInstance)
            .filter_by(**names)
            .options(joinedload(TaskInstance.dag_run))
            .options(joinedload(TaskInstance.trigger).joinedload(Trigger.triggerer_job))
            .one()
        )
        session.expunge_all()
    # A name of log files may hold `ti.try_number`, and an earlier try may have run on another worker.
    instance.try_number, instance.hostname, instance.state = found["try"], found["hostname"], found["state"]
    with contextlib.suppress(TaskNotFound, AttributeError):  # a task that its DAG no longer has keeps its logs
        instance.task = DagBag(read_dags_from_db=True).get_dag(found["dag"]).get_task(found["task"])
    return instance


def _hand_on(text, tell):
    """Tell the text in pieces of whole lines."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin + PIECE) + 1 or len(text)
        tell({"text": text[begin:end]})
        begin = end
