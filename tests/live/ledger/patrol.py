"""Asks the doctor and the status again and again while others work, and keeps every alarm."""

from __future__ import annotations

import json
import time
from collections import Counter

from tests.live.meanwhile import Meanwhile

COMMANDS = ("doctor", "status")
PAUSE_S = 2


class Patrol(Meanwhile):
    """Runs `fab doctor --json` and `fab status --json` by turns as long as it lasts.

    `runs` counts them by the operation that they saw under way ("" for none), `held` what they held back, and `alarms`
    are causes that were named, and what could not be read at all.
    """

    def __init__(self, installation):
        super().__init__()
        self.runs: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self.alarms: list[str] = []
        self._installation = installation
        self._began = time.monotonic()

    def _go_on(self):
        while not self._stop.is_set():
            for command in COMMANDS:
                self._ask(command)
                self._stop.wait(PAUSE_S)

    def _ask(self, command):
        done = self._installation.fab(command, "--json", rc=None)
        at = f"{time.monotonic() - self._began:.0f} s: {command}"
        try:
            said = json.loads(done.stdout)
        except ValueError:
            self.alarms.append(f"{at}: rc {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}")
            return
        self.runs[(said["operation"] or {}).get("doing", "")] += 1
        self.held.update(each["id"] for each in said["held_back"])
        if said["causes"] or done.returncode:
            self.alarms.append(f"{at}: rc {done.returncode}: {said['operation']}: {json.dumps(said['causes'])}")
