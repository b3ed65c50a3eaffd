"""Pauses DAGs and unpauses them, as Airflow's own role, in one transaction each: run by the environment's own Python.

A pause is `dag.is_paused` and nothing else: `airflow dags pause`, the web page and the API write that column and a line
of the audit log (table `log`), and the scheduler reads it in each of its loops. So does this, at a stroke: Airflow's
command line takes seconds and a transaction of its own for each DAG, and its API wants a user's password.
"""

from __future__ import annotations

import json
import time

import psycopg2
import psycopg2.errors

from airfleet.agent import inside_postgres

OURS = ("airfleet_maintenance_on", "airfleet_maintenance_off")
RETRY_S = 60
PAUSE_S = 0.2


def inside(words, tell):
    """Answer one question."""
    questions = {"look": look, "pause": pause, "unpause": unpause}
    try:
        return questions[words["question"]](words, tell)
    except inside_postgres.Refusal as e:
        return {"refused": e.args[0]}


def look(words, tell):
    """Return {"active": [DAGs that are active and not paused], "mark": the audit log's newest line, "dags": {…}}."""

    def work(cursor):
        cursor.execute("select coalesce(max(id), 0) from log")
        mark = cursor.fetchone()[0]
        # The name of a column is a fact of Airflow's generation, never a value of somebody's.
        cursor.execute(f"select dag_id from dag where {words['active_dag']} and not is_paused order by dag_id")
        active = [row[0] for row in cursor.fetchall()]
        return {"active": active, "mark": mark, "dags": _states(cursor, words)}

    return _at_a_stroke(words, work, tell)


def pause(words, tell):
    """Pause those of the DAGs `ids` that are not paused; return {"paused": [those changed]}."""

    def work(cursor):
        _lock(cursor, words["ids"])
        return {"paused": _set(cursor, words, words["ids"], paused=True)}

    return _at_a_stroke(words, work, tell)


def unpause(words, tell):
    """Unpause those of the DAGs `ids` whose pause is ours; return {"unpaused": [those changed], "dags": {…}}."""

    def work(cursor):
        _lock(cursor, words["ids"])
        states = _states(cursor, words)
        ours = [dag for dag, state in states.items() if state["paused"] and not state["by"]]
        return {"unpaused": _set(cursor, words, ours, paused=False), "dags": states}

    return _at_a_stroke(words, work, tell)


def _lock(cursor, ids):
    """Wait for whoever is changing these DAGs, a killed operator's last statement too; always in the same order."""
    cursor.execute("select 1 from dag where dag_id = any(%s) order by dag_id for update", (ids,))


def _states(cursor, words):
    """Return {DAG: {"paused", "active", "by", "event", "when"}} of those that are there.

    `by` is who has paused or unpaused it by hand since the line `mark` of the audit log, None where the last word is
    ours or nobody has spoken.
    """
    cursor.execute(
        f"select d.dag_id, d.is_paused, {words['active_dag']}, said.event, said.owner, said.dttm"
        " from dag d left join lateral (select event, owner, dttm from log where log.dag_id = d.dag_id and log.id > %s"
        " and event = any(%s) order by log.id desc limit 1) said on true where d.dag_id = any(%s) order by d.dag_id",
        (words["mark"], [*words["pause_events"], *OURS], words["ids"]),
    )
    states = {}
    for dag, paused, active, event, owner, when in cursor.fetchall():
        by_hand = event is not None and event not in OURS
        states[dag] = {
            "paused": bool(paused),
            "active": bool(active),
            "by": (owner or "somebody") if by_hand else None,
            "event": event if by_hand else None,
            "when": when.isoformat(timespec="seconds") if by_hand and when else None,
        }
    return states


def _set(cursor, words, ids, *, paused):
    cursor.execute(
        "update dag set is_paused = %s where dag_id = any(%s) and is_paused is distinct from %s returning dag_id",
        (paused, ids, paused),
    )
    changed = sorted(row[0] for row in cursor.fetchall())
    extra = {"is_paused": paused, "maintenance": words["id"], "reason": words["reason"]}
    cursor.execute(
        "insert into log (dttm, dag_id, event, owner, owner_display_name, extra)"
        " select now(), unnest(%s::text[]), %s, %s, %s, %s",
        (changed, OURS[0 if paused else 1], words["who"], words["who"], json.dumps(extra)),
    )
    return changed


def _at_a_stroke(words, work, tell):
    """Return what the work returns, all of it committed, or nothing of it; it is tried again after a deadlock."""
    deadline = time.monotonic() + RETRY_S
    while True:
        connection = inside_postgres.connect(words["dsn"])
        connection.autocommit = False  # a killed client's statement is then never committed
        try:
            with connection, connection.cursor() as cursor:
                return work(cursor)
        except psycopg2.OperationalError as e:  # a deadlock, a row that somebody holds, a lost connection
            said = (str(e).strip() or type(e).__name__).splitlines()[0]
            if time.monotonic() > deadline:
                raise inside_postgres.Refusal(_refusal(words["dsn"], e, said)) from e
            tell(f"the database: {said}; trying again")
        except psycopg2.Error as e:
            raise inside_postgres.Refusal(inside_postgres.refusal(words["dsn"], str(e).strip())) from e
        finally:
            connection.close()
        time.sleep(PAUSE_S)


def _refusal(dsn, error, said):
    if isinstance(error, (psycopg2.errors.QueryCanceled, psycopg2.errors.DeadlockDetected)):
        what = f"other transactions have held the rows of these DAGs for {RETRY_S} s"
        return {"what": what, "kind": "database", "remedy": "look at pg_stat_activity, then run it again", "tail": said}
    return inside_postgres.refusal(dsn, said)
