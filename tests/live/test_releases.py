"""What a release may bring with it: packages, a migration, a DAG that is gone, no room. Everything here is real."""

from __future__ import annotations

import pytest

from tests.live.conftest import THREE, TWO, wait_for
from tests.live.team import both, currents

pytestmark = [pytest.mark.live, pytest.mark.timeout(1500)]

OLDER = {TWO: "2.10.0", THREE: "3.1.0"}  # whose schema one of today leads to by a migration
RELEASES = "/home/airflow/dags/releases"
VENV = "/home/airflow/.pyenv/versions/.venv"
AIRFLOW = ["runuser", "-u", "airflow", "--", "env", "AIRFLOW_HOME=/home/airflow/airflow", f"{VENV}/bin/airflow"]
PACKAGED = """\
import datetime

import cowsay  # only the release's own requirements bring it
try:  # Airflow 3
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG
    from airflow.operators.empty import EmptyOperator

with DAG("packaged", start_date=datetime.datetime(2026, 1, 1), schedule=None, doc_md=cowsay.char_names[0]):
    EmptyOperator(task_id="only", queue="default")
"""


def venvs(installation):
    return {name: installation.on(name, "readlink", VENV).strip() for name in ("af1", "af2")}


def test_a_dag_that_is_gone_while_it_runs_is_refused(installation, first, team):
    """Exit 8 names the DAG and how many runs are under way; after their end it may go."""
    api = first.api
    run = api.trigger("sleeper", {"seconds": 20})
    wait_for(lambda: api.ask(f"/dags/sleeper/dagRuns/{run}")["state"] == "running", "the run")
    before = currents(installation)
    team.push("no sleeper", sleeper=None)
    said = installation.fab("deploy", "--restart", "changed", rc=8).stderr
    assert "vanished:sleeper: no file has this DAG any more, and 1 of its runs are under way" in said
    assert currents(installation) == before
    wait_for(lambda: api.ask(f"/dags/sleeper/dagRuns/{run}")["state"] == "success", "the end of the run")
    installation.fab("deploy", "--restart", "changed")
    assert currents(installation) == both(team.git("rev-parse", "HEAD"))


def test_no_room_in_the_middle_of_prepare(installation, team):
    """A disk that is full on one host: exit 5, that host named, nothing switched; with room again it goes on."""
    before = currents(installation)
    commit = team.push("much", much="# " + "0123456789abcdef" * 40_000 + "\n")
    uid, gid = (installation.on("af2", "id", each, "airflow").strip() for each in ("-u", "-g"))
    installation.on("af2", "cp", "-a", RELEASES, f"{RELEASES}.aside")
    small = f"size=400k,mode=0750,uid={uid},gid={gid}"
    installation.on("af2", "mount", "-t", "tmpfs", "-o", small, "tmpfs", RELEASES)
    installation.on("af2", "cp", "-a", f"{RELEASES}.aside/.", f"{RELEASES}/")
    try:
        said = installation.fab("deploy", "--restart", "changed", rc=5).stderr
        assert "af2" in said
        assert "No space left on device" in said
        assert currents(installation) == before
    finally:
        installation.on("af2", "umount", "--lazy", RELEASES)
        installation.on("af2", "rm", "-r", f"{RELEASES}.aside")
    installation.fab("deploy", "--restart", "changed")
    assert currents(installation) == both(commit)


def test_a_pending_migration_is_made_once(installation, team):
    """A database behind the code: the plan names it, one host migrates it before the switch, all is well after it."""
    installation.fab("stop", "--service", "scheduler")
    installation.on("af1", *AIRFLOW, "db", "downgrade", "--to-version", OLDER[installation.airflow], "--yes")
    commit = team.push("with a migration")
    plan = installation.fab("deploy", "--dry-run", rc=10).stdout
    assert plan.count("schema metadata") == 1
    said = installation.fab("deploy").stdout
    assert said.index("gate") < said.index("schema metadata", said.index("gate")) < said.index("switch:")
    assert currents(installation) == both(commit)
    assert installation.fab("plan").stdout.startswith("in order")


def test_a_release_brings_its_packages(installation, team):
    """The repository's requirements file is followed: a new environment, its DAG is parsed there; and back again."""
    team.folder.joinpath("requirements.txt").write_text("cowsay==6.1\n")
    team.push("requirements")
    installation.fab("deploy", "--restart", "changed")
    before = venvs(installation)
    installation.edit(lambda value: value["dags"].update(requirements="requirements.txt"))
    try:
        assert "venv" in installation.fab("plan", rc=10).stdout
        installation.fab("bootstrap")
        assert venvs(installation) != before
        assert len(set(venvs(installation).values())) == 1
        commit = team.push("a DAG that needs them", packaged=PACKAGED)
        installation.fab("deploy", "--restart", "changed")
        assert currents(installation) == both(commit)
        assert installation.fab("plan").stdout.startswith("in order")
    finally:
        team.push("without them", packaged=None)
        installation.fab("deploy", "--restart", "changed")
        installation.edit(lambda value: value["dags"].pop("requirements"))
        installation.fab("bootstrap")
    assert venvs(installation) == before
