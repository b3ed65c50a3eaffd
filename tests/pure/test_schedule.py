"""The scheduled backup as resources: where it is, what it knows, and what it does not."""

import ast
import json
import shutil
import subprocess
from dataclasses import replace

import pytest
from desired_rig import CONSTRAINTS, resources
from given_secrets import all_secrets
from inventories import SHIPPED, changed, two_hosts

from airfleet import bundle, inventory, schedule
from airfleet.agent import scheduled
from airfleet.checkup import vitals_words
from airfleet.desired import Target
from airfleet.inventory import parse
from airfleet.manifest import make_backups, outdated
from airfleet.places import BadFile
from airfleet.retire import clear_words
from airfleet.sections_backup import Backup

NIGHTLY = {"schedule": "*-*-* 03:30:00", "place": "gs://backups/fleet", "keep": 3, "keep_days": 30}
UNITS = "/etc/systemd/system"


@pytest.fixture
def target():
    whole = changed(two_hosts(), backup=NIGHTLY)
    return Target(whole, all_secrets(), CONSTRAINTS, "c" * 40)


def test_the_databases_host_alone_makes_it(target):
    """Its timer runs there; on every other host, and without a schedule everywhere, neither unit may be."""
    one, two = resources(target, "af1"), resources(target, "af2")
    assert one["unit", schedule.TIMER].state == {"enabled": "enabled", "active": "active", "reload": "no"}
    assert ("unit", schedule.TIMER) not in two
    never = resources(replace(target, inventory=changed(target.inventory, backup={"schedule": None})), "af1")
    for each, wanted in ((one, False), (two, True), (never, True)):
        asked = each["leftovers", UNITS].ask["files"]
        assert [name in asked for name in schedule.UNITS] == [wanted, wanted]
    assert not [key for _, key in never if "backup" in key]


def test_its_words_hold_all_but_the_password(target):
    """That of the database is read from airfleet's own file of the services, at the moment of the backup."""
    there = resources(target, "af1")
    file = there["file", schedule.WORDS]
    said = json.loads(file.text)
    assert (said["keep"], said["keep_days"], said["bucket"]["prefix"], said["environment"]) == (
        3,
        30,
        "fleet",
        "production",
    )
    assert file.mode == "0600"
    password = target.secrets.database_password.reveal()
    assert [
        key for (kind, key), each in there.items() if "backup" in key and password in getattr(each, "text", "")
    ] == []
    assert "password" not in said["dsn"]


def test_its_program_is_the_agents_own_and_all_that_it_imports(target):
    """Nothing else of the agent: what it does not need is no reason to write it anew."""
    there = resources(target, "af1")
    text = there["file", schedule.SOURCES].text
    names = [line.removeprefix(bundle.BEGINS) for line in text.splitlines() if line.startswith(bundle.BEGINS)]
    assert {"airfleet.agent.scheduled", "airfleet.agent.inside_backup_bucket", "airfleet.agent.run"} <= set(names)
    assert not {"airfleet.agent.main", "airfleet.agent.drain", "airfleet.agent.web"} & set(names)
    ast.parse(there["file", schedule.PROGRAM].text)


def test_the_units_say_when_and_how(target):
    """A host that was down at that moment makes it later; one that is told to stop leaves nothing half."""
    there = resources(target, "af1")
    assert "OnCalendar=*-*-* 03:30:00\n" in there["file", f"{UNITS}/{schedule.TIMER}"].text
    assert "Persistent=yes\n" in there["file", f"{UNITS}/{schedule.TIMER}"].text
    service = there["file", f"{UNITS}/{schedule.SERVICE}"].text
    assert f"ExecStart=/usr/bin/python3 -I -S {schedule.PROGRAM} {schedule.SOURCES} {schedule.WORDS}\n" in service
    assert "KillMode=mixed\n" in service


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this computer has no systemd-analyze")
def test_systemd_understands_the_units(target, tmp_path):
    """No key of theirs is unknown to it, and the time is one."""
    for name in schedule.UNITS:
        (tmp_path / name).write_text(resources(target, "af1")["file", f"{UNITS}/{name}"].text)
    argv = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in schedule.UNITS)]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stderr
    assert [line for line in said.splitlines() if str(tmp_path) in line or "Unknown" in line] == []


def test_it_keeps_what_the_command_keeps():
    """One rule, told twice: by the operator's half, and by the host that is alone."""
    made = [
        {"format": 1, "name": f"production-202611{day:02}T000000Z", "at": f"2026-11-{day:02}T00:00:00Z"}
        | dict.fromkeys(("sha256", "airflow", "postgres", "verified"), "x")
        | {"environment": "production", "size": 1, "tables": {}}
        for day in range(20, 0, -1)
    ]
    now = make_backups(made)[0].made
    for keep, days in ((1, None), (7, None), (3, 10), (25, 2), (2, 1)):
        told = outdated(make_backups(made), "production", Backup(keep=keep, keep_days=days), now)
        assert list(told) == scheduled.outdated(made, keep, days, now)


def test_the_doctor_asks_only_where_one_is_scheduled(target):
    """What is asked for is what the program writes."""
    hosts = target.inventory.hosts
    asked = {name: vitals_words(target.inventory, hosts[name], deep=False, salt="", now=0)["backup"] for name in hosts}
    assert asked == {"af1": schedule.look_words(), "af2": None}
    assert schedule.look_words()["record"] == schedule.words(target.inventory, {})["record"]


def test_a_retired_host_has_none_of_it_left(target):
    """Its units are stopped and removed with the others; the program lies in the folder that goes as a whole."""
    words = clear_words(target.inventory, "af1", purge=False)
    assert set(schedule.UNITS) <= set(words["units"])
    assert {f"{UNITS}/{name}" for name in schedule.UNITS} <= set(words["unit_files"])
    assert "/opt/airfleet" in words["root"]


@pytest.mark.parametrize("wrong", ["every night\n[Service]", "%i", "$(x)", ""])
def test_a_schedule_that_is_none_is_refused(wrong):
    """Nothing but a time gets into the unit."""
    text = SHIPPED.read_text().replace("schedule: ~", f"schedule: {json.dumps(wrong)}")
    with pytest.raises(BadFile) as e:
        parse(text, SHIPPED)
    assert "backup.schedule" in str(e.value)


def test_a_bucket_needs_the_extra():
    """Said before anything is contacted."""
    text = SHIPPED.read_text().replace("place: ~", "place: gs://backups/fleet").replace("google, ", "")
    with pytest.raises(BadFile) as e:
        parse(text, SHIPPED)
    assert "`google` is missing: backup.place needs it" in str(e.value)
    assert inventory.load(SHIPPED).backup.place is None


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this computer has no systemd-analyze")
def test_systemd_itself_rates_the_backup_below_3(target, tmp_path):
    """It is root, for it becomes the account and keeps what the account must not touch; that apart it may little."""
    unit = resources(target, "af1")["file", f"{UNITS}/{schedule.SERVICE}"]
    folder = tmp_path / "etc" / "systemd" / "system"
    folder.mkdir(parents=True)
    (folder / schedule.SERVICE).write_text(unit.text)
    argv = ["systemd-analyze", "security", "--offline=true", "--threshold=30", f"--root={tmp_path}", schedule.SERVICE]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
