"""How tests are shared out to the processes of a run (pytest-xdist)."""

from __future__ import annotations

import re

VERSION = re.compile(r"[\[-](\d+\.\d+\.\d+)[\]-]")


def scope_of(nodeid):
    """Return what a test belongs to: an installation of Airflow, which one process has, or its module."""
    path = nodeid.partition("::")[0]
    found = VERSION.search(nodeid) if "live/" in path else None
    return found[1] if found else path


def next_scope(waiting, begun):
    """Return which of the scopes that wait goes next: a first installation, what needs no machine, then the others.

    The first to install builds images and a Python while all others would only wait for them.
    """
    installations = [scope for scope in waiting if _is_installation(scope)]
    if installations and not any(map(_is_installation, begun)):
        return installations[0]
    return next((scope for scope in waiting if "live/" not in scope and scope not in installations), waiting[0])


def _is_installation(scope):
    return bool(VERSION.fullmatch(f"[{scope}]"))


def pytest_xdist_make_scheduler(config, log):
    """Give all tests of an installation, and all of a module, to one process: what they set up is dear."""
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        begun = frozenset()

        def _split_scope(self, nodeid):
            return scope_of(nodeid)

        def _assign_work_unit(self, node):
            scope = next_scope(list(self.workqueue), self.begun)
            self.begun |= {scope}
            self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    return ByScope(config, log)
