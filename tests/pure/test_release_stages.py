"""What a deploy brings about, from the inventory to stages."""

from dataclasses import replace

from desired_rig import CONSTRAINTS
from given_secrets import all_secrets
from inventories import shipped_with

from airfleet import release_stages, wishes
from airfleet.desired import Target
from airfleet.resources import Unit


def target(**more):
    return Target(shipped_with(), all_secrets(), CONSTRAINTS, "c" * 40, **more)


def units(given, restart):
    stages = release_stages.switch(given, "af1", restart)
    return {r.name: r for r in release_stages.all_of(stages) if isinstance(r, Unit)}


def test_never_wants_no_unit_and_always_wants_all_that_read_the_release():
    """Flower reads no DAGs: its unit is wanted, but with nothing of the release."""
    assert units(target(), wishes.NEVER) == {}
    found = units(target(every_release=True), wishes.ALWAYS)
    assert {"airflow-scheduler.service", "airflow-worker@1.service", "airflow-flower.service"} <= set(found)
    assert "airflow/dags/current" in str(found["airflow-worker@1.service"].reads)
    assert "dags/current" not in str(found["airflow-flower.service"].reads)


def test_only_with_every_release_is_another_release_stale_as_such():
    """Otherwise the host tells whether the process has read the same of both."""
    strict = units(target(every_release=True), wishes.ALWAYS)["airflow-scheduler.service"]
    easy = units(target(), wishes.CHANGED)["airflow-scheduler.service"]
    assert "release" not in strict.ask
    assert easy.ask["release"] == {"path": "/home/airflow/dags/current", "commit": "c" * 40, "plugins": ""}
    assert strict.state == easy.state


def test_the_repositorys_requirements_name_another_environment():
    """Without any, the name is what it always was; with some, their lines are installed too."""
    plain, more = target(), target(requirements="# ours\npandas==2.1.4\n")
    assert plain.venv_digest == replace(plain, requirements="").venv_digest
    assert plain.venv_digest != more.venv_digest
    (stage,) = release_stages.prepare(more, "af1")
    (venv,) = [r for r in stage.resources if r.kind == "venv"]
    assert "pandas==2.1.4" in venv.means["requirements"]
    assert more.venv_digest in venv.key


def test_the_schema_is_asked_in_the_environment_of_the_release():
    """The link leads to the old one until the switch."""
    given = target(requirements="pandas==2.1.4\n")
    (schema,) = [r for r in release_stages.all_of(release_stages.switch(given, "af1", "always")) if r.kind == "schema"]
    assert given.venv_digest in schema.ask["venv"]
    assert given.venv_digest in schema.means["venv"]


def test_what_a_deploy_changes_is_not_asked_to_be_in_order_before():
    """The environment, its link and the units are the deploy's own; files, packages and accounts are bootstrap's."""
    kinds = {r.kind for r in release_stages.settled(target(), "af1").resources}
    assert {"file", "directory", "packages", "account", "mirror"} <= kinds
    assert not {"venv", "unit", "release", "link"} & kinds
