"""`fab inventory.from-terraform` as it is typed: from a file, from stdin, from terraform itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = ROOT / "tests" / "pure" / "data" / "terraform-outputs.json"


@pytest.fixture
def folder(tmp_path):
    """A folder with the shipped inventory."""
    shutil.copy(ROOT / "inventory.yaml", tmp_path)
    (tmp_path / "inventory.yaml").chmod(0o640)
    return tmp_path


def fab(folder, *words, given=None, path=os.environ["PATH"]):
    """Type a command; the folder is where the inventories are."""
    env = {**os.environ, "AIRFLEET_ROOT": str(folder), "AIRFLEET_ENV": "", "PATH": path}
    argv = [Path(sys.executable).with_name("fab"), "--search-root", ROOT, *words]
    return subprocess.run(argv, input=given, env=env, capture_output=True, text=True, cwd=folder)


def test_a_diff_first_and_only_then_the_file(folder):
    """Without --write nothing is written, exit 10; with it the inventory passes, and then it is in order."""
    inventory = folder / "inventory.yaml"
    before = inventory.read_text()
    seen = fab(folder, "inventory.from-terraform", "--file", str(OUTPUTS))
    assert (10, before) == (seen.returncode, inventory.read_text())
    assert "nothing was written" in seen.stderr
    assert {"+    address: 10.20.0.2", "-    address: 192.0.2.10"} <= set(seen.stdout.splitlines())
    done = fab(folder, "inventory.from-terraform", "--file", str(OUTPUTS), "--write")
    assert (0, 0o640) == (done.returncode, inventory.stat().st_mode & 0o777)
    assert done.stdout.startswith(seen.stdout)
    assert 0 == fab(folder, "inventory.check").returncode
    again = fab(folder, "inventory.from-terraform", "--file", "-", given=OUTPUTS.read_text())
    assert (0, "inventory.yaml: in order: it says what Terraform does\n") == (again.returncode, again.stdout)
    assert [inventory] == list(folder.iterdir())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            '{"hosts": {"sensitive": false, "value": {"a": {"address": "x", "roles": ["wroker"]}}}}',
            "'wroker' is not one",
        ),
        ("not JSON: [", "not YAML"),
    ],
)
def test_what_does_not_fit_is_exit_2(folder, given, words):
    """Nothing is written, and each error has its name."""
    before = (folder / "inventory.yaml").read_text()
    done = fab(folder, "inventory.from-terraform", "--file", "-", "--write", given=given)
    assert (2, before) == (done.returncode, (folder / "inventory.yaml").read_text())
    assert words in done.stderr


def test_a_file_that_is_not_there(folder):
    """It is named."""
    done = fab(folder, "inventory.from-terraform", "--file", "absent.json")
    assert (2, True) == (done.returncode, "absent.json: can't be read" in done.stderr)


def test_no_terraform(folder):
    """Where it isn't installed, the message says what to do on the computer where it is."""
    done = fab(folder, "inventory.from-terraform", path="/nowhere")
    assert (2, True) == (done.returncode, "terraform output -json > outputs.json" in done.stderr)


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on the path: install 1.11 or newer")
def test_terraform_itself_is_asked(folder):
    """The outputs of the state in terraform/ are taken; without a state what terraform says is passed on."""
    place = folder / "terraform"
    place.mkdir()
    nothing = fab(folder, "inventory.from-terraform")
    assert (2, True) == (nothing.returncode, "hosts: is missing" in nothing.stderr), nothing.stderr
    known = {name: each["value"] for name, each in json.loads(OUTPUTS.read_text()).items() if not each["sensitive"]}
    outputs = "".join(
        f"output {json.dumps(name)} {{\n  value = {json.dumps(each)}\n}}\n" for name, each in known.items()
    )
    (place / "outputs.tf").write_text(outputs)
    env = {**os.environ, "CHECKPOINT_DISABLE": "1"}
    argv = ["terraform", f"-chdir={place}", "apply", "-auto-approve"]
    subprocess.run(argv, env=env, check=True, capture_output=True)
    done = fab(folder, "inventory.from-terraform", "--write")
    assert 0 == done.returncode, done.stderr
    assert "10.20.0.3" in (folder / "inventory.yaml").read_text()
