"""Every runbook is whole and can be run; every cause that the doctor knows has one, and the other way round."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from airfleet import runbooks
from airfleet.runbook import FENCE, problems

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


def typed(text):
    """Yield each command of ours in a text: those in fences, and those within a line that are whole."""
    for language, _, body in FENCE.findall(text):
        if language == "fab":
            yield from (line for line in body.splitlines() if line.strip())
    yield from re.findall(r"`(fab [^`…]+)`", FENCE.sub("", text))


@pytest.fixture(scope="module")
def options():
    """Return {command: its options}."""
    sys.path.insert(0, str(ROOT))
    import fabfile

    return {
        name.replace("_", "-"): {
            f"--{each.replace('_', '-')}" for arg in fabfile.namespace[name].get_arguments() for each in arg.names
        }
        for name in fabfile.namespace.task_names
    }


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_command_of_ours_is_one_that_can_be_typed(path, options):
    """Its name and its options are known; that holds for those in the text as well as in the fences."""
    for command in typed(path.read_text()):
        name, *words = shlex.split(command)[1:]
        assert name in options, command
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options[name], command


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_shell_fence_can_be_parsed(path):
    """By the shell that runs it, in the fence's own words; also those that are only to be read."""
    for language, tags, body in FENCE.findall(path.read_text()):
        if language == "sh":
            done = subprocess.run(["sh", "-n"], input=body, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, ""), f"{tags}: {body}"


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
