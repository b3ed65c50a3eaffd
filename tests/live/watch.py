"""Looks, while something else goes on, whether a secret shows in a process."""

from __future__ import annotations

from pathlib import Path

from tests.live.meanwhile import Meanwhile

WATCH_S = 0.1


class Watch(Meanwhile):
    """Looks, all the while, whether a secret stands in any process's command line or environment.

    The machines are containers: every process of theirs is seen from here.
    """

    def __init__(self, values) -> None:
        super().__init__()
        self.values = values
        self.found: set[str] = set()
        self.samples = 0

    def _go_on(self):
        while not self._stop.wait(WATCH_S):
            words = {name: value.encode() for name, value in self.values().items()}
            self.samples += 1
            for process in Path("/proc").glob("[0-9]*"):
                for what in ("cmdline", "environ"):
                    try:
                        text = (process / what).read_bytes()
                    except OSError:
                        continue
                    for name, value in words.items():
                        if value in text:
                            self.found.add(f"{name} in {what} of {text[:80]!r}")
