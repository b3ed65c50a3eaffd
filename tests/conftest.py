"""How tests are shared out to the processes of a run (pytest-xdist)."""

from __future__ import annotations

import re

VERSION = re.compile(r"[\[-](\d+\.\d+\.\d+)[\]-]")


def scope_of(nodeid):
    """Return what a test belongs to: an installation of Airflow, which one process has, or its module."""
    path = nodeid.partition("::")[0]
    found = VERSION.search(nodeid) if "live/" in path else None
    return found[1] if found else path


def pytest_xdist_make_scheduler(config, log):
    """Give all tests of an installation, and all of a module, to one process: what they set up is dear."""
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return scope_of(nodeid)

    return ByScope(config, log)
