"""Retiring a host in memory: drained, cleared, remembered; what is refused, and what is done for one that is gone."""

from __future__ import annotations

import pytest
import yaml

from airfleet import retire as flow
from airfleet.errors import ApplyFailed, GateRefused, HostUnreachable, RolloutStopped, UsageError
from airfleet.workers import Wish as Drain
from tests.flows.crowd import TASK
from tests.flows.quiet import Quiet

ALL = {
    "a": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "webserver"]},
    "b": {"address": "10.1.0.12", "roles": ["worker"], "celery": {"instances": 1, "queues": ["gpu"]}},
    "c": {"address": "10.1.0.13", "roles": ["worker"]},
}
INVENTORY = {"database": {"host": "10.1.0.2"}, "dags": {"repository": "https://git.internal/dags.git"}, "hosts": ALL}
NOTHING = {"units": [], "paths": [], "account": None}
THERE = {"units": ["airflow-worker@1.service"], "paths": ["/home/airflow/airflow/airflow.cfg"], "account": None}


class RetireHost:
    """A host with what is left of an installation on it, the history that it remembers, and a diary."""

    def __init__(self, name, diary):
        self.name, self.diary = name, diary
        self.there = dict(THERE)
        self.members, self.entries = {"members": {}, "retired": {}}, []
        self.drained = {"outcome": "empty", "waited_s": 1.0, "holding": [], "unnamed": 0}
        self.stubborn = self.gone = False
        self.closed = False

    def open(self):
        return self

    def close(self):
        self.closed = True

    def hold(self, words):
        self.diary.add(self.name, "hold")
        return {"held_by": None}

    def call(self, name, words, tell=None):
        if self.gone:
            raise HostUnreachable("no answer in time", place=self.name)
        if name not in ("members", "record"):
            self.diary.add(self.name, name)
        return getattr(self, f"_{name}")(words)

    def _members(self, words):
        return self.members

    def _record(self, words):
        self.entries.append(words["entry"])
        return {"added": True}

    def _remains(self, words):
        return self.there

    def _clear(self, words):
        there, self.there = self.there, self.there if self.stubborn else NOTHING
        return there

    def _workers_look(self, words):
        node = {"instance": 1, "node": f"worker1@{self.name}", "active": "active", "enabled": True, "answers": True}
        more = {"queues": words["serves"], "running": [], "unnamed": 0, "reserved": 0, "gaps": []}
        return {"workers": [{**node, **more}]}

    def _drain(self, words):
        if isinstance(self.drained, Exception):
            raise self.drained
        return self.drained


@pytest.fixture
def hosts(diary, install):
    """Three hosts, of which the inventory has all; `without` takes one out of it, and the others remember it."""
    made = {name: RetireHost(name, diary) for name in ALL}
    install(INVENTORY, lambda name, address, ask: made[name])
    return made


@pytest.fixture
def without(hosts, install, monkeypatch, tmp_path):
    def take(name):
        rest = {other: ALL[other] for other in ALL if other != name}
        (tmp_path / "inventory.yaml").write_text(yaml.safe_dump({**INVENTORY, "hosts": rest}))
        for other in rest:
            hosts[other].members = {"members": {name: ["t1", ALL[name]]}, "retired": {}}
        return hosts[name]

    return take


def retire(name, **wish):
    screen = Quiet()
    flow.retire("", name, flow.Wish(**wish), screen)
    return screen.said


def test_a_host_is_drained_then_cleared_under_the_lock_and_remembered_as_retired(hosts, diary):
    """And the operator is told what to delete from the inventory."""
    said = retire("b")
    order = ["remains", "hold", "workers_look", "drain", "clear", "remains"]
    assert order == [event[1] for event in diary]
    assert {"a"} == {event[0] for event in diary if event[1] == "hold"}
    assert ["b"] == hosts["a"].entries[0]["retired"] == hosts["c"].entries[0]["retired"]
    assert "now delete hosts.b from the inventory" in said[-1]
    assert "  - airflow-worker@1.service" in said
    assert any("nobody else serves the queue gpu" in line for line in said)


def test_a_dry_run_tells_and_touches_nothing(hosts, diary):
    """What would be stopped and removed, and what stays."""
    said = retire("b", dry_run=True)
    assert ["remains"] == [event[1] for event in diary]
    assert any("see --purge" in line for line in said)


def test_a_host_that_the_inventory_has_no_more_is_retired_as_it_was_remembered(without, hosts, diary):
    """By its address and its queues of then; nothing is left to delete."""
    without("b")
    said = retire("b")
    assert "drain" in [event[1] for event in diary]
    assert ["b"] == hosts["a"].entries[0]["retired"]
    assert not any("delete hosts.b" in line for line in said)


def test_typed_twice_it_does_nothing_twice(without, hosts, diary):
    """One in the inventory: nothing is there any more. One that is not: it was retired then."""
    hosts["b"].there = NOTHING
    assert "b: nothing of airfleet is there (any more)" in retire("b")
    assert not [event for event in diary if event[1] in ("drain", "clear")]
    without("b")
    hosts["a"].members["retired"] = {"b": "t2"}
    diary.clear()
    assert ["nothing to do: b was retired at t2, and is not in the inventory"] == retire("b")
    assert [] == diary


def test_a_worker_that_holds_out_keeps_its_host(hosts, diary):
    """Exit 7 names the task; nothing was cleared, and the history says stopped."""
    hosts["b"].drained = {"outcome": "held", "waited_s": 9.0, "holding": [TASK], "unnamed": 0}
    with pytest.raises(RolloutStopped) as e:
        retire("b", drain=Drain(max_wait_s=9))
    assert "etl.load" in e.value.problem
    assert "clear" not in [event[1] for event in diary]
    assert "stopped" == hosts["a"].entries[0]["result"]


def test_the_last_consumer_of_a_queue_with_work_keeps_its_host(hosts, diary):
    """Exit 8, by the host that asks Celery itself."""
    hosts["b"].drained = GateRefused("nobody else serves the queue gpu (3 waiting, 0 running)", place="b")
    with pytest.raises(GateRefused):
        retire("b")
    assert "clear" not in [event[1] for event in diary]
    assert "refused" == hosts["a"].entries[0]["result"]


def test_the_only_host_with_a_needed_role_is_refused_before_it_is_contacted(hosts, diary):
    """Exit 8."""
    with pytest.raises(GateRefused) as e:
        retire("a")
    assert "the only host with the role redis" in e.value.problem
    assert [] == diary


def test_a_machine_that_is_gone_is_remembered_as_retired_alone(without, hosts, diary):
    """It is not contacted; the others' history has it."""
    without("b").gone = True
    retire("b", gone=True)
    assert ["hold"] == [event[1] for event in diary]
    assert ["b"] == hosts["c"].entries[0]["retired"]


def test_a_machine_that_does_not_answer_is_no_retired_one(without, hosts):
    """Exit 3, unless it is said that it is gone."""
    without("b").gone = True
    with pytest.raises(HostUnreachable):
        retire("b")
    assert [] == hosts["a"].entries


def test_a_purged_host_is_not_written_to_again(hosts):
    """Its history went with the rest; its connection is closed."""
    retire("b", purge=True)
    assert [] == hosts["b"].entries
    assert hosts["b"].closed
    assert ["b"] == hosts["a"].entries[0]["retired"]


def test_what_is_still_there_afterwards_is_an_error(hosts):
    """An exit code is no proof."""
    hosts["b"].stubborn = True
    with pytest.raises(ApplyFailed) as e:
        retire("b")
    assert "still there: airflow-worker@1.service" in e.value.problem


def test_a_host_that_nobody_knows_is_a_typing_error(hosts):
    """Exit 2, with those that can be retired; and one of which only the name is known."""
    with pytest.raises(UsageError) as e:
        retire("x")
    assert "a, b, c" in e.value.remedy
    hosts["a"].members = {"members": {"old": ["t1", {}]}, "retired": {}}
    with pytest.raises(UsageError) as e:
        retire("old")
    assert "--gone" in e.value.remedy
    retire("old", gone=True)
    assert ["old"] == hosts["a"].entries[0]["retired"]
