"""Looks, while something else goes on, whether a secret shows in a process."""

from __future__ import annotations

import threading
from pathlib import Path

WATCH_S = 0.1


class Watch:
    """Looks, all the while, whether a secret stands in any process's command line or environment.

    The machines are containers: every process of theirs is seen from here.
    """

    def __init__(self, values) -> None:
        self.values = values
        self.found: set[str] = set()
        self.samples = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self):
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
