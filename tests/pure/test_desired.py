"""From the inventory to what each host should be."""

from dataclasses import replace
from pathlib import Path

import pytest
from desired_rig import CONSTRAINTS, resources
from given_secrets import all_secrets
from inventories import changed, shipped_with, two_hosts

from airfleet.desired import Target, stages_of
from airfleet.model import Facts, Seen
from airfleet.plan import make_plan
from airfleet.secret_forms import NAMES
from airfleet.secrets import Secret, Secrets

STAGES = [
    *("system", "python", "config", "code", "release", "requirements"),
    *("redis", "cloud-sql", "database", "scheduler", "web", "tls", "workers", "flower", "backup", "confirm"),
]


@pytest.fixture
def target():
    return Target(shipped_with(), all_secrets(), CONSTRAINTS, "c" * 40)


def test_packages_that_a_first_release_wants_come_after_it(target):
    """The environment of a first release is made once its requirements are known; later runs make it at once."""
    late = replace(target, requirements="cowsay==6.1\n", late=True)
    stage = next(stage for stage in stages_of(late, late.inventory.hosts["af1"]) if stage.name == "requirements")
    assert ["venv", "link"] == [resource.kind for resource in stage.resources]
    known = replace(late, late=False)
    assert not next(s for s in stages_of(known, known.inventory.hosts["af1"]) if s.name == "requirements").resources


def test_the_stages_stand_in_their_order(target):
    """What a stage needs is made before it."""
    assert STAGES == [stage.name for stage in stages_of(target, target.inventory.hosts["af1"])]


def test_no_resource_is_wanted_twice(target):
    """Two opinions on one thing could never both be satisfied."""
    keys = [(r.kind, r.key) for stage in stages_of(target, target.inventory.hosts["af1"]) for r in stage.resources]
    assert len(keys) == len(set(keys))


def test_the_client_of_the_database_is_where_backups_are_made(target):
    """On the first scheduler's host, before the day on which it is needed; nowhere else."""
    two = replace(target, inventory=two_hosts())
    names = {name: resources(two, name)["packages", "apt"].names for name in two.inventory.hosts}
    assert {"af1": True, "af2": False} == {name: "postgresql-client" in each for name, each in names.items()}


def test_nothing_that_is_printed_holds_a_secret(target):
    """Not the resources, not what describes them: the values travel in `means` and `ask` alone."""
    text = repr(stages_of(target, target.inventory.hosts["af1"])) + repr(target)
    assert [name for name in NAMES if target.secrets[name].reveal().strip() in text] == []


def test_the_same_inventory_gives_the_same_plan(target):
    """Pure: what is desired depends on nothing else, so that what is in order stays so."""
    stages = stages_of(target, target.inventory.hosts["af1"])
    facts = Facts({(r.kind, r.key): Seen(r.state) for s in stages for r in s.resources})
    assert not make_plan("af1", stages_of(target, target.inventory.hosts["af1"]), facts)


@pytest.mark.parametrize(
    "other",
    [
        {"airflow": {"python": "3.12.4"}},
        {"airflow": {"extras": ("celery", "redis", "postgres")}},
        {"airflow": {"requirements": ("pandas==2.1.4",)}},
    ],
)
def test_a_virtual_environment_is_named_by_all_that_decides_its_contents(target, other):
    """Another Python, other extras, other requirements or constraints: another name; else the same."""
    assert target.venv_digest != replace(target, inventory=changed(target.inventory, **other)).venv_digest
    assert target.venv_digest != replace(target, constraints={"text": "celery==5.6.1\n"}).venv_digest
    same = changed(target.inventory, celery={"concurrency": 9}, airflow={"web_port": 8080})
    assert target.venv_digest == replace(target, inventory=same).venv_digest


def test_a_new_setting_makes_every_process_that_reads_it_stale(target):
    """The stamps follow the files: with another airflow.cfg each Airflow unit is another, and Redis is not."""
    other = replace(target, inventory=changed(target.inventory, airflow={"config": {"core": {"parallelism": 9}}}))
    before, after = resources(target), resources(other)
    stale = {key for kind, key in before if kind == "unit" and before[kind, key].state != after[kind, key].state}
    assert {key for kind, key in before if kind == "unit"} - stale == {"redis-server.service"}


def test_the_database_is_the_business_of_one_host():
    """Migrated once, by the first host with a scheduler; a worker host has neither Redis nor a web server."""
    whole = two_hosts()
    target = Target(whole, all_secrets(), CONSTRAINTS)
    one, two = resources(target, "af1"), resources(target, "af2")
    assert ("schema", "metadata") in one
    assert ("schema", "metadata") not in two
    assert ("unit", "redis-server.service") in one
    assert ("unit", "redis-server.service") not in two
    assert ("unit", "airflow-worker@1.service") in two


def test_the_distributions_python_needs_no_compiler(target):
    """`python: system` installs no build packages and no pyenv, and refuses a Python that Airflow does not support."""
    plain = resources(replace(target, inventory=changed(target.inventory, airflow={"python": "system"})))
    assert ("pyenv", "/home/airflow/.pyenv") not in plain
    assert "build-essential" not in plain["packages", "apt"].state
    assert plain["system_python", "/usr/bin/python3"].ask == {"minors": ["3.10", "3.11", "3.12"]}


def test_a_repository_without_ssh_needs_no_key(target):
    """With https there is no deploy key on the host, and none has to be given."""
    whole = changed(target.inventory, dags={"repository": "https://git.example.org/dags.git"})
    files = resources(replace(target, inventory=whole))
    assert [key for kind, key in files if key.endswith("deploy_key")] == []


def test_airflow_3_has_an_url_that_asyncpg_understands(target):
    """Airflow would take psycopg2's words for it, of which asyncpg refuses `sslmode`; Airflow 2 has no such URL."""
    path = "/home/airflow/airflow/airflow.cfg"
    assert "asyncpg" not in resources(target)["file", path].text
    airflow = target.inventory.airflow.model_copy(update={"version": "3.3.2"})
    secrets = Secrets({**target.secrets.values, "jwt_secret": Secret("j" * 43)})
    three = replace(target, inventory=target.inventory.model_copy(update={"airflow": airflow}), secrets=secrets)
    line = next(text for text in resources(three)["file", path].text.splitlines() if "sql_alchemy_conn_async" in text)
    assert line.endswith("@db.example.com:5432/airflow?ssl=prefer")
    assert line.startswith("sql_alchemy_conn_async = postgresql+asyncpg://airflow:")


def with_authority(target, text="CERTIFICATE\n"):
    database = target.inventory.database.trusting(Path("/ops/ca.pem"), text)
    return replace(target, inventory=target.inventory.model_copy(update={"database": database}))


def test_the_authority_of_the_database_is_a_file_that_no_restart_is_owed_to(target):
    """It is pushed and named in airflow.cfg; another one, as in a rotation, makes nothing stale."""
    path = "/home/airflow/airflow/database-ca.pem"
    assert ("file", path) not in resources(target)
    one, other = (resources(with_authority(target, text)) for text in ("ONE\n", "OTHER\n"))
    assert (one["file", path].text, one["file", path].mode, one["file", path].secret) == ("ONE\n", "0600", False)
    assert f"&sslrootcert={path}\n" in one["file", "/home/airflow/airflow/airflow.cfg"].text
    assert {key for key in one if one[key] != other[key]} == {
        ("file", path),
        ("schema", "metadata"),
        ("admin", "admin"),
    }
    assert {key for key in one if one[key].state != other[key].state} == {("file", path)}


def test_a_role_that_a_host_has_lost_leaves_no_service():
    """What it has no role for is not to be there, workers and nginx's drop-in too; and a worker is given its time."""
    fleet = shipped_with()
    host = fleet.hosts["af1"].model_copy(update={"roles": ("redis", "scheduler")})
    (gone,) = [each for each in units_left(fleet, host) if each.kind == "leftovers"]
    files = gone.ask["files"]
    assert {"airflow-worker@.service", "airflow-flower.service", "airflow-triggerer.service"} <= set(files)
    assert "nginx.service.d/airfleet.conf" in files
    assert "airflow-scheduler.service" not in files
    assert gone.means["stop_timeout_s"] > host.celery.time_limit_s


def units_left(inventory, host):
    stages = stages_of(Target(inventory, all_secrets(), CONSTRAINTS, "c" * 40), host)
    return next(stage for stage in stages if stage.name == "config").resources
