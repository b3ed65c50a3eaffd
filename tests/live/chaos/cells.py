"""One cell: the command is typed, the fault strikes at its step, and what became of all is written down."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time

from tests.live.chaos import state
from tests.live.chaos.faults import Hit
from tests.live.chaos.record import Cell, first_line
from tests.live.chaos.steps import Reader
from tests.live.chaos.tasks import Tasks

STEP_S = 900  # until the command comes to the step
END_S = 1200  # until it has ended after that
LOCK_S = 150  # a host that hears nothing of an operator gives up after 90 s
POLL_S = 0.5
LOCK = ("flock", "--nonblock", "/run/airfleet.lock", "true")


class Operator:
    """A command that is watched line by line, and stands still as soon as it says that it begins the step."""

    def __init__(self, child, step):
        self.child = child
        self._step = step
        self._lines = []
        self._turn = threading.Event()  # the step is there, or the output has ended
        self._there = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        reader = Reader()
        for line in self.child.stdout:
            self._lines.append(line)
            if reader.feed(line) == self._step and not self._there:
                self._there = True
                self._signal(signal.SIGSTOP)
                self._turn.set()
        self._turn.set()

    def comes_to_it(self):
        """Tell whether it has come to its step, and stands still there."""
        self._turn.wait(STEP_S)
        return self._there

    def go_on(self):
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def ended(self, within_s):
        """Return its exit code once it has ended; None if it has not within that time."""
        try:
            return self.child.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            return None

    def end(self):
        """End it by force where it still runs, and return what it said."""
        self._signal(signal.SIGKILL)
        self.child.wait()
        self._thread.join()
        return "".join(self._lines)

    def _signal(self, number):
        if self.child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, number)


def run(ground, command, step, fault, undisturbed):
    """Run one cell; `undisturbed` is what is on the hosts after a run that nothing disturbed."""
    command.dirty(ground)
    before = state.look(ground.installation, ground.hosts)
    tasks = Tasks(ground, wanted=command.drains and fault.spares_tasks)
    operator = Operator(ground.installation.start(*command.words), step)
    cell = Cell(command.name, command.airflow, str(step), fault.name)
    if not operator.comes_to_it():
        cell.said(operator.ended(END_S), operator.end())
        cell.reached = False
        _settle(ground, command, cell)
        return cell
    began = time.monotonic()
    cell.host = step.host if step.host in ground.hosts else ground.core
    hit = Hit(ground.installation, cell.host, ground.core, operator.child)
    try:
        try:
            fault.strike(hit)
            operator.go_on()
            operator.ended(fault.lasts_s)
        finally:
            fault.mend(hit)
            operator.go_on()
        rc = operator.ended(END_S)
        cell.seconds = round(time.monotonic() - began, 1)
    finally:
        said = operator.end()
    cell.said(rc, said)
    cell.lock_s = _free(ground)
    then = state.look(ground.installation, ground.hosts)
    _settle(ground, command, cell)
    at_the_end = state.look(ground.installation, ground.hosts)
    cell.half = state.half_written(then, before, at_the_end)
    cell.differs = state.differing(at_the_end, undisturbed)
    cell.tasks, cell.lost = tasks.verdict()
    return cell


def _settle(ground, command, cell):
    """Type what an operator types next, until all is in order; a command that ended well needs nothing more."""
    if cell.rc == 0 and ground.in_order():
        cell.in_order = True
        return
    for way in command.ways:
        for words in way:
            done = ground.fab(*words)
            cell.next.append(f"{words[0]} {done.returncode}")
            if done.returncode:
                cell.next_said = first_line(done.stderr)
        if done.returncode == 0 and ground.in_order():
            cell.in_order = True
            return


def _free(ground):
    """Return after how many seconds the lock is free; None where it is not."""
    began = time.monotonic()
    while ground.installation.on(ground.core, "sh", "-c", f"{' '.join(LOCK)} && echo free", check=False) == "":
        if time.monotonic() - began > LOCK_S:
            return None
        time.sleep(POLL_S)
    return round(time.monotonic() - began, 1)
