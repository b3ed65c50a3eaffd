"""Backups by their manifests: which is meant, which go, what is said of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airfleet import manifest
from airfleet.errors import ApplyFailed, GateRefused, UsageError
from airfleet.sections_backup import Backup as Kept

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
WORDS = {
    "format": 1,
    "airflow": "2.11.2",
    "postgres": "15.18",
    "size": 3 * 2**20,
    "sha256": "5" * 64,
    "tables": {"dag": 2, "dag_run": 40},
    "verified": None,
    "fernet": {"salt": "s", "keys": ["k"]},
    "later": "a key of tomorrow's",
}


def backup(days=0.0, environment="production", **more):
    made = NOW - timedelta(days=days)
    words = {**WORDS, "environment": environment, "at": f"{made:%Y-%m-%dT%H:%M:%SZ}"}
    return manifest.make_backup({**words, "name": manifest.name_of(environment, made), **more})


def days(count):
    return manifest.make_backups(backup(n).words for n in range(count))


def test_a_name_tells_the_environment_and_the_time():
    """Sorted by name is sorted by time; it is a name of its own for each second."""
    assert manifest.name_of("production", NOW) == "production-20261126T120000Z"
    assert manifest.NAME.fullmatch("prod-eu-20261126T120000Z")["environment"] == "prod-eu"


@pytest.mark.parametrize("name", ["", "-x", "../x-20261126T120000Z", "production", "a b-20261126T120000Z", "x.dump"])
def test_what_is_no_name_is_refused_before_anybody_is_asked(name):
    """Exit 2; nothing was contacted."""
    with pytest.raises(UsageError) as e:
        manifest.check_name(name, "backup.verify")
    assert e.value.state == "nothing was contacted"


def test_latest_is_the_newest_whole_one_of_the_environment():
    """Not that of another one in the same folder, and not one whose file is gone."""
    there = manifest.make_backups(
        [
            {**backup(2).words, "lost": ""},
            {**backup(1).words, "lost": "the file is missing"},
            backup(0, environment="staging").words,
        ]
    )
    assert manifest.chosen(there, "latest", "production", "af1:/b").made == NOW - timedelta(days=2)
    with pytest.raises(GateRefused) as e:
        manifest.chosen(there, "latest", "other", "af1:/b")
    assert e.value.problem == "there is no backup of other in af1:/b"


def test_a_name_is_taken_literally_and_the_nearest_is_told():
    """One that is lost is refused with what is wrong with it."""
    there = days(2)
    assert manifest.chosen(there, "production-20261125T120000Z", "production", "w").made.day == 25
    with pytest.raises(GateRefused) as e:
        manifest.chosen(there, "production-20261125T120001Z", "production", "w")
    assert "did you mean 'production-20261125T120000Z'?" in e.value.problem
    with pytest.raises(GateRefused) as e:
        manifest.chosen([backup(lost="the file is missing")], "latest", "production", "w")
    assert "there is no backup" in e.value.problem
    lost = backup(lost="the file is missing")
    with pytest.raises(GateRefused) as e:
        manifest.chosen([lost], lost.name, "production", "w")
    assert e.value.problem == "the file is missing"


@pytest.mark.parametrize(
    ("kept", "stay"),
    [
        (Kept(keep=2), 2),
        (Kept(keep=20), 10),
        (Kept(keep=1, keep_days=3), 3),
        (Kept(keep=5, keep_days=3), 5),
        (Kept(keep=1), 1),
    ],
)
def test_the_newest_stay_and_so_do_the_young(kept, stay):
    """A number of them always; with days also those that are younger; the newest is never removed."""
    there = days(10)
    gone = manifest.outdated(there, "production", kept, NOW)
    assert gone == tuple(each.name for each in there[stay:])


def test_others_are_neither_counted_nor_removed():
    """Another environment's in the same folder, and those that are lost."""
    there = (*days(3), backup(9, environment="staging"), backup(8, lost="the file is missing"))
    assert manifest.outdated(there, "production", Kept(keep=3), NOW) == ()


def test_another_airflow_is_refused_with_the_way_back():
    """The inventory's version decides."""
    manifest.refuse_version(backup(), "2.11.2")
    with pytest.raises(GateRefused) as e:
        manifest.refuse_version(backup(), "3.3.2")
    assert "Airflow 2.11.2, and the inventory says 3.3.2" in e.value.problem
    assert "airflow.version: 2.11.2" in e.value.remedy


def test_a_manifest_of_a_newer_form_is_refused_and_a_new_key_is_not():
    """What it means could be another thing; a key more is kept when a trial is noted."""
    assert backup().words["later"] == "a key of tomorrow's"
    with pytest.raises(ApplyFailed):
        manifest.make_backup({**WORDS, "format": 2})


@pytest.mark.parametrize(
    ("seconds", "says"), [(0, "0 s"), (59, "59 s"), (61, "1 min"), (7300, "2 h"), (86400 * 40, "40 d"), (-5, "0 s")]
)
def test_an_age_is_told_in_its_largest_unit(seconds, says):
    """A clock that is behind makes nothing negative."""
    at = f"{NOW - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    assert manifest.age(at, NOW) == says


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "never tried"),
        ({"lost": "the file is missing"}, "LOST: the file is missing"),
        ({"verified": {"ok": True, "problem": "", "at": "2026-11-26T09:00:00Z"}}, "restored on trial 3 h ago"),
        (
            {"verified": {"ok": False, "problem": "rows of dag\nmore", "at": "2026-11-25T09:00:00Z"}},
            "NOT RESTORABLE 1 d ago: rows of dag",
        ),
    ],
)
def test_the_list_says_whether_it_was_ever_restored(more, says):
    """A backup that was never tried is called that."""
    assert manifest.row(backup(1, **more), NOW) == (
        *("production-20261125T120000Z", "1 d", "3.0 MiB", "Airflow 2.11.2", "PostgreSQL 15.18"),
        says,
    )


def test_json_has_the_manifest_without_the_marks_of_the_keys():
    """They are of use to a restore alone."""
    told = manifest.as_json(backup(lost="x"))
    assert (told["lost"], told["tables"], "fernet" in told) == ("x", WORDS["tables"], False)
