"""Somebody at a real pseudo-terminal: waits for a prompt, types, and sees what an operator would see."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path


def type_into(argv, answers, *, timeout_s=120, **more):
    """Run a program on a terminal of its own; return its exit code and all that was on the screen.

    `answers` are (text to wait for, what is then typed), in order.
    """
    ours, theirs = pty.openpty()
    # Its own session with this terminal as the one that it is controlled by, as after a login.
    child = subprocess.Popen(["setsid", "--ctty", *argv], stdin=theirs, stdout=theirs, stderr=theirs, **more)
    os.close(theirs)
    deadline = time.monotonic() + timeout_s
    waiting, seen, read = list(answers), "", 0
    try:
        while True:
            assert time.monotonic() < deadline, f"waited in vain; on the screen: {seen}"
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                data = os.read(ours, 65536)
            except OSError:  # how Linux tells that nobody has the other end any more
                data = b""
            if not data:
                return child.wait(timeout=timeout_s), seen.replace("\r\n", "\n")
            seen += data.decode()
            if waiting and (at := seen.find(waiting[0][0], read)) >= 0:
                prompt, answer = waiting.pop(0)
                read = at + len(prompt)
                while not _waits(child.pid) and time.monotonic() < deadline:
                    time.sleep(0.01)
                os.write(ours, answer.encode())
    finally:
        os.close(ours)
        if child.poll() is None:
            child.kill()
            child.wait()


def _waits(pid):
    """Tell whether a process sleeps: a signal that comes just before it begins to read is seen only after that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "SZ"
    except FileNotFoundError:
        return True
