"""The rules of the house: floors, length, what imports what, help on every option."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS: dict[int, set[str]] = {}
for line in Path(__file__).with_name("floors.txt").read_text().splitlines():
    number, *names = line.split()
    if number != "#":
        FLOORS.setdefault(int(number), set()).update(names)
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names}
LONGEST = 300
IMPURE = {"os", "time", "subprocess", "socket", "threading", "random", "fabric", "paramiko", "invoke"}
READERS = {"secrets", "secrets_file"}  # read and write one file of the operator's, with its mode: that takes os
FOLDERS = ("airfleet", "tasks", "sandbox", "supply")
SOURCES = [*(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))), ROOT / "fabfile.py"]


def floor_of(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] != "airfleet":
        return 4
    return FLOOR_OF[parts[1].removesuffix(".py")] if parts[1] != "__init__.py" else 0


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(name):
    """Return the module of airfleet that an import means, without what is taken from it."""
    parts = name.split(".")
    return parts[1] if parts[0] == "airfleet" and len(parts) > 1 and parts[1] in FLOOR_OF else None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_says_what_it_is(path):
    """At most 300 lines, and a docstring that names the room."""
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", [p for p in SOURCES if p.is_relative_to(ROOT / "airfleet")], ids=lambda p: p.stem)
def test_a_file_imports_only_from_its_floor_or_below(path):
    """No floor reaches up."""
    reached_up = [name for name in imports_of(path) if (to := ours(name)) and FLOOR_OF[to] > floor_of(path)]
    assert reached_up == []
    assert [name for name in imports_of(path) if name.split(".")[0] in ("tasks", "sandbox", "supply", "fabfile")] == []


@pytest.mark.parametrize("name", sorted((FLOORS[0] | FLOORS[1]) - READERS))
def test_a_deciding_module_does_nothing(name):
    """Floors 0 and 1 import nothing that acts, waits or asks the system."""
    place = ROOT / "airfleet" / name
    paths = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    found = {imported.split(".")[0] for path in paths for imported in imports_of(path)}
    assert found & IMPURE == set()


def test_every_module_has_its_floor():
    """A new room is given its floor here."""
    names = {p.stem if p.suffix else p.name for p in (ROOT / "airfleet").iterdir() if p.name[0] not in "._"}
    assert set(FLOOR_OF) == names - {"__init__", "__pycache__"}


def test_the_agent_needs_only_the_standard_library():
    """It runs on whatever python3 a host has."""
    allowed = sys.stdlib_module_names | {"airfleet"}
    # programs for the target's environment
    inside = {
        "yaml",
        "airflow",
        "celery",
        "cryptography",
        "psycopg2",
        "kombu",
        "redis",
        "sqlalchemy",
        "google",
        "google_crc32c",
    }
    for path in sorted((ROOT / "airfleet" / "agent").glob("*.py")):
        found = {name.split(".")[0] for name in imports_of(path)} - allowed
        if path.stem.startswith("inside_") or path.stem == "catalogue":
            found -= inside
        assert found == set(), path.name


def test_a_task_module_imports_no_other():
    """Tasks share the door and the screen, nothing else."""
    for path in sorted((ROOT / "tasks").glob("*.py")):
        found = {name.split(".")[1] for name in imports_of(path) if name.startswith("tasks.")}
        assert found <= {"door", "screen"}, path.name


def test_nobody_imports_what_is_private():
    """A name that begins with an underscore stays in its module."""
    for path in SOURCES:
        found = [name for name in imports_of(path) if name.split(".")[0] in FOLDERS]
        assert [name for name in found if name.split(".")[-1].startswith("_") and not name.endswith("__")] == [], path


def test_what_tests_share_is_in_no_test_module():
    """It has a room of its own, so that none of them breaks when another one is edited."""
    modules = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        assert [name for name in imports_of(path) if modules.intersection(name.split("."))] == [], path


def commands():
    """Return every task by the name under which it is typed."""
    sys.path.insert(0, str(ROOT))
    import fabfile

    return {name: fabfile.namespace[name] for name in fabfile.namespace.task_names}


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_has_help(name):
    """`fab --help COMMAND` explains the command and each of its options."""
    task = commands()[name]
    assert task.__doc__
    assert [argument.name for argument in task.get_arguments() if not argument.help] == []


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_in_the_readme(name):
    """A command that nobody reads of does not exist."""
    assert f"fab {name.replace('_', '-')}" in (ROOT / "README.md").read_text()


def test_the_page_of_commands_is_current():
    """docs/commands.md is what `make docs` writes from the commands' own help."""
    fab = Path(sys.executable).with_name("fab")
    done = subprocess.run([fab, "commands"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "commands.md").read_text() == done.stdout


def test_fabs_own_dry_run_is_refused():
    """`fab --dry` would run some steps and print others: exit 2, and a word about --dry-run."""
    fab = Path(sys.executable).with_name("fab")
    done = subprocess.run([fab, "--dry", "plan"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--dry-run" in done.stderr


def test_the_shipped_inventory_contacts_nobody():
    """inventory.yaml is valid but names example addresses: exit 2 and a pointer to `make demo`."""
    fab = Path(sys.executable).with_name("fab")
    done = subprocess.run([fab, "plan"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "make demo" in done.stderr
