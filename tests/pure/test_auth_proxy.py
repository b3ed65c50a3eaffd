"""The Cloud SQL Auth Proxy in what a host should be, in its unit, and for whoever looks at it."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from desired_rig import CONSTRAINTS
from given_secrets import all_secrets
from inventories import changed, two_hosts

from airfleet import airflow_cfg, auth_proxy, checkup, journals, retire, services
from airfleet.desired import Target, stages_of
from airfleet.doctor.stores import database_down
from airfleet.errors import UsageError
from airfleet.firewall import probed, ways
from airfleet.probes import Known, probes_of
from airfleet.sections_database import Proxy

PROXY = Proxy(
    instance="example:asia-northeast3:airflow", url="https://storage.example/cloud-sql-proxy", sha256="a" * 64
)

PROGRAM = f"/opt/airfleet/cloud-sql-proxy-{PROXY.sha256[:12]}"


def with_proxy(inventory, **more):
    return changed(inventory, database={"host": "127.0.0.1", "proxy": PROXY.model_copy(update=more)})


@pytest.fixture
def fleet():
    return with_proxy(two_hosts())


def stage(inventory, host, name):
    target = Target(inventory, all_secrets(), CONSTRAINTS, "c" * 40)
    return next(each.resources for each in stages_of(target, inventory.hosts[host]) if each.name == name)


def test_its_stage_has_the_program_its_unit_and_what_that_has_read(fleet):
    """A process that runs another program than the one of this checksum is stale."""
    program, file, unit = stage(fleet, "af1", "cloud-sql")
    assert (program.kind, program.key, program.state) == ("binary", PROGRAM, {"sha256": "a" * 64})
    assert (file.path, unit.name) == ("/etc/systemd/system/cloud-sql-proxy.service", "cloud-sql-proxy.service")
    assert (PROGRAM, "a" * 64) in unit.reads


def test_it_listens_on_loopback_and_its_words_are_words(fleet):
    """The instance is one word; the way is the private address unless the inventory says otherwise."""
    start = next(line for line in auth_proxy.unit_file(fleet).text.splitlines() if line.startswith("ExecStart="))
    assert start == (
        "ExecStart=/opt/airfleet/cloud-sql-proxy-aaaaaaaaaaaa --address=127.0.0.1 --port=5432 --structured-logs"
        " --health-check --http-address=127.0.0.1 --http-port=9090 --private-ip example:asia-northeast3:airflow"
    )
    assert "--private-ip" not in auth_proxy.unit_file(with_proxy(two_hosts(), private_ip=False)).text


def test_who_uses_the_database_has_it_and_comes_after_it(fleet):
    """A host of Redis alone has none; without a proxy in the inventory a unit that was there is a leftover."""
    redis = fleet.hosts["af1"].model_copy(update={"roles": ("redis",)})
    assert auth_proxy.resources(fleet, redis) == []
    units = [each for each in stage(fleet, "af1", "config") if each.kind == "file" and "/airflow-" in each.path]
    assert [
        each.path for each in units if "Wants=network-online.target cloud-sql-proxy.service\n" not in each.text
    ] == []
    assert not any("cloud-sql-proxy" in getattr(each, "text", "") for each in stage(two_hosts(), "af1", "config"))
    left = {
        name: next(each for each in stage(inventory, "af1", "config") if each.kind == "leftovers").ask["files"]
        for name, inventory in {"with": fleet, "without": two_hosts()}.items()
    }
    assert [auth_proxy.AUTH_PROXY_UNIT in left[name] for name in ("with", "without")] == [False, True]


def test_the_services_go_to_it(fleet):
    """Airflow's URL names loopback, and the probe of its stage is its own word that it is ready."""
    assert "@127.0.0.1:5432/" in airflow_cfg.database_url(fleet, all_secrets())
    (probe,) = probes_of("cloud-sql", Known(fleet, all_secrets()), ["af1"])
    assert (probe.name, probe.words["url"]) == ("probe_auth_proxy", "http://127.0.0.1:9090/readiness")
    assert probes_of("cloud-sql", Known(two_hosts(), all_secrets()), ["af1"]) == []


def test_the_firewall_lets_it_to_google(fleet):
    """To the instance and to the API; nobody here knows the instance's address, so that only the API is probed."""
    found = {(way.target, way.address, way.port) for way in ways(fleet) if "Auth Proxy" in way.why}
    assert found == {("Cloud SQL", "its address", 3307), ("Cloud SQL Admin API", "sqladmin.googleapis.com", 443)}
    assert {way.target for way in ways(fleet)} & {"database"} == set()
    assert "Cloud SQL" not in {way.target for way in probed(fleet, "af1")}


def test_it_is_started_after_redis_and_its_journal_is_one_of_them(fleet):
    """By a name that means nothing where there is no proxy."""
    steps = services.steps_of(fleet, ["af1"], "start", "all")
    assert [step.unit for step in steps][:2] == ["redis-server.service", "cloud-sql-proxy.service"]
    assert journals.units_of(fleet, ["af1"], auth_proxy.SERVICE) == {"af1": ["cloud-sql-proxy.service"]}
    for ask in (
        lambda x: services.steps_of(x, ["af1"], "start", auth_proxy.SERVICE),
        lambda x: journals.units_of(x, ["af1"], auth_proxy.SERVICE),
    ):
        with pytest.raises(UsageError):
            ask(two_hosts())


def test_a_host_that_is_retired_is_rid_of_it():
    """Whether the inventory still names it or not."""
    words = retire.clear_words(two_hosts(), "af1", purge=False)
    assert auth_proxy.AUTH_PROXY_UNIT in words["units"]
    assert "/etc/systemd/system/cloud-sql-proxy.service" in words["unit_files"]


@pytest.mark.parametrize(
    ("active", "says", "then"),
    [
        ("inactive", "cannot be used from af1: its proxy is stopped", "fab start --service cloud-sql-proxy --only af1"),
        ("active", "cannot be used from af1", "fab runbook db-down"),
    ],
)
def test_the_doctor_looks_at_the_proxy_before_the_database(fleet, active, says, then):
    """A proxy that is stopped is why nobody gets in; one that runs is an evidence."""
    assert auth_proxy.AUTH_PROXY_UNIT in checkup.units_of(fleet, fleet.hosts["af1"])
    away = {"ok": False, "reason": "refused", "says": "Connection refused"}
    host = {"stores": {"database": {"airflow.cfg": away}}, "units": {auth_proxy.AUTH_PROXY_UNIT: {"active": active}}}
    (found,) = database_down(checkup.Checkup(fleet, {"af1": host}))
    assert (found.says, found.next) == (says, then)
    assert f"systemctl status cloud-sql-proxy.service on af1: {active}" in [
        f"{f.asked}: {f.saw}" for f in found.evidence
    ]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this computer has no systemd-analyze")
def test_systemd_itself_rates_its_unit_at_most_2(fleet, tmp_path):
    """And finds nothing wrong in it."""
    folder = tmp_path / "etc" / "systemd" / "system"
    folder.mkdir(parents=True)
    (folder / auth_proxy.AUTH_PROXY_UNIT).write_text(auth_proxy.unit_file(fleet).text)
    argv = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=20",
        f"--root={tmp_path}",
        auth_proxy.AUTH_PROXY_UNIT,
    ]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout.splitlines()[-1]
