"""docs/drills.md: what is kept of a drill, and what is written of it."""

from __future__ import annotations

from collections import Counter

import pytest

from airfleet import runbooks
from tests.live import drills_page
from tests.live.drill import Drilled


@pytest.fixture
def page(monkeypatch, tmp_path):
    """The page, in a folder of the test's own."""
    monkeypatch.setattr(drills_page, "PAGE", tmp_path / "drills.md")
    monkeypatch.setattr(drills_page, "KEPT", tmp_path / "kept")
    return tmp_path / "drills.md"


def test_a_version_has_its_part_and_keeps_the_others(page):
    """What was said before the fault was named is told; what has not passed is named, and returned."""
    down, full = runbooks.find("redis-down"), runbooks.find("disk-full")
    said = Counter({"": 2, "worker-wedged": 1, "redis-down": 3})
    drills_page.keep("2.11.2", down, Drilled("redis-down", 12.4, 5.6, said))
    assert drills_page.write("2.11.2", [down, full], {"oom-killed": "no limit here."}) == ["disk-full"]
    drills_page.keep("3.3.2", full, Drilled("disk-full", 1.0, 2.0, Counter({"disk-full": 3})))
    assert drills_page.write("3.3.2", [full], {}) == []
    text = page.read_text()
    assert text.index("## Airflow 3.3.2") < text.index("## Airflow 2.11.2")
    assert "1 of 2 faults were named right, each alone. Taken for something else at first: worker-wedged." in text
    assert "(runbooks/redis-down.md) | nothing yet (2 ×), worker-wedged (1 ×) | 12 s | 6 s |" in text
    assert "(runbooks/disk-full.md) | **not passed**" in text
    assert "* [oom-killed](runbooks/oom-killed.md): no limit here." in text


def test_a_changed_runbook_is_to_be_drilled_again(page, monkeypatch):
    """What passed was another text."""
    book = runbooks.find("redis-down")
    drills_page.keep("2.11.2", book, Drilled("redis-down"))
    monkeypatch.setattr(drills_page, "_digest", lambda _: "another")
    assert drills_page.write("2.11.2", [book], {}) == ["redis-down"]
