"""What goes on beside a test as long as a block lasts."""

from __future__ import annotations

import threading


class Meanwhile:
    """Runs `_go_on`, in a thread of its own, until the end of the block; it returns soon after `_stop` is set."""

    def __init__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _go_on(self):
        raise NotImplementedError
