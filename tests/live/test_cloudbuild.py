"""The steps of examples/cloudbuild.yaml on booted machines: a push is deployed, a second build waits, the gate says no.

Each step runs in a clean root with what it would have there (tests/cloudbuild_runner.py); git server, SSH and hosts are
the sandbox's. What a build does with wrong keys is tried in tests/flows/test_cloudbuild_run.py.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml

from sandbox.site import REPOSITORY
from tests import cloudbuild_runner
from tests.cloudbuild_runner import Place
from tests.live.conftest import ENV, Installation, wait_for
from tests.live.team import DAG, both, currents

if TYPE_CHECKING:
    from pathlib import Path

GATED = "" if os.environ.get("AIRFLEET_GOOGLE") == "all" else "only `make google` runs builds against machines"
pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(bool(why := GATED or cloudbuild_runner.possible("git", "ssh")), reason=why),
]

BUILD = cloudbuild_runner.load(REPOSITORY / "examples" / "cloudbuild.yaml")
PARTS = ("airfleet", "tasks", "templates", "fabfile.py", "pyproject.toml", "uv.lock")
OPS = "/srv/git/ops.git"


@dataclass
class Builds:
    """What the trigger and Secret Manager have, and the place of a build whose packages are there."""

    installation: Installation
    substitutions: dict[str, str]
    secrets: dict[str, str]
    place: Place

    def run(self, commit, number, *, place=None, steps=None):
        """Run the build of a commit; return its steps as far as they came."""
        given = {**self.substitutions, "COMMIT_SHA": commit, "BUILD_ID": f"b-{number}"}
        return cloudbuild_runner.run(BUILD, place or self.place, given, self.secrets, steps=steps)

    def deploy(self, commit, number, *, place=None):
        """Run the last step alone, where the others have run."""
        (done,) = self.run(commit, number, place=place, steps=("deploy",))
        return done

    def another(self, folder: Path) -> Place:
        """Return the place of a second build that came as far as the first."""
        place = Place(folder)
        shutil.copytree(self.place.workspace, place.workspace, symlinks=True, dirs_exist_ok=True)
        return place


def ops_repository(installation, team, folder):
    """Push airfleet with the installation's inventory, as a team would keep it, to the sandbox's git server."""
    for name in PARTS:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder / name)
    value = yaml.safe_load(installation.inventory.read_text())
    source = REPOSITORY / "sandbox" / "constraints"
    shutil.copytree(source, folder / "constraints")
    value["airflow"]["constraints"] = "constraints/" + value["airflow"]["constraints"].rpartition("/")[2]
    value["ssh"] = {"user": value["ssh"]["user"]}  # a build has key and host keys where they are by default
    (folder / f"inventory.{ENV}.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    installation.on("svc", "git", "init", "--quiet", "--bare", "--initial-branch=main", OPS)
    installation.on("svc", "chown", "--recursive", "git:", OPS)
    address = f"ssh://git@{installation.machines['svc'].address}{OPS}"
    team.git("init", "--quiet", "--initial-branch=main", cwd=folder)
    team.git("add", "--all", cwd=folder)
    team.git("commit", "--quiet", "--message", "our installation", cwd=folder)
    team.git("push", "--quiet", address, "HEAD:main", cwd=folder)
    return address


@pytest.fixture(scope="module")
def builds(first, team, tmp_path_factory):
    """A trigger on the repository of the DAGs, and everything that docs/google-cloud-build.md has one set up."""
    installation = first.installation
    site = installation.site
    key = site.identity.read_text()
    secrets = {
        "airfleet-git-key": site.deploy_key.read_text(),
        "airfleet-ssh-key": key,
        "airfleet-known-hosts": site.known_hosts.read_text(),
        "airfleet-secrets": installation.secrets.read_text(),
    }
    address = ops_repository(installation, team, tmp_path_factory.mktemp("ops"))
    substitutions = {"_AIRFLEET": address, "_AIRFLEET_ENV": ENV, "PROJECT_ID": "demo"}
    yield Builds(installation, substitutions, secrets, Place(tmp_path_factory.mktemp("build")))
    installation.on("svc", "rm", "-r", OPS)


def test_a_push_is_deployed(builds, team):
    """All three steps end with 0; both hosts are on the commit; the history names the build; nothing is pending."""
    commit = team.push("by a build", built=DAG.format(dag="built", queue="default"))
    found = builds.run(commit, 1)
    assert [(each.id, each.code) for each in found] == [("airfleet", 0), ("install", 0), ("deploy", 0)], found[
        -1
    ].output
    assert currents(builds.installation) == both(commit)
    assert builds.installation.fab("plan").stdout.startswith("in order")
    entries = json.loads(builds.installation.fab("history", "--json").stdout)
    deploys = [
        each for each in entries if each["doing"] == "deploy" and str(each["who"]).startswith("cloud-build-b-1@")
    ]
    assert [each["result"] for each in deploys] == ["done"]


def test_a_second_build_waits_for_the_lock(builds, team, tmp_path):
    """It says for whom, and then brings its own commit; the first one is not disturbed."""
    installation, second = builds.installation, builds.another(tmp_path / "second")
    older, newer = team.push("the older"), team.push("the newer")
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(builds.deploy, older, 2)
        wait_for(lambda: one.done() or installation.locked(), "the lock of the first build", 120)
        assert not one.done(), one.result().output
        other = pool.submit(builds.deploy, newer, 3, place=second)
        first_done, then = one.result(timeout=1200), other.result(timeout=1200)
    assert (first_done.code, then.code) == (0, 0), first_done.output + then.output
    assert "waiting for cloud-build-b-2@" in then.output
    assert currents(installation) == both(newer)


def test_the_gate_fails_a_build(builds, team):
    """Exit 8 with file and line in the build's log; no host was switched, and the next good push goes through."""
    before = currents(builds.installation)
    bad = team.push("bad", bad="import airflow  # a DAG file\n\n\nundefined_name  # dag\n")
    done = builds.deploy(bad, 4)
    assert (done.code, "import-error:dags/bad.py: line 4" in done.output) == (8, True), done.output
    assert currents(builds.installation) == before
    good = team.push("mended", bad=None)
    assert builds.deploy(good, 5).code == 0
    assert currents(builds.installation) == both(good)


def test_a_host_that_is_away_fails_a_build(builds, team):
    """Exit 3 names it; nothing was switched."""
    installation = builds.installation
    before = currents(installation)
    commit = team.push("while one is away")
    installation.on("af2", "systemctl", "stop", "ssh.socket", "ssh.service", check=False)
    try:
        done = builds.deploy(commit, 6)
    finally:
        installation.on("af2", "systemctl", "start", "ssh.service")
    assert (done.code, "af2" in done.output) == (3, True), done.output
    assert currents(installation) == before
    assert builds.deploy(commit, 7).code == 0
