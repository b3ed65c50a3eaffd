"""Hosts that take the distribution's Python instead of building one: `python: system`. Everything here is real."""

from __future__ import annotations

import pytest

from tests.live.conftest import TWO

pytestmark = [pytest.mark.live, pytest.mark.timeout(1500)]


def test_hosts_with_the_distributions_python(first):
    """Bootstrapped whole, every service well, nothing built; the second look finds everything in order."""
    if first.installation.airflow != TWO:
        pytest.skip("it has a Python that pyenv built")
    assert "worker1@af2 ran a task" in first.output
    for host in ("af1", "af2"):
        python = first.installation.on(host, "readlink", "-f", "/home/airflow/.pyenv/versions/.venv/bin/python")
        assert python.strip() == "/usr/bin/python3.11"
        assert first.installation.on(host, "ls", "-A", "/home/airflow/.pyenv").split() == ["versions"]
    assert first.installation.fab("plan").stdout.startswith("in order")
