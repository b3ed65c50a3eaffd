"""The log of one try of a task, as Airflow itself finds it: with its worker, or in the bucket."""

from __future__ import annotations

from airfleet.agent import command, inside

BESIDE = ("inside_postgres", "inside_tries")
# Whoever reads a log changes nothing, whatever Airflow may think of on the way.
READ_ONLY = {"PGOPTIONS": "-c default_transaction_read_only=on"}


def task_log(words, part):
    """Tell {"found": {…}}, which try it is, then {"text": …}, whole lines of its log.

    `program` reads logs as this generation of Airflow does. `dag`, `task`, `run` ("": the latest one with a try), `try`
    (0: the latest), `map_index` (null: the only one).
    """
    env = {**command.environment_of(words["environment"]), **READ_ONLY}
    inside.listen(words["venv"], words["program"], words, part, account=words["account"], env=env, also=BESIDE)
    return {}
