"""A ProxyCommand as a socket: its end is an end of file at once, and nothing of it outlives the connection."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LAST_WORDS = 4096
GRACE_S = 1.0


class ProxyFailed(OSError):
    """The command could not be started."""


class ProxySocket:
    """What paramiko needs of a socket: what is sent is the command's input, its output is what is received.

    Two pairs, as OpenSSH has two pipes: `gcloud compute start-iap-tunnel` makes its standard input non-blocking, and
    with one socket for both its output would be so too, and what there is no room for would be lost.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._sending, stdin = socket.socketpair()
        self._receiving, stdout = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the sockets
        self._closing = threading.Lock()
        self._closed = False  # under this name paramiko asks for it
        self._last = ""
        try:
            with stdin, stdout:
                self._process = subprocess.Popen(
                    list(words),
                    stdin=stdin.fileno(),
                    stdout=stdout.fileno(),
                    stderr=self._stderr,
                    start_new_session=True,
                )
        except OSError as e:
            self._let_go()
            raise ProxyFailed(f"the proxy command {words[0]} can't be run: {e.strerror}") from e
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        atexit.register(self.close)  # a host that nobody waits for any more is left in the middle of its connection

    def send(self, data: bytes) -> int:
        """Give the command some of this; return how much."""
        return self._sending.send(data)

    def recv(self, size: int) -> bytes:
        """Return what the command has printed; nothing when it has ended."""
        return self._receiving.recv(size)

    def settimeout(self, timeout_s: float | None) -> None:
        """Wait at most so long in `send` and `recv`."""
        self._sending.settimeout(timeout_s)
        self._receiving.settimeout(timeout_s)

    def said(self) -> str:
        """Return the last line that the command has printed as an error; empty when there is none."""
        with self._closing:
            return self._last if self._closed else self._read()

    def close(self) -> None:
        """End the command with all that it has started, and wait for its end."""
        with self._closing:
            if self._closed:
                return
            self._last, self._closed = self._read(), True
            self._sending.close()
            self._kill(signal.SIGTERM)
            self._watcher.join(GRACE_S)
            self._kill(signal.SIGKILL)
            self._watcher.join()
            self._let_go()
        atexit.unregister(self.close)

    def _watch(self) -> None:
        """When the command has ended, end what it has started: that would keep its output open."""
        self._process.wait()
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _kill(self, number: signal.Signals) -> None:
        if self._watcher.is_alive():
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, number)

    def _read(self) -> str:
        descriptor = self._stderr.fileno()
        # Not by seek: the command writes where this file is.
        size = os.fstat(descriptor).st_size
        text = os.pread(descriptor, LAST_WORDS, max(0, size - LAST_WORDS)).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "".join(letter if letter.isprintable() else "?" for letter in lines[-1]) if lines else ""

    def _let_go(self) -> None:
        for each in (self._sending, self._receiving, self._stderr):
            each.close()
