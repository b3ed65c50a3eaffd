"""Tasks that run while a command is disturbed, and how many of them did not end with their first try."""

from __future__ import annotations

import contextlib
import http.client
import time

TASKS = 4
SLEEP_S = 20
BEGIN_S, END_S = 60, 300
POLL_S = 0.5
AWAY = (OSError, http.client.HTTPException)  # the web pages are away for a moment
PATH = "/dags/sleeper/dagRuns/{}/taskInstances/sleep"


class Tasks:
    """Some runs of the DAG whose only task sleeps; begun, and running, when this is made."""

    def __init__(self, ground, *, wanted):
        self._api = ground.api
        self._runs = [self._api.trigger("sleeper", {"seconds": SLEEP_S}) for _ in range(TASKS if wanted else 0)]
        self._until(lambda task: task["state"] not in (None, "scheduled", "queued"), BEGIN_S)

    def verdict(self):
        """Return how many there were, and how many were lost: failed, never ended, or tried again."""
        ended = self._until(lambda task: task["state"] in ("success", "failed"), END_S)
        well = [run for run, task in ended.items() if task["state"] == "success" and task["try_number"] == 1]
        return len(self._runs), len(self._runs) - len(well)

    def _until(self, condition, timeout_s):
        """Return {run: its task} of those that fulfil the condition in time."""
        deadline, found = time.monotonic() + timeout_s, {}
        while True:
            for run in self._runs:
                with contextlib.suppress(*AWAY):
                    task = self._api.ask(PATH.format(run))
                    if condition(task):
                        found[run] = task
            if len(found) == len(self._runs) or time.monotonic() > deadline:
                return found
            time.sleep(POLL_S)
