"""How tests are shared out to the processes of a run."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items):
    """Give each installation of Airflow to one process, and all else by its modules: what a module sets up is dear."""
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        airflow = params.get("airflow") if item.path.parent.name == "live" else None
        item.add_marker(pytest.mark.xdist_group(airflow or str(item.path)))
