"""The book that the tasks write, on the database server; and what it says in the end."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass

SCHEMA = """\
set role airflow;
create schema if not exists ledger;
drop table if exists ledger.entries;
create table ledger.entries (
    id uuid primary key, run text not null, task text not null, try int not null, worker text not null,
    started timestamptz not null default clock_timestamp(), ended timestamptz
);
"""


@dataclass(frozen=True)
class Verdict:
    """What became of the tasks that were asked for."""

    tasks: int
    lost: int  # never came to its end
    twice: int  # began more than once
    failed: int  # Airflow does not call it a success
    retried: int  # Airflow counts more than one try
    busy: float  # the share of the slots' time that the tasks themselves took

    @property
    def clean(self) -> bool:
        return not (self.lost or self.twice or self.failed or self.retried)


class Book:
    """The table on svc, read by psql as its superuser."""

    def __init__(self, installation):
        self._installation = installation
        self._sql(SCHEMA)

    def ended(self):
        """Return how many entries have an end."""
        return int(self._sql("select count(*) from ledger.entries where ended is not null")[0][0])

    def begun(self):
        """Return how many entries there are."""
        return int(self._sql("select count(*) from ledger.entries")[0][0])

    def now(self):
        """Return the database's clock, in seconds since the epoch."""
        return float(self._sql("select extract(epoch from clock_timestamp())")[0][0])

    def ended_since(self, then):
        """Return how many tasks ended since a moment of the database's clock."""
        return int(self._sql(f"select count(*) from ledger.entries where ended >= to_timestamp({then!r})")[0][0])

    def open_states(self, runs):
        """Return how many of the runs' tasks Airflow still waits for."""
        states = "'success','failed','skipped','upstream_failed','removed'"
        found = self._sql(
            f"select count(*) from task_instance where run_id in ({_quoted(runs)}) and dag_id = 'ledger'"
            f" and (state is null or state not in ({states}))"
        )
        return int(found[0][0])

    def verdict(self, runs, per_run, slots):
        """Return what became of all tasks of these runs."""
        entries: dict[tuple[str, str], list[bool]] = {}
        chosen = f"run in ({_quoted(runs)})"
        for run, task, ended in self._sql(f"select run, task, ended is not null from ledger.entries where {chosen}"):
            entries.setdefault((run, task), []).append(ended == "t")
        expected = {(run, f"t{number:02}") for run in runs for number in range(per_run)}
        states = self._sql(
            "select run_id, task_id, state, try_number from task_instance"
            f" where dag_id = 'ledger' and run_id in ({_quoted(runs)})"
        )
        success = {(run, task) for run, task, state, _ in states if state == "success"}
        busy = self._sql(
            "select sum(extract(epoch from ended - started))"
            f" / extract(epoch from max(ended) - min(started)) / {slots} from ledger.entries where {chosen}"
        )
        return Verdict(
            tasks=len(expected),
            lost=sum(not any(entries.get(each, [])) for each in expected),
            twice=sum(len(entries.get(each, [])) > 1 for each in expected),
            failed=len(expected - success),
            retried=sum(int(tries) > 1 for *_, tries in states),
            busy=float(busy[0][0] or 0),
        )

    def _sql(self, text):
        words = ["runuser", "-u", "postgres", "--", "psql", "-qX", "--csv", "-t", "-v", "ON_ERROR_STOP=1", "airflow"]
        return list(csv.reader(io.StringIO(self._installation.on("svc", *words, stdin=text))))


def _quoted(runs):
    """Return the names as SQL literals; they are this harness's own."""
    return ", ".join(f"'{run}'" for run in runs) or "''"


def serving(line):
    """Return (seconds, how many workers take tasks from `default`) of one sample."""
    sample = json.loads(line)
    return sample["at"], sum("default" in queues for queues in sample["queues"].values())
