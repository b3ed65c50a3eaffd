"""Every runbook is whole and can be run; every cause that the doctor knows has one, and the other way round."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from airfleet import runbooks
from airfleet.runbook import problems

ROOT = Path(__file__).parents[2]
PATHS = [path for path in sorted(runbooks.FOLDER.glob("*.md")) if path.name != runbooks.INDEX]


def commands():
    sys.path.insert(0, str(ROOT))
    import fabfile

    return frozenset(name.replace("_", "-") for name in fabfile.namespace.task_names)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_runbook_is_whole(path):
    """Its sections, its fences, its commands: what cannot be run is found before the night in which it is needed."""
    assert [] == problems(runbooks.find(path.stem), path.name, commands())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_its_links_lead_somewhere(path):
    """Runbooks send to each other only where there is one."""
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_cause_has_a_runbook_and_every_runbook_a_cause():
    """The name of a finding is the name of a runbook."""
    folder = ROOT / "airfleet" / "doctor"
    text = "\n".join(path.read_text() for path in folder.glob("*.py"))
    named = set(re.findall(r'Finding\(\s*"([a-z0-9-]+)"', text))
    named |= set(re.findall(r'beats\("\w+", "([a-z-]+)"', text)) | {"migration-pending", "version-skew"}
    later = {"api-server-down-kills-tasks", "jwt-mismatch"}  # of Airflow 3
    assert named | later == {path.stem for path in PATHS}


def test_the_index_is_current():
    """`make docs` writes it from the runbooks."""
    assert runbooks.index() == (runbooks.FOLDER / runbooks.INDEX).read_text()
