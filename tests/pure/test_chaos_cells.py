"""One cell of the matrix from end to end, with a program in place of the command and a host that only answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.live.chaos import cells, state
from tests.live.chaos.faults import Fault, OperatorKilled
from tests.live.chaos.steps import Step

STEP = Step("", "af2: link current")
SAID = "[    1 s]   af1: link current\n[    1 s]   af2: link current\n"
PROGRAM = "import sys\nprint(sys.argv[1], end='', flush=True)\nsys.stdin.readline()\nsys.exit({})"


class Host:
    """Answers what a look and the lock ask; `current` is what a fault changes and the next run mends."""

    def __init__(self, rc=0, *, mends=True):
        self.current, self.rc, self.mends, self.typed = "new", rc, mends, []
        self.child = None

    def secret_values(self):
        return {}

    def on(self, _, *argv, **__):
        if argv[0] == "python3":
            return json.dumps({"/current": ["0o120777", 0, 0, self.current]})
        return "free\n"

    def start(self, *_):
        words = [sys.executable, "-c", PROGRAM.format(self.rc), SAID]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.child = subprocess.Popen(words, **pipes, start_new_session=True)
        return self.child

    def fab(self, *words, rc=None):
        self.typed.append(" ".join(words))
        if words[0] == "bootstrap" and self.mends:
            self.current = "new"
        return SimpleNamespace(
            returncode=0 if words[0] != "deploy" or self.current == "new" else 8, stderr="airfleet: x"
        )


class Breaks(Fault):
    """Changes what is there while the command stands still, and lets it end."""

    name = "breaks"
    spares_tasks = True

    def strike(self, hit):
        assert os.WIFSTOPPED(os.waitpid(hit.operator.pid, os.WUNTRACED)[1])
        hit.installation.current = "other"
        hit.operator.stdin.close()
        self.struck = hit.host

    def mend(self, hit):
        self.mended = True


def run(host, fault, step=STEP):
    """Run a cell of `deploy` on two such hosts; the first run leaves both with `new`."""
    command = SimpleNamespace(
        name="deploy", airflow="3.3.2", words=("deploy",), dirty=lambda _: None, drains=False,
        ways=((("deploy",),), (("bootstrap",), ("deploy",))),
    )  # fmt: skip
    ground = SimpleNamespace(
        installation=host, hosts=("af1", "af2"), core="af1", api=None, fab=host.fab,
        in_order=lambda: host.current == "new",
    )  # fmt: skip
    return cells.run(ground, command, step, fault, state.look(host, ground.hosts))


def test_a_fault_strikes_at_its_step_and_the_next_run_mends():
    """On the host of the step; what was typed then is noted, and the end is compared."""
    host, fault = Host(), Breaks()
    cell = run(host, fault)
    assert (fault.struck, fault.mended, cell.host, cell.rc) == ("af2", True, "af2", 0)
    assert cell.next == ["deploy 8", "bootstrap 0", "deploy 0"]
    assert cell.next_said == "x"
    assert (cell.in_order, cell.differs, cell.outcome) == (True, [], "well")


def test_what_no_run_mends_is_said():
    """The cell is not well, and names what it is left with."""
    cell = run(Host(mends=False), Breaks())
    assert cell.outcome == "not in order after deploy 8, bootstrap 0, deploy 8"
    assert cell.differs == ["af1 /current", "af2 /current"]


def test_a_killed_operator_says_nothing_and_the_same_command_follows():
    """Its exit code is the signal's."""
    cell = run(Host(), OperatorKilled())
    assert (cell.rc, cell.next, cell.outcome) == (-signal.SIGKILL, ["deploy 0"], "well")


def test_a_command_that_ends_without_a_message_is_not_well():
    """Exit 5 and no word."""
    assert run(Host(rc=5), Breaks()).outcome == "no clear message"


def test_a_step_that_does_not_come_is_no_cell(monkeypatch):
    """Nothing strikes, and the run is mended like any other."""
    monkeypatch.setattr(cells, "STEP_S", 0.5)
    monkeypatch.setattr(cells, "END_S", 0)
    cell = run(Host(), Breaks(), Step("", "af3: link current"))
    assert (cell.reached, cell.outcome, cell.next) == (False, "step not reached", ["deploy 0"])


def test_a_fault_that_can_not_strike_leaves_nothing_behind():
    """It is mended, and the command has ended."""

    class Fails(Breaks):
        def strike(self, hit):
            raise OSError

    host, fault = Host(), Fails()
    with pytest.raises(OSError):
        run(host, fault)
    assert fault.mended
    assert host.child.poll() == -signal.SIGKILL
