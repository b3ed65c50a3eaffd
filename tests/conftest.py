"""How tests are shared out to the processes of a run (pytest-xdist)."""

from __future__ import annotations

import re

VERSION = re.compile(r"[\[-](\d+\.\d+\.\d+)[\]-]")


def scope_of(nodeid):
    """Return what a test belongs to: an installation of Airflow, which one process has, or its module."""
    path = nodeid.partition("::")[0]
    found = VERSION.search(nodeid) if "live/" in path else None
    return found[1] if found else path


def next_scope(waiting):
    """Return which of the scopes that wait goes next: installations, which take longest, then what needs no machine."""
    ranks = {scope: (not VERSION.fullmatch(f"[{scope}]"), "live/" in scope) for scope in waiting}
    return min(waiting, key=ranks.__getitem__)


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

    return ByScope(config, log)
