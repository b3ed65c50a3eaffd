"""How the tests are shared out to the processes of a run."""

from __future__ import annotations

from tests.conftest import next_scope, scope_of

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
