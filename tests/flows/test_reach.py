"""Probes between hosts in memory: who is asked what, and what is made of the answers."""

from __future__ import annotations

import pytest

from airfleet import reach
from airfleet.errors import HostUnreachable, NotHealthy, UsageError
from airfleet.firewall import OPEN, REFUSED, SILENT, UNASKED
from tests.flows.memory_host import MemoryHost

INVENTORY = {
    "airflow": {"python": "system", "constraints": "constraints.txt"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "hosts": {
        "a": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "webserver"]},
        "b": {"address": "10.1.0.12", "roles": ["worker"]},
    },
}


class Asked(MemoryHost):
    """A host for which the ways to these ports are not open."""

    shut: dict = {}  # noqa: RUF012
    listening = ()
    gone = False

    def call(self, name, words, tell=None):
        super().call(name, words, tell)
        if self.gone:
            raise HostUnreachable("no answer in time", place=self.name)
        results = [self.shut.get(port, OPEN) for _, port in words["places"]]
        return {"results": results, "listening": list(self.listening)}


@pytest.fixture
def hosts(install, diary):
    made = {name: Asked(name, diary) for name in INVENTORY["hosts"]}
    install(INVENTORY, lambda name, address, ask: made[name])
    return made


def probe(only=""):
    return reach.probe("", only=only, timeout_s=1)


def test_nobody_is_asked_where_no_probe_is_wanted(hosts, diary):
    """The table comes from the inventory alone."""
    assert len(reach.needed("")[1]) > 5
    assert [] == diary


def test_all_open_is_no_error(hosts):
    """Each host was asked, and SSH has proven itself."""
    found = probe()
    reach.refuse_closed(found)
    assert {OPEN} == set(found.seen.values())
    assert {"a", "b"} == {way.target for way in found.seen if way.port == 22}


def test_what_gets_no_answer_and_what_is_refused_are_counted_apart(hosts):
    """Exit 9."""
    hosts["b"].shut = {6379: SILENT, 5432: REFUSED}
    with pytest.raises(NotHealthy) as e:
        reach.refuse_closed(probe())
    assert "1 × no answer" in e.value.problem
    assert "1 × refused" in e.value.problem


def test_a_host_that_cannot_be_asked_is_told_and_the_others_are_asked(hosts):
    """Its own ways are unknown, its sshd gives no answer; exit 9 says why."""
    hosts["b"].gone = True
    found = probe()
    assert {SILENT} == {result for way, result in found.seen.items() if (way.target, way.port) == ("b", 22)}
    assert {UNASKED} == {result for way, result in found.seen.items() if way.source == "b"}
    assert OPEN in found.seen.values()
    with pytest.raises(NotHealthy) as e:
        reach.refuse_closed(found)
    assert "b: no answer in time" in e.value.problem


def test_only_the_chosen_hosts_are_asked(hosts, diary):
    """The others' ways have no result."""
    found = probe(only="worker")
    assert {"b"} == {event[0] for event in diary}
    assert {"b", "operator"} == {way.source for way in found.seen}


def test_what_is_open_beyond_need_is_named(hosts):
    """It is a warning, not an error."""
    hosts["a"].listening = [["0.0.0.0", 6379]]
    found = probe()
    reach.refuse_closed(found)
    assert ["a: Redis listens on 0.0.0.0:6379"] == [str(each) for each in found.beyond]


def test_a_timeout_that_is_none_is_refused(hosts, diary):
    """Exit 2, nobody was contacted."""
    with pytest.raises(UsageError):
        reach.probe("", only="", timeout_s=0)
    assert [] == diary
