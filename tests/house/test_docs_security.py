"""docs/security.md: what it claims is tied to tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "security.md").read_text())


def test_it_names_tests():
    """Or there would be nothing to look at."""
    assert len(NAMED) > 10


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda value: value.rpartition("/")[2])
def test_a_test_that_is_named_is_there(path, name):
    """Under that name, in that file."""
    assert re.search(rf"^ *def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
