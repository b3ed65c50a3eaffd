"""Keeps every slot of the workers busy with tasks, and samples how many workers take some."""

from __future__ import annotations

import http.client
import random
import re
import threading
import time
import urllib.error
from pathlib import Path

from tests.live.ledger.book import serving

DAG = Path(__file__).with_name("dag.py").read_text()
TASKS = int(re.search(r"^TASKS = (\d+)$", DAG, re.MULTILINE)[1])  # that file imports Airflow: it is read, not imported
SEED = 20261125
PAUSE_S = 0.5
SAMPLER = """\
import configparser, json, sys, time
from celery import Celery
parser = configparser.RawConfigParser(strict=False)
parser.read("/home/airflow/airflow/airflow.cfg")
app = Celery(broker=parser["celery"]["broker_url"].replace("%%", "%"))
nodes = sys.argv[1:]
while True:
    at = time.time()
    found = app.control.inspect(destination=nodes, timeout=5, limit=len(nodes)).active_queues() or {}
    print(json.dumps({"at": at, "queues": {n: [q["name"] for q in each] for n, each in found.items()}}), flush=True)
    time.sleep(1)
"""


class Load:
    """Triggers run after run of the DAG as long as it lasts, so that more tasks wait than there are slots."""

    def __init__(self, api, book, *, longest_s, backlog):
        self.runs: list[str] = []
        self._name = f"ledger-{time.time():.0f}"
        self._api = api
        self._book = book
        self._longest_s = longest_s
        self._backlog = backlog
        self._random = random.Random(SEED)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self.refused = 0

    @property
    def asked(self):
        """How many tasks were asked for so far."""
        return len(self.runs) * TASKS

    def __enter__(self):
        self._before = self._book.ended()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _feed(self):
        while not self._stop.is_set():
            if self.asked + self._before - self._book.ended() < self._backlog:
                self._trigger()
            self._stop.wait(PAUSE_S)

    def _trigger(self):
        run = f"{self._name}-{len(self.runs):04}"
        try:
            self._api.trigger("ledger", {"seconds": self._seconds()}, dag_run_id=run)
        except urllib.error.HTTPError as e:
            if e.code != 409:  # it came through though the answer did not
                self.refused += 1
                return
        except (OSError, http.client.HTTPException):
            self.refused += 1  # the web pages are being restarted: the tasks that wait go on
            return
        self.runs.append(run)

    def _seconds(self):
        """Return how long each task of a run sleeps: many short ones, a few that hold a restart up."""
        longest = self._longest_s
        spans = [(1, 4), (1, 4), (1, 4), (1, 4), (1, 4), (1, 4), (4, longest / 3), (longest / 3, longest)]
        return [round(self._random.uniform(*self._random.choice(spans)), 1) for _ in range(TASKS)]


class Capacity:
    """Asks the workers all the while which of them take tasks."""

    def __init__(self, installation, nodes):
        python = "/home/airflow/.pyenv/versions/.venv/bin/python"
        self._child = installation.stream("af1", python, "-c", SAMPLER, *nodes)
        self.samples: list[tuple[float, int]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._child.kill()
        self._child.wait()
        self._thread.join()

    def _read(self):
        for line in self._child.stdout:
            self.samples.append(serving(line))

    def lowest(self):
        """Return the fewest workers that were seen to take tasks at one time."""
        return min(count for _, count in self.samples)
