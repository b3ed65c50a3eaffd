"""Every runbook with a drill is drilled on real machines: the doctor names the fault and only it, the fix mends it.

The quickest of them are among the tests; AIRFLEET_DRILLS=all (`make drills`) runs all, and writes docs/drills.md.
"""

from __future__ import annotations

import os

import pytest

from airfleet import runbooks
from tests.live import drill, drills_page
from tests.live.conftest import THREE, TWO

VERSIONS = (TWO, THREE)
pytestmark = [pytest.mark.live, pytest.mark.timeout(1500)]

QUICK = (
    *("redis-refuses-writes", "redis-down", "unit-drift", "worker-drained", "port-or-pidfile", "dag-checkout-drift"),
)
ALL = os.environ.get("AIRFLEET_DRILLS") == "all"
BOOKS = [book for book in runbooks.all_of() if any(book in drill.drillable(each) for each in VERSIONS)]


@pytest.mark.parametrize("book", [book for book in BOOKS if ALL or book.id in QUICK], ids=lambda book: book.id)
def test_a_drill(installation, book):
    """Broken on purpose: named within its time, confirmed, mended twice over, well again."""
    if book.id not in {each.id for each in drill.drillable(installation.airflow)}:
        pytest.skip(f"it does not befall Airflow {installation.airflow}")
    drills_page.keep(installation.airflow, book, drill.run(installation, book))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_runbook_is_drilled_or_says_why_not(version):
    """One without a drill gives its reason."""
    assert {name for name, why in drill.never(version).items() if not why} == set()


def test_no_false_alarm_on_a_healthy_installation(installation):
    """The doctor, asked again and again, finds nothing."""
    for _ in range(50 if ALL else 5):
        assert drill.named(drill.look(installation)) == []


@pytest.mark.skipif(not ALL, reason="only `make drills` runs them all, and writes the page")
def test_the_page_is_written(installation):
    """docs/drills.md has a line for each runbook."""
    version = installation.airflow
    assert drills_page.write(version, drill.drillable(version), drill.never(version)) == []
