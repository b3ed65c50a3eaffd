"""Writes docs/lossless.md from what was seen."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass

from sandbox.site import REPOSITORY

PAGE = REPOSITORY / "docs" / "lossless.md"
KEPT: dict = {}  # what the first of the two tests saw, for the page that the second writes


@dataclass(frozen=True)
class Step:
    """One command while the load went on."""

    command: str
    seconds: float
    ended: int  # tasks that ended meanwhile
    away: str  # what was said about the web page


def table(steps):
    """Return the lines of the table of commands."""
    head = ["| command | took | tasks that ended meanwhile | web page |", "|---|---:|---:|---|"]
    return [*head, *(f"| `{s.command}` | {s.seconds:.0f} s | {s.ended} | {s.away or '–'} |" for s in steps)]


def write(steps, verdict, figures, note):
    """Write the page; `figures` and `note` hold what else was seen."""
    lines = [
        "# No task lost",
        "",
        "Written by `make ledger`; do not edit. Two machines, each with two workers of four slots, are kept busy with",
        f"tasks that sleep 1–{figures['longest_s']} s and write their start and end, with an id and the number of the",
        "try, into a table of PostgreSQL. Meanwhile an operator types these commands. Tasks have no retries: one that",
        "is killed stays killed.",
        "",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, Airflow {figures['airflow']}; {os.cpu_count()} cores for all of it.",
        "",
        *table(steps),
        "",
        "| | airfleet | `git pull`, `systemctl restart` |",
        "|---|---:|---:|",
        f"| tasks asked for | {verdict.tasks} | {note['verdict'].tasks} |",
        f"| lost (began or waited, and never ended) | {verdict.lost} | {note['verdict'].lost} |",
        f"| run twice | {verdict.twice} | {note['verdict'].twice} |",
        f"| failed in Airflow's eyes | {verdict.failed} | {note['verdict'].failed} |",
        f"| more than one try | {verdict.retried} | {note['verdict'].retried} |",
        f"| messages that Redis waits for an answer to, at the end (`unacked`) | {figures['unacked']} | – |",
        f"| workers that systemd had to kill | {figures['killed']} | – |",
        f"| fewest workers that took tasks at one time, of {figures['workers']} | {figures['lowest']} | – |",
        "",
        f"`fab doctor` and `fab status` were asked {figures['looks']} times meanwhile and named no cause.",
        "",
        f"Workers were asked {figures['samples']} times which queues they consume. The tasks' own sleep took"
        f" {verdict.busy:.0%} of",
        "all slots' time; the rest is Airflow's starting and ending of them, on these few cores.",
        "",
        "On the right: the same load, tasks and machines under a worker unit without a stop of its own (systemd's",
        "default kills the pool, and the tasks with it) and a plain restart: that the ledger sees what is lost.",
        "",
        "`make ledger` does it all again (root, Linux, about an hour). A shorter form is among the tests.",
    ]
    PAGE.write_text("\n".join(lines) + "\n")
