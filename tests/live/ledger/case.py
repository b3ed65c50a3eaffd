"""An installation with the ledger's DAG on it, under the load of the short form or of the long one."""

from __future__ import annotations

import os
from dataclasses import dataclass

from airfleet.agent.patience import OUTAGES
from tests.live.conftest import wait_for
from tests.live.ledger.book import Book
from tests.live.ledger.bring import bring
from tests.live.ledger.load import Load

SLOTS = 16
FULL = os.environ.get("AIRFLEET_LEDGER") == "full"
LONGEST_S = 60 if FULL else 12
BACKLOG = 4 * SLOTS


@dataclass
class Case:
    """The installation with the ledger's DAG on it, its book, and the team that pushes commits."""

    installation: object
    api: object
    book: Book
    team: object

    def load(self, **more):
        return Load(self.api, self.book, longest_s=LONGEST_S, **{"backlog": BACKLOG, **more})

    def settled(self, load, timeout_s=600):
        """Wait until Airflow waits for no task of the load."""
        wait_for(lambda: not self.book.open_states(load.runs), "the end of all tasks", timeout_s)

    def journal(self, since, *words):
        return {
            name: self.installation.on(name, "journalctl", "--no-pager", "-o", "cat", f"--since=@{since:.0f}", *words)
            for name in ("af1", "af2")
        }

    def unacked(self):
        """Return how many messages Redis waits for an answer to."""
        return unacked(self.installation)


def unacked(installation):
    """Return how many messages the Redis of an installation waits for an answer to."""
    password = installation.secret_values()["redis_password"]
    said = installation.on("af1", "redis-cli", stdin=f"auth airflow {password}\nhlen unacked\n")
    return int(said.split()[-1])


def forget_outages(installation):
    """Have the host of the web pages forget for how long restarts took them away: other tests ran beside those."""
    installation.on("af1", "rm", "-f", OUTAGES)


def begin(first, team):
    """Bring the ledger's DAG onto the installation and return the case."""
    book = Book(first.installation)
    bring(first.installation, first.api, team)
    return Case(first.installation, first.api, book, team)
