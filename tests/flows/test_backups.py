"""Backups and restores on hosts in memory: the order, what is refused, what is told, how a failure leaves the world."""

from __future__ import annotations

import json
import sys

import pytest

from airfleet import backups, restore, terminal
from airfleet.backups import Where
from airfleet.errors import ApplyFailed, GateRefused, HostUnreachable, NotHealthy, RolloutStopped, UsageError
from airfleet.restore import Plan
from tests.flows import backup_town
from tests.flows.backup_town import DATA, INVENTORY, NAMED, RUNNING, Town, manifest_words

FOLDER = "/var/backups/airfleet"


@pytest.fixture
def town(monkeypatch, install):
    made = Town()
    secrets = "database_password: pw\nflower_password: f\nredis_password: r\nfernet_key: '" + "k" * 43 + "='\n"
    install(INVENTORY, made.host, secrets)
    monkeypatch.setattr(terminal, "require", lambda *_, **__: None)
    monkeypatch.setattr("builtins.input", lambda prompt: made.typed.pop(0))
    return made


def put_back(town, name=NAMED, *, yes=True, stop=True, local="", **more):
    restore.restore("", name, Plan(yes=yes, stop=stop, where=Where(local), **more), town)


def test_a_backup_is_made_under_the_lock_on_the_schedulers_host(town):
    """The lock of the installation on its first host; pg_dump where the scheduler is; the history knows."""
    backups.create("", Where(), town)
    assert town.diary[0] == ("a", "hold")
    assert [("b", "backup_list"), ("b", "backup_create")] == town.calls
    sent = town.sent["backup_create"]
    assert (sent["folder"], sent["last"], sent["fernet"]) == (FOLDER, len(DATA), ["core", "fernet_key"])
    assert [("backup.create", sent["name"], "done")] == [(e["doing"], e["backup"], e["result"]) for e in town.entries]
    assert "pw" not in town.screen + json.dumps(town.entries)


def test_the_old_ones_go_after_the_new_one_is_there(town):
    """`backup.keep` says how many stay; where no new one came, nothing is removed."""
    town.there += [manifest_words(f"production-2025010{n}T000000Z", at=f"2025-01-0{n}T00:00:00Z") for n in (1, 2)]
    town.cut = NotHealthy("pg_dump was ended", place="b")
    with pytest.raises(NotHealthy) as e:
        backups.create("", Where(), town)
    assert e.value.state == "no backup was made; those that are there are as they were"
    assert town.entries[0]["result"] == "stopped"
    assert ("b", "backup_remove") not in town.calls
    town.cut = None
    backups.create("", Where(), town)
    assert town.calls[-1] == ("b", "backup_remove")
    assert town.sent["backup_remove"]["names"] == ["production-20250102T000000Z", "production-20250101T000000Z"]


def test_a_backup_comes_to_the_operators_folder(town, tmp_path):
    """Mode 0600 in a folder of mode 0700, the manifest beside it, and no name of it before it is whole."""
    folder = tmp_path / "here"
    backups.create("", Where(str(folder)), town)
    dump, manifest = sorted(folder.iterdir())
    assert (dump.suffix, manifest.suffix, dump.read_bytes() == DATA) == (".dump", ".json", True)
    assert {path.stat().st_mode & 0o777 for path in (dump, manifest)} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    town.cut = HostUnreachable("the connection was lost", place="b")
    with pytest.raises(HostUnreachable):
        backups.create("", Where(str(folder)), town)
    assert sorted(folder.iterdir()) == [dump, manifest]


def test_the_operators_folder_is_not_filled_up(town, tmp_path, monkeypatch):
    """What it will take is known before the first byte; refused, nothing is left."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Free", (), {"free": 1000})())
    with pytest.raises(GateRefused) as e:
        backups.create("", Where(str(tmp_path / "here")), town)
    assert "are free, and the backup takes about" in e.value.problem
    assert list((tmp_path / "here").iterdir()) == []


def test_what_arrives_must_be_what_was_sent(town, tmp_path, monkeypatch):
    """The checksum is counted on both sides."""
    real = manifest_words
    monkeypatch.setattr(
        backup_town, "manifest_words", lambda *given, **more: real(*given, **{**more, "sha256": "other"})
    )
    with pytest.raises(ApplyFailed) as e:
        backups.create("", Where(str(tmp_path / "here")), town)
    assert "not what was sent" in e.value.problem
    assert list((tmp_path / "here").iterdir()) == []


def test_a_folder_that_can_not_be_is_exit_2(town, tmp_path):
    """Before anything is contacted."""
    (tmp_path / "file").touch()
    for folder in ("file", "missing/folder"):
        with pytest.raises(UsageError):
            backups.create("", Where(str(tmp_path / folder)), town)
    assert town.diary == []


def test_the_list_needs_no_lock(town):
    """One question to one host."""
    found = backups.look("", Where(), town)
    assert ([each.name for each in found.there], found.strays) == ([NAMED], ("by hand.dump",))
    assert town.diary == [("b", "backup_list")]


def test_a_trial_is_written_down_whatever_it_shows(town):
    """Well, or not: exit 9 with the reason, and the manifest says so."""
    backups.verify("", "latest", Where(), town)
    assert [("b", "backup_list"), ("b", "backup_verify"), ("b", "backup_note")] == town.calls
    assert town.sent["backup_note"]["verified"]["ok"] is True
    town.answers["backup_verify"] = {"ok": False, "problem": "rows of dag: 1, not 2", "seconds": 1.0, "tables": 1}
    with pytest.raises(NotHealthy) as e:
        backups.verify("", NAMED, Where(), town)
    assert "rows of dag: 1, not 2" in e.value.problem
    assert town.sent["backup_note"]["verified"]["problem"] == "rows of dag: 1, not 2"


def test_one_from_here_is_sent_there_and_taken_away_again(town, tmp_path):
    """For a trial as for a restore; its manifest is the one here."""
    folder = tmp_path / "here"
    backups.create("", Where(str(folder)), town)
    town.diary.clear()
    backups.verify("", "latest", Where(str(folder)), town)
    assert [("b", "backup_receive"), ("b", "backup_verify"), ("b", "backup_clear")] == town.calls
    assert town.received == DATA
    (manifest,) = folder.glob("*.json")
    assert json.loads(manifest.read_text())["verified"]["ok"] is True
    town.answers["backup_verify"] = NotHealthy("the database can't be used", place="b")
    with pytest.raises(NotHealthy):
        backups.verify("", "latest", Where(str(folder)), town)
    assert town.calls[-1] == ("b", "backup_clear")


def test_services_are_stopped_in_order_and_started_again(town):
    """Workers first, the scheduler last; the other way round afterwards; the checks come before the first stop."""
    put_back(town)
    assert town.calls == [
        *(("b", "backup_list"), ("b", "backup_ready")),
        *(("a", "stop_drained"), ("a", "steer"), ("b", "steer")),
        ("b", "backup_restore"),
        *(("b", "steer"), ("a", "steer"), ("a", "start_worker")),
    ]
    assert {name: sorted(units) for name, units in town.running.items()} == RUNNING
    assert "not in the backup, and gone with the restore: newer" in town.screen
    assert "is no service of the inventory: airflow from 10.1.0.99 (?)" in town.screen
    assert [("backup.restore", NAMED, "done")] == [(e["doing"], e["backup"], e["result"]) for e in town.entries]


def test_running_services_are_a_refusal_that_names_them(town):
    """Exit 8; nothing was stopped; --allow-running goes on and says what to restart."""
    with pytest.raises(GateRefused) as e:
        put_back(town, stop=False)
    assert "Airflow runs: worker on a, webserver on a, scheduler on b" in e.value.problem
    assert e.value.state == "nothing was changed"
    assert town.entries[0]["result"] == "refused"
    put_back(town, stop=False, allow_running=True)
    assert ("b", "backup_restore") in town.calls
    assert ("a", "steer") not in town.calls
    assert "fab restart --service all" in town.said[-1]
    with pytest.raises(UsageError):
        put_back(town, stop=True, allow_running=True)


def test_what_did_not_run_is_not_started(town):
    """Only what --stop stopped; with nothing running it says what to type."""
    town.running["a"] = []
    put_back(town)
    assert ("a", "steer") not in town.calls
    town.running["b"] = []
    town.diary.clear()
    put_back(town, stop=False)
    assert [("b", "backup_list"), ("b", "backup_ready"), ("b", "backup_restore")] == town.calls
    assert "fab start --service all" in town.said[-1]


def test_a_refusal_of_the_host_stops_nothing(town):
    """Another Fernet key, a damaged file, a table of somebody else's."""
    town.answers["backup_ready"] = GateRefused("could not be decrypted", place="b")
    with pytest.raises(GateRefused) as e:
        put_back(town)
    assert e.value.state == "nothing was changed"
    assert [("b", "backup_list"), ("b", "backup_ready")] == town.calls


def test_another_airflow_is_refused_before_the_lock(town):
    """By the manifest and the inventory alone."""
    town.there = [manifest_words(airflow="3.3.2")]
    with pytest.raises(GateRefused) as e:
        put_back(town)
    assert "Airflow 3.3.2, and the inventory says 2.11.2" in e.value.problem
    assert town.diary == [("b", "backup_list")]


def test_a_restore_that_failed_starts_again_what_was_stopped(town):
    """The transaction was rolled back: the database is as it was, and so are the services."""
    town.answers["backup_restore"] = NotHealthy("ERROR: no", place="b")
    with pytest.raises(NotHealthy) as e:
        put_back(town)
    assert e.value.state == "the database is as it was, and what was stopped runs again"
    assert {name: sorted(units) for name, units in town.running.items()} == RUNNING


@pytest.mark.parametrize(
    "failure",
    [
        KeyboardInterrupt(),
        HostUnreachable("the connection was lost", place="b"),
        RolloutStopped("it is not known whether the restore was committed", place="b"),
    ],
)
def test_what_is_in_doubt_is_said_and_nothing_is_started(town, failure):
    """All of it or nothing, and which of the two is to be looked at first."""
    town.answers["backup_restore"] = failure
    with pytest.raises((RolloutStopped, HostUnreachable)) as e:
        put_back(town)
    assert e.value.state.startswith("in doubt: the database is as it was, or all of the backup is in it")
    assert "fab start --service all" in e.value.state
    assert town.running == {"a": [], "b": []}


def test_under_another_installed_airflow_nothing_is_started(town):
    """An upgrade was taken back in the inventory: bootstrap brings the Airflow that this database is of."""
    town.answers["backup_ready"] = {"airflow": "3.3.2", "extra": []}
    put_back(town)
    assert town.running == {"a": [], "b": []}
    assert "next: fab bootstrap" in town.said[-1]


def test_without_a_yes_nothing_is_put_back(town):
    """The question names the backup and the database; it is asked outside the lock."""
    town.typed = ["n"]
    with pytest.raises(RolloutStopped):
        put_back(town, yes=False)
    assert town.diary == [("b", "backup_list")]
    town.typed = ["y"]
    put_back(town, yes=False)
    assert ("b", "backup_restore") in town.calls


def test_without_a_terminal_there_is_no_question(monkeypatch):
    """Exit 2, before anything is contacted."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(UsageError) as e:
        restore.restore("", NAMED, Plan(), Town())
    assert "--yes" in e.value.remedy
