"""Who has the history copied, when, and what is said of it: hosts in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airfleet import audit, reading, records, session
from airfleet.errors import ApplyFailed, NotHealthy
from airfleet.inventory import parse
from tests.flows.memory_host import MemoryHost

INVENTORY = {
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "logging": {"bucket": "aflogs"},
    "hosts": {
        "a": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "webserver"]},
        "b": {"address": "10.1.0.12", "roles": ["worker"]},
    },
}
WHOLE = {"lines": 3, "chained": 3, "faults": [], "entries": {}}


class Host(MemoryHost):
    """A host that answers what it is told to; an exception is raised."""

    answers = ()

    def call(self, name, words, tell=None):
        super().call(name, words)
        self.sent = {**getattr(self, "sent", {}), name: words}
        answer = dict(self.answers).get(name, {})
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def hosts(install, diary):
    made = {name: Host(name, diary) for name in "ab"}
    install(INVENTORY, lambda name, address, ask: made[name])
    return made


def record(say):
    with session.opened("", doing="test") as fleet, records.recorded(fleet, records.entry("deploy"), say):
        pass


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, "gs://aflogs/audit/production/a"),
        ({"logging": {"bucket": "many", "prefix": "fleet/logs"}}, "gs://many/fleet/audit/production/a"),
        ({"logging": {}, "backup": {"place": "gs://back/fleet"}}, "gs://back/audit/production/a"),
        ({"logging": {}, "backup": {"place": "gs://back"}}, "gs://back/audit/production/a"),
        ({"logging": {}}, ""),
    ],
)
def test_it_is_beside_the_logs_or_the_backups(changes, place):
    """A folder for each environment and host; without a bucket nowhere."""
    inventory = parse(yaml.safe_dump({**INVENTORY, **changes}), Path("inventory.yaml"))
    assert place == audit.place_of(inventory, "a")
    assert bool(place) == (audit.words_of(inventory, "a") is not None)


def test_each_host_copies_its_own_behind_each_entry(hosts):
    """With the account and the environment of Airflow's: root runs none of Google's libraries."""
    said = []
    record(lambda *words: said.append(words))
    for name, host in hosts.items():
        asked = [event[2] for event in host.diary if event[:2] == (name, "call")]
        assert ["record", "audit_copy"] == asked
        bucket = host.sent["audit_copy"]["bucket"]
        assert (f"gs://aflogs/audit/production/{name}", f"audit/production/{name}", "airflow") == (
            bucket["place"],
            bucket["prefix"],
            bucket["account"],
        )
    assert [] == said


def test_a_copy_that_fails_fails_no_command(hosts):
    """A line names the host and why."""
    hosts["b"].answers = {"audit_copy": ApplyFailed("gs://aflogs: permission denied", place="b")}
    said = []
    record(lambda text, _style: said.append(text))
    (line,) = said
    assert "b: its history was not copied to the bucket: gs://aflogs: permission denied" in line


def test_without_a_bucket_nobody_is_asked(install, diary):
    """Neither for a copy nor for a comparison."""
    made = {name: Host(name, diary) for name in "ab"}
    install({**INVENTORY, "logging": {}}, lambda name, address, ask: made[name])
    for host in made.values():
        host.answers = {"verify_history": WHOLE}
    record(lambda *_: None)
    found = reading.verified("")
    assert not [event for event in diary if str(event[-1]).startswith("audit")]
    reading.refuse_broken(found)


def test_verify_names_what_a_host_lost_and_what_could_not_be_read(hosts):
    """Exit 9 for either; a copy that agrees is counted."""
    for host in hosts.values():
        host.answers = {"verify_history": WHOLE, "audit_compare": {"there": 3, "lost": [], "more": 0}}
    found = reading.verified("")
    reading.refuse_broken(found)
    assert found["hosts"]["a"]["bucket"] == {
        "place": "gs://aflogs/audit/production/a",
        "there": 3,
        "lost": [],
        "more": 0,
    }
    lost = {"there": 2, "lost": [{"line": 3, "what": "is not there any more (deploy by ann)"}], "more": 4}
    hosts["b"].answers = {"verify_history": WHOLE, "audit_compare": lost}
    with pytest.raises(NotHealthy) as e:
        reading.refuse_broken(reading.verified(""))
    assert "b: line 3 is not there any more (deploy by ann)\n    b: and 4 more lines" in str(e.value)
    hosts["b"].answers = {"verify_history": WHOLE, "audit_compare": ApplyFailed("gs://aflogs is away", place="b")}
    with pytest.raises(NotHealthy) as e:
        reading.refuse_broken(reading.verified(""))
    assert "their copies could not be looked at:\n    b: gs://aflogs is away" in str(e.value)
