"""Backups in a bucket, on hosts in memory: what the host is told, what goes, what is cleared, which place is meant."""

from __future__ import annotations

import pytest

from airfleet import backups, terminal
from airfleet.backups import Where
from airfleet.errors import HostUnreachable, UsageError
from tests.flows.backup_town import INVENTORY, NAMED, Town, manifest_words

PLACE = "gs://backups/fleet"
HALF = "production-20260102T000000Z"
SECRETS = "database_password: pw\nflower_password: f\nredis_password: r\nfernet_key: '" + "k" * 43 + "='\n"


class BucketTown(Town):
    """The same hosts, and what they tell of a bucket."""

    strays = (f"{HALF}.dump", "staging-20260102T000000Z.dump", "by hand.dump")

    def __init__(self):
        super().__init__()
        self.answers = {"bucket_fetch": {"path": "/var/backups/airfleet/.x"}}
        self.list()

    def list(self):
        self.answers["bucket_list"] = {"backups": self.there, "strays": list(self.strays)}


@pytest.fixture
def town(monkeypatch, install):
    made = BucketTown()
    install({**INVENTORY, "backup": {"place": PLACE, "keep": 2}}, made.host, SECRETS)
    monkeypatch.setattr(terminal, "require", lambda *_, **__: None)
    return made


def test_a_backup_goes_from_the_host_into_the_bucket(town):
    """The host is told the bucket, the folder in it, and in whose environment; nothing passes through here."""
    backups.create("", Where(), town)
    assert town.calls == [("b", "bucket_list"), ("b", "backup_create")]
    assert town.sent["backup_create"]["bucket"] == {
        "place": PLACE,
        "bucket": "backups",
        "prefix": "fleet",
        "venv": "/home/airflow/.pyenv/versions/.venv",
        "account": "airflow",
        "environment": "/home/airflow/airflow/environment",
    }
    assert f"in {PLACE}" in town.screen


def test_what_is_kept_holds_for_the_bucket_too(town):
    """By number, and by age: whole backups of this environment alone are counted; none goes where no new one came."""
    town.there += [manifest_words(f"production-2025010{n}T000000Z", at=f"2025-01-0{n}T00:00:00Z") for n in (1, 2)]
    town.list()
    town.cut = HostUnreachable("Cloud Storage can't be reached", place="b")
    with pytest.raises(HostUnreachable) as e:
        backups.create("", Where(), town)
    assert (e.value.state, "bucket_remove" in town.sent) == (
        "no backup was made; those that are there are as they were",
        False,
    )
    town.cut = None
    backups.create("", Where(), town)
    assert town.sent["bucket_remove"]["names"] == ["production-20250102T000000Z", "production-20250101T000000Z"]


def test_a_trial_fetches_it_and_takes_it_away_again(town):
    """Through the folder of the host; what came of it is written into the bucket."""
    backups.verify("", "latest", Where(), town)
    assert town.calls == [
        ("b", "bucket_list"),
        ("b", "bucket_fetch"),
        ("b", "backup_verify"),
        ("b", "backup_clear"),
        ("b", "bucket_note"),
    ]
    assert town.sent["bucket_fetch"]["folder"] == "/var/backups/airfleet"
    assert town.sent["bucket_note"]["name"] == NAMED


def test_a_half_is_named_and_cleared(town):
    """This environment's alone; another one may be at it just now, and what somebody put there is not ours."""
    assert backups.look("", Where(), town).halves == (HALF,)
    backups.clear("", Where(), town)
    assert town.sent["bucket_remove"]["names"] == [HALF]
    assert [(each["doing"], each["removed"]) for each in town.entries] == [("backup.clear", [HALF])]
    town.answers["bucket_list"]["strays"] = []
    backups.clear("", Where(), town)
    assert "nothing to do" in town.screen
    assert len(town.entries) == 1


def test_another_place_can_be_named(town):
    """The host's own folder, or another installation's bucket; not two, and nothing else."""
    backups.look("", Where(place="host"), town)
    backups.look("", Where(place="gs://other"), town)
    assert [call for _, call in town.calls] == ["backup_list", "bucket_list"]
    assert (town.sent["bucket_list"]["bucket"]["bucket"], town.sent["bucket_list"]["bucket"]["prefix"]) == ("other", "")
    for wrong in (
        {"local": "/tmp", "place": "host"},
        {"place": "s3://x"},
        {"place": "gs://x/../y"},
        {"place": "gs://"},
    ):
        with pytest.raises(UsageError) as e:
            Where(**wrong)
        assert e.value.state == "nothing was contacted"
    assert Where(place="host").options == " --place host"
