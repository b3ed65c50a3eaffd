"""docs/drills.md: every runbook stands in the part of each generation that it is for, drilled or with its reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airfleet import runbooks
from airfleet.generations import GENERATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "drills.md").read_text()
VERSIONS = [version for generation in GENERATIONS for version in generation.versions]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_runbook_is_there(version):
    """A new one makes the page stale."""
    part = re.search(rf"^## Airflow {re.escape(version)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    named = set(re.findall(r"\(runbooks/([\w-]+)\.md\)", part))
    assert named == {book.id for book in runbooks.all_of() if book.is_for(int(version[0]))}


def test_none_is_left_that_has_not_passed():
    """Such a line is written by a run in which it failed."""
    assert "**not passed**" not in PAGE
