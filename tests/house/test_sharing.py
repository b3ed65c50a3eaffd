"""How the tests are shared out to the processes of a run."""

from __future__ import annotations

import shutil
import subprocess
import sys

from tests import conftest
from tests.conftest import left_of, next_scope, scope_of

DIES = "import os\n\ndef test_a(): pass\ndef test_it_dies(): os._exit(1)\ndef test_b(): pass\n"
LIVES = "def test_c(): pass\n"

WAITING = ["2.11.2", "tests/pure/test_plan.py", "3.3.2", "tests/live/test_sandbox.py", "tests/agent/test_lock.py"]


def test_what_belongs_together():
    """All tests of an installation, whatever their module; a module without one."""
    assert scope_of("tests/live/test_deploy.py::test_it[3.3.2-a b]") == "3.3.2"
    assert scope_of("tests/live/test_sandbox.py::test_it") == "tests/live/test_sandbox.py"
    assert scope_of("tests/pure/test_generations.py::test_it[3.3.2]") == "tests/pure/test_generations.py"


def test_the_longest_begins_first():
    """Both installations, each in a process; a third one has what needs no machine; then the rest, whoever is free."""
    order, waiting = [], list(WAITING)
    while waiting:
        order.append(next_scope(waiting))
        waiting.remove(order[-1])
    assert order == [WAITING[0], WAITING[2], WAITING[1], WAITING[4], WAITING[3]]


def test_what_a_process_that_died_leaves():
    """The test that it died of is not begun again, and what is done is not given to anybody."""
    workload = {"a": {"a1": True, "a2": True}, "b": {"b1": True, "b2": False, "b3": False}, "c": {"c1": False}}
    assert left_of(workload) == ("b2", {"b": {"b3": False}, "c": {"c1": False}})
    assert left_of({"a": {"a1": True}}) == (None, {})


def test_a_process_that_dies_costs_one_test(tmp_path):
    """All others are run, by whoever takes its place, and the run ends."""
    shutil.copy(conftest.__file__, tmp_path)
    for number in range(12):
        (tmp_path / f"test_{number}.py").write_text(DIES if number == 5 else LIVES)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--numprocesses=2", "--dist=loadscope"]
    done = subprocess.run([*argv, tmp_path], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "1 failed, 13 passed" in done.stdout, done.stdout
