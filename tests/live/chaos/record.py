"""What became of a cell, in one line of JSON; and whether that is how it should be. Pure."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import re
from dataclasses import asdict, dataclass, field

from sandbox.site import REPOSITORY

KEPT = REPOSITORY / ".sandbox" / "chaos" / "cells.jsonl"
TRACEBACK = re.compile(r"^Traceback ", re.MULTILINE)  # the operator's own: a quoted journal's is indented
MESSAGE = re.compile(r"^airfleet: (.*(?:\n  .*)*)", re.MULTILINE)
KILLED = -9
FORESEEN = range(2, 10)  # the exit codes of a change that has not come about
NOT_REACHED = "step not reached"
WELL = "well"


@dataclass
class Cell:
    """One cell of the matrix."""

    command: str
    airflow: str
    step: str
    fault: str
    host: str = ""
    rc: int | None = None
    seconds: float = 0.0  # from the fault to the command's end
    message: str = ""  # its first line
    clear: bool = True  # the message says how the world was left, and no traceback is beside it
    reached: bool = True
    lock_s: float | None = 0.0  # until the lock was free; None: it was not
    next: list[str] = field(default_factory=list)  # what was typed then, with its exit code
    next_said: str = ""
    in_order: bool = False
    half: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    tasks: int = 0
    lost: int = 0
    on: str = field(default_factory=lambda: f"{dt.datetime.now(dt.UTC):%Y-%m-%d}")
    steps: list[str] = field(default_factory=list)  # all steps of the command, as it told them undisturbed

    @property
    def key(self):
        return self.command, self.step, self.fault

    @property
    def name(self):
        return name_of(*self.key)

    def said(self, rc, output):
        """Take in how the command ended."""
        self.rc = rc
        whole = _message(output)
        self.message = first_line(output)
        if rc not in (0, KILLED):
            self.clear = bool(whole) and "\n  state: " in whole and not TRACEBACK.search(output)

    @property
    def outcome(self):
        """`well`, or the first thing that is not as it should be."""
        if not self.reached:
            return NOT_REACHED
        wrong = (
            (self.rc is None, "it did not end"),
            (self.rc not in (None, 0, KILLED, *FORESEEN), f"exit {self.rc}"),
            (not self.clear, "no clear message"),
            (self.lock_s is None, "the lock is held"),
            (bool(self.half), f"half-written: {', '.join(self.half[:2])}"),
            (not self.in_order, f"not in order after {', '.join(self.next)}"),
            (bool(self.differs), f"differs: {', '.join(self.differs[:2])}"),
            (self.lost > 0, f"{self.lost} of {self.tasks} tasks lost"),
        )
        return next((words for so, words in wrong if so), WELL)


def first_line(output):
    """Return the first line of the message that a command ended with; its last words where it has none."""
    return _message(output).partition("\n")[0] or output.strip().rpartition("\n")[2]


def _message(output):
    found = MESSAGE.search(output)
    return found[1] if found else ""


def name_of(command, step, fault):
    """Return the name by which a cell is asked for."""
    return f"{command} | {step} | {fault}"


def keep(cell, path=None):
    """Write a cell down, behind those that are there."""
    path = path or KEPT
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two processes may do so at once
        file.write(json.dumps(asdict(cell), ensure_ascii=False) + "\n")


def read(*paths):
    """Return the cells of these files, the later word on each; a file that is not there has none."""
    lines = [line for path in paths if path.exists() for line in path.read_text().splitlines() if line]
    cells = [Cell(**json.loads(line)) for line in lines]
    return list({cell.key: cell for cell in cells}.values())
