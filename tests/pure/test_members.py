"""Which hosts were left behind: what the history remembers, against the inventory."""

from __future__ import annotations

from pathlib import Path

import pytest

from airfleet import board, inventory, members
from airfleet.checkup import Checkup
from airfleet.doctor.diagnosis import QUICK, diagnose
from airfleet.errors import GateRefused
from airfleet.history import left_behind, not_yet_members, retired_at
from airfleet.retire import clear_words, refuse_the_last

PART = {"address": "10.0.0.4", "roles": ["worker"]}
HOSTS = """
database: {host: 10.0.0.9}
dags: {repository: "https://git.internal/dags.git"}
celery: {instances: 3}
hosts:
  af1: {address: 10.0.0.1, roles: [redis, scheduler, webserver, triggerer]}
  af2: {address: 10.0.0.2, roles: [worker], user: ops, celery: {queues: [gpu], concurrency: 1}}
  af3: {address: 10.0.0.3, roles: [worker, scheduler]}
"""


@pytest.fixture(scope="module")
def given():
    return inventory.parse(HOSTS, Path("inventory.yaml"))


def told(when="2026-01-02", retired=None, part=PART):
    return {"members": {"af4": [when, part]}, "retired": {"af4": retired} if retired else {}}


def test_a_host_that_is_not_in_the_inventory_any_more_was_left_behind():
    """As it was written down last; one that is in the inventory was not."""
    assert left_behind([told()], ["af1"]) == {"af4": PART}
    assert left_behind([told()], ["af1", "af4"]) == {}
    assert left_behind([], ["af1"]) == {}


def test_a_host_that_was_retired_was_not_left_behind():
    """Unless something was done on it since."""
    answer = told(retired="2026-01-03")
    assert left_behind([answer], []) == {}
    assert retired_at([answer], "af4") == "2026-01-03"
    again = told(when="2026-01-04", retired="2026-01-03")
    assert left_behind([again], []) == {"af4": PART}
    assert retired_at([again], "af4") == ""


def test_the_latest_word_of_any_host_counts():
    """One host was away when it was retired, another when it was moved."""
    assert left_behind([told(), told(retired="2026-01-03")], []) == {}
    moved = {**PART, "address": "10.0.0.5"}
    assert left_behind([told(when="2026-01-05", part=moved), told()], []) == {"af4": moved}


def test_of_a_host_from_before_the_history_had_parts_only_the_name_is_known():
    """What another host knows of it is not lost by that."""
    assert left_behind([told(part={})], []) == {"af4": {}}
    assert left_behind([told(), told(when="2026-01-09", part={})], []) == {"af4": PART}


def test_only_what_is_new_is_written_down_again():
    """The history does not grow by what it has."""
    assert not_yet_members([told()], {"af4": PART}) == {}
    assert not_yet_members([told()], {"af4": {**PART, "address": "x"}, "af5": PART}) == {
        "af4": {**PART, "address": "x"},
        "af5": PART,
    }
    assert not_yet_members([told(retired="2026-01-03")], {"af4": PART}) == {"af4": PART}


def test_a_host_is_remembered_whole(given):
    """Address, login, roles, and its own workers: all that a drain needs."""
    part = members.parts_of(given, ["af2"])["af2"]
    made = members.host_of(given, "af2", part)
    assert (made, made.name) == (given.hosts["af2"], "af2")


def test_a_line_says_what_to_type(given):
    """With the address, where it is known."""
    (line,) = members.lines([told()], given)
    assert line.startswith("left behind: af4 (10.0.0.4) is not in the inventory")
    assert "fab retire af4" in line
    assert "address unknown" in members.lines([told(part={})], given)[0]


def test_the_only_host_with_a_needed_role_is_not_retired(given):
    """Exit 8: Redis, the last web page; a scheduler or worker that is not the last may go."""
    with pytest.raises(GateRefused) as e:
        refuse_the_last(given, "af1")
    assert "the only host with the role redis" in e.value.problem
    refuse_the_last(given, "af2")
    refuse_the_last(given, "af3")


def test_redis_is_cleared_only_where_it_was_ours(given):
    """Its configuration has the password; its data goes with --purge alone."""
    assert "redis-server.service" not in clear_words(given, "af2", purge=True)["units"]
    words = clear_words(given, "af1", purge=False)
    assert "redis-server.service" in words["units"]
    assert "/etc/redis/redis.conf" in words["root"]
    assert "/var/lib/redis/*" not in words["root"]
    assert "/var/lib/redis/*" in clear_words(given, "af1", purge=True)["root"]


def test_every_unit_of_every_generation_is_looked_for(given):
    """A host may have been brought up under other roles."""
    words = clear_words(given, "af2", purge=False)
    assert {"airflow-scheduler.service", "airflow-worker@*.service", "airflow-logs.service"} <= set(words["units"])
    assert "/etc/systemd/system/airflow-worker@.service" in words["unit_files"]


def test_status_names_a_host_that_was_left_behind(given):
    """As the hosts themselves remember it; it is told, and makes nothing unwell."""
    c = Checkup(given, {"af1": {"members": told()}})
    assert c.left_behind == ("af4",)
    diagnosis = diagnose(c, QUICK)
    assert any(line.startswith("! left behind: af4") for line in board.lines(c, diagnosis))
    assert board.as_json(c, diagnosis)["left_behind"] == ["af4"]
