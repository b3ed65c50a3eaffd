"""The examples for Cloud Build and GitHub Actions: by their schemas, by Google's message, by what neither sees."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.cloudbuild_check import faults, seconds

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "examples" / "cloudbuild.yaml"
WORKFLOW = ROOT / "examples" / "github-actions.yaml"
TEXT = BUILD.read_text()


def schema_says(schema, path):
    """Return the exit code of check-jsonschema and what it says; its schemas are its own, nothing is fetched."""
    program = Path(sys.executable).with_name("check-jsonschema")
    argv = [program, "--builtin-schema", schema, path]
    done = subprocess.run(argv, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("schema", "path"), [("vendor.cloudbuild", BUILD), ("vendor.github-workflows", WORKFLOW)])
def test_the_schema_takes_it(schema, path):
    """The shapes are right."""
    assert schema_says(schema, path)[0] == 0


def test_nothing_is_wrong_with_the_build():
    """Google's message takes it whole, and every reference leads somewhere."""
    assert faults(TEXT) == []


MUTATIONS = [
    ("availableSecrets:", "availableSecret:", "availableSecret"),
    ("secretEnv: [GIT_KEY", "secretenv: [GIT_KEY", "secretenv"),
    ("versionName: projects/$PROJECT_ID/secrets/airfleet-git-key", "version: projects/x", '"version"'),
    ("logging: CLOUD_LOGGING_ONLY", "logging: CLOUD_LOGS", "CLOUD_LOGS"),
    ("timeout: 7200s", "timeout: 2h", "Duration"),
    ("timeout: 7200s", "timeout: 9999s", "the steps may take 10899 s, the build 9000 s"),
    ("    timeout: 7200s\n", "", "step deploy has no timeout"),
    ("  - id: deploy\n    name: python:3.12\n", "  - id: deploy\n", "step deploy has no image"),
    ("secretEnv: [SSH_KEY,", "secretEnv: [SSH_KEYS,", "step deploy: SSH_KEYS is not in availableSecrets"),
    ("secretEnv: [SSH_KEY,", "secretEnv: [", "step deploy: SSH_KEY is not its own"),
    ("${_AIRFLEET_BRANCH}", "${_BRANCH}", "$_BRANCH is no substitution: $$_BRANCH for the shell"),
    ("${_AIRFLEET_BRANCH}", "main", "_AIRFLEET_BRANCH is never used"),
    ('mkdir -p "$$HOME/.ssh"', 'mkdir -p "$HOME/.ssh"', "$HOME is no substitution: $$HOME for the shell"),
    ("  _POOL:", "  POOL: x\n  _POOL:", "POOL must begin with an underscore"),
    ("  logging: CLOUD_LOGGING_ONLY", "  machineType: E2_MEDIUM", "must say where the logs go"),
]


@pytest.mark.parametrize(("old", "new", "says"), MUTATIONS)
def test_a_mistake_is_found(old, new, says):
    """Each of these is a build that Cloud Build refuses, or that does not do what it says."""
    assert old in TEXT
    assert says in "\n".join(faults(TEXT.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("schema", "path", "old", "new"),
    [
        ("vendor.cloudbuild", BUILD, "logging: CLOUD", "loging: CLOUD"),
        ("vendor.github-workflows", WORKFLOW, "runs-on:", "runs_on:"),
        ("vendor.github-workflows", WORKFLOW, "timeout-minutes: 150", "timeout-minutes: [150]"),
    ],
)
def test_the_schema_finds_a_mistake(schema, path, old, new, tmp_path):
    """It is a schema that sees something."""
    wrong = tmp_path / path.name
    wrong.write_text(path.read_text().replace(old, new, 1))
    assert wrong.read_text() != path.read_text()
    assert schema_says(schema, wrong)[0] == 1


def steps_of(path):
    """Return what each step of an example runs, in one form for both."""
    document = yaml.safe_load(path.read_text())
    if "steps" in document:
        return {
            step["id"]: (step["args"][-1].replace("$$", "$"), seconds(step["timeout"], 0)) for step in document["steps"]
        }
    steps = document["jobs"]["deploy"]["steps"]
    return {step["name"]: (step.get("run", ""), step.get("timeout-minutes", 0) * 60) for step in steps}


@pytest.mark.parametrize("path", [BUILD, WORKFLOW])
def test_a_deploy_has_the_time_that_it_may_wait(path):
    """For the lock and for the tasks that run, one after the other, and a quarter of an hour beside."""
    script, timeout_s = steps_of(path)["deploy"]
    lock, tasks = (int(re.search(rf"--{name}-wait (\d+)", script)[1]) for name in ("lock", "max"))
    assert lock + tasks + 900 <= timeout_s


def test_both_examples_do_the_same():
    """The same uv from the lock, and the same command at the end."""
    locked = {each["name"]: each["version"] for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    for found in (steps_of(BUILD), steps_of(WORKFLOW)):
        assert f"uv=={locked['uv']}\n" in found["install"][0]
        assert "sync --quiet --frozen" in found["install"][0]
    build, workflow = (steps_of(path)["deploy"][0].splitlines() for path in (BUILD, WORKFLOW))
    assert build[-1] == f"exec {workflow[-1]}"
    assert [line for line in build if "printf" in line][:2] == [line for line in workflow if "printf" in line][:2]


def test_a_workflow_does_not_cut_a_deploy_off():
    """A second push waits; and what the job may take is what its steps may."""
    document = yaml.safe_load(WORKFLOW.read_text())
    assert document["concurrency"]["cancel-in-progress"] is False
    job = document["jobs"]["deploy"]
    assert sum(step.get("timeout-minutes", 5) for step in job["steps"]) <= job["timeout-minutes"]


def test_the_commands_of_the_examples_exist():
    """Their options are those of `fab deploy`."""
    help_of = subprocess.run(
        [Path(sys.executable).with_name("fab"), "--help", "deploy"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    for option in re.findall(r"--[a-z-]+", steps_of(BUILD)["deploy"][0].splitlines()[-1]):
        assert option in help_of
