"""How the tests are shared out to two processes: neither waits for what the other builds."""

from __future__ import annotations

from tests.conftest import next_scope, scope_of

WAITING = ["2.11.2", "tests/pure/test_plan.py", "3.3.2", "tests/live/test_sandbox.py", "tests/agent/test_lock.py"]


def test_what_belongs_together():
    """All tests of an installation, whatever their module; a module without one."""
    assert scope_of("tests/live/test_deploy.py::test_it[3.3.2-a b]") == "3.3.2"
    assert scope_of("tests/live/test_sandbox.py::test_it") == "tests/live/test_sandbox.py"
    assert scope_of("tests/pure/test_generations.py::test_it[3.3.2]") == "tests/pure/test_generations.py"


def test_one_process_installs_while_the_other_tests_what_needs_no_machine():
    """The second installation comes when the Python that the first has built is there."""
    begun = []
    for _ in WAITING:
        begun.append(next_scope([scope for scope in WAITING if scope not in begun], set(begun)))
    assert begun == [
        "2.11.2",
        "tests/pure/test_plan.py",
        "tests/agent/test_lock.py",
        "3.3.2",
        "tests/live/test_sandbox.py",
    ]
