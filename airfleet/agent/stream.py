"""Hands on what a program prints, as it comes: nothing is left out, and no line is cut in two."""

from __future__ import annotations

import os
import selectors
import subprocess

from airfleet.agent import run

CHUNK = 256 * 1024
TAIL = 8192


class Kept:
    """The end of what was handed to it, for the words of an error."""

    def __init__(self):
        self._data = b""

    def __call__(self, data):
        """Take more; never a reason to end the program."""
        self._data = (self._data + data)[-TAIL:]

    @property
    def text(self):
        """What was kept, as text."""
        return self._data.decode("utf-8", "replace")


def stream(argv, out, err, *, user="root", env=None, stdin=None, cwd="/", patience_s=0):
    """Run a program to its end and return its exit status; `out` and `err` get whole lines, as many as have come.

    A true answer of theirs ends the program. `stdin` is all that it reads, or None for nothing. If the operator is lost
    it is asked to end, as by Ctrl-C, and ended after `patience_s`.
    """
    pipes = {"stdin": subprocess.DEVNULL if stdin is None else subprocess.PIPE}
    pipes.update(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child = run.started(argv, user=user, env=env, cwd=cwd, patience_s=patience_s, **pipes)
    try:
        if stdin is not None:
            run.feed(child, stdin)
        if _hand_on({child.stdout: out, child.stderr: err}):
            return child.wait()
        child.patience_s = 0
    finally:
        run.ended(child)
        child.stdout.close()
        child.stderr.close()
    return child.returncode


def _hand_on(takers):
    """Hand on what comes through the pipes; return False when it was wanted no longer before its end."""
    rest = dict.fromkeys(takers, b"")
    with selectors.DefaultSelector() as selector:
        for pipe in takers:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            for pipe in [key.fileobj for key, _ in selector.select()]:
                data = os.read(pipe.fileno(), CHUNK)
                lines, line_break, rest[pipe] = (rest[pipe] + data).rpartition(b"\n")
                if not data or len(rest[pipe]) > run.MOST:  # a line without an end is cut
                    lines, line_break, rest[pipe] = lines + line_break + rest[pipe], b"", b""
                if not data:
                    selector.unregister(pipe)
                if (lines or line_break) and takers[pipe](lines + line_break):
                    return False
    return True
