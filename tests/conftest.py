"""How tests are shared out to the processes of a run (pytest-xdist), and that each run tries the same."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

VERSION = re.compile(r"[\[-](\d+\.\d+\.\d+)[\]-]")


if os.environ.get("AIRFLEET_FUZZ") != "full":
    # The same examples in each run: no chance, and none of the words of whatever modules are loaded by then.
    settings.register_profile("ordinary", derandomize=True)
    settings.load_profile("ordinary")
    pytest.MonkeyPatch().setattr(providers, "_get_local_constants", providers.Constants)


def scope_of(nodeid):
    """Return what a test belongs to: an installation of Airflow, which one process has, or its module."""
    path = nodeid.partition("::")[0]
    found = VERSION.search(nodeid) if "live/" in path else None
    return found[1] if found else path


def next_scope(waiting):
    """Return which of the scopes that wait goes next: installations, which take longest, then what needs no machine."""
    ranks = {scope: (not VERSION.fullmatch(f"[{scope}]"), "live/" in scope) for scope in waiting}
    return min(waiting, key=ranks.__getitem__)


def left_of(workload):
    """Return the test that a process died of (None: of none), and what else of its {scope: {test: done}} is left."""
    left = {scope: {test: False for test, done in unit.items() if not done} for scope, unit in workload.items()}
    crashed = next((test for unit in left.values() for test in unit), None)
    for unit in left.values():
        unit.pop(crashed, None)
    return crashed, {scope: unit for scope, unit in left.items() if unit}


def pytest_xdist_make_scheduler(config, log):
    """Give all tests of an installation, and all of a module, to one process: what they set up is dear.

    Where each test may go anywhere (`--dist=load`), xdist's own way is taken.
    """
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return scope_of(nodeid)

        def _assign_work_unit(self, node):
            self.workqueue.move_to_end(next_scope(list(self.workqueue)), last=False)
            super()._assign_work_unit(node)

        def schedule(self):
            super().schedule()
            for node in self.nodes:  # one that came late as well: it begins with the first test once it knows a second
                self._reschedule(node)

        def remove_node(self, node):
            """Give on what a process that died had not done; xdist itself gives on what is done, and waits for it."""
            crashed, left = left_of(self.assigned_work.pop(node))
            self.workqueue.update(left)
            for other in self.assigned_work:
                self._reschedule(other)
            return crashed

    return ByScope(config, log)
