"""Runs of a DAG that sleeps as long as it is told: what a worker is busy with."""

from __future__ import annotations

import re

from tests.live.conftest import wait_for


class Sleeper:
    """Runs of the DAG whose only task sleeps as long as it is told."""

    def __init__(self, first):
        self.api = first.api

    def start(self, seconds):
        return self.api.trigger("sleeper", {"seconds": seconds})

    def started(self, seconds):
        """Start a run and wait until its task runs."""
        run = self.start(seconds)
        wait_for(lambda: self.task(run)["state"] == "running", f"the start of {run}")
        return run

    def task(self, run):
        return self.api.ask(f"/dags/sleeper/dagRuns/{run}/taskInstances/sleep")

    def ended(self, run):
        """Return (state, try, worker) of a run's task once it has ended."""
        path = f"/dags/sleeper/dagRuns/{run}/taskInstances/sleep"
        task = wait_for(lambda: (t := self.task(run))["state"] in ("success", "failed") and t, f"the end of {run}", 180)
        value = str(self.api.ask(f"{path}/xcomEntries/return_value")["value"])
        return task["state"], task["try_number"], re.search(r"worker\d@[\w-]+", value)[0]
