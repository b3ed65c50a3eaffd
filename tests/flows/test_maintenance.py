"""Maintenance over hosts in memory: recorded, then paused, then drained; and the way back from wherever it was cut."""

from __future__ import annotations

import pytest

from airfleet.errors import ApplyFailed, GateRefused, HostUnreachable, NotHealthy, RolloutStopped
from airfleet.maintenance import status, switch_off
from airfleet.maintenance_on import Wish, switch_on
from tests.flows.crowd import INVENTORY, TASK, Crowd, CrowdHost

BEFORE = {"one": False, "two": False, "paused before": True}
ON = ["maintenance_begin", "drain", "drain", "maintenance_note"]
OFF = ["maintenance_note", "restart_drained", "maintenance_unpause", "maintenance_forget"]


class Killed(BaseException):
    """The operator's process is gone: nothing that it would have done any more is done."""


class Site(Crowd):
    """Hosts with workers, a record and DAGs in memory; `dies` is (call, whether it was done) at which the operator is.

    Workers that are marked have been drained and not restarted since.
    """

    def __init__(self):
        super().__init__()
        self.record = None
        self.dags = dict(BEFORE)
        self.hand = {}
        self.entries = []
        self.dies = ("", False)
        self.marked = set()
        self.workers = {"a": {1: {}, 2: {}}, "b": {1: {}, 2: {}, 3: {}}}

    def host(self, name, address, ask):
        return Host(name, self)

    @property
    def idle(self):
        """The workers that take no tasks."""
        return {(h, n) for h, mine in self.workers.items() for n, each in mine.items() if each.get("queues") == []}

    def dag(self, dag):
        by = self.hand.get(dag)
        return {"paused": self.dags[dag], "active": True, "by": by, "event": by and "paused", "when": by and "now"}

    def maintenance_look(self, words):
        named = self.record["dags"] if self.record else []
        active = [dag for dag, paused in self.dags.items() if not paused]
        return {"record": self.record, "active": active, "dags": {d: self.dag(d) for d in named if d in self.dags}}

    def maintenance_begin(self, words):
        before = self.record or {"dags": [], "workers": {}, **words["record"]}
        active = [dag for dag, paused in self.dags.items() if not paused]
        dags = sorted({*before["dags"], *active})
        workers = {**words["record"]["workers"], **before["workers"]}
        self.record = {**before, "phase": "begun", "mark": 0, "dags": dags, "workers": workers}
        self.dags.update(dict.fromkeys(active, True))
        return {"record": self.record, "paused": active}

    def maintenance_note(self, words):
        self.record["phase"] = words["phase"]
        return {"record": self.record}

    def maintenance_unpause(self, words):
        found = {dag: self.dag(dag) for dag in self.record["dags"] if dag in self.dags}
        ours = [dag for dag, each in found.items() if each["paused"] and not each["by"]]
        self.dags.update(dict.fromkeys(ours, False))
        return {"unpaused": ours, "dags": found}

    def maintenance_forget(self, words):
        self.record = None
        return {}


class Host(CrowdHost):
    """One host of the site."""

    def call(self, name, words, tell=None):
        if name == "record":
            self.town.entries.append(words["entry"])
            return {"added": True}
        if name == "maintenance_marks":
            here = {f"airflow-worker@{n}.service" for h, n in self.town.marked if h == self.name}
            return {"marked": sorted(here & set(words["units"]))}
        if self.town.dies == (name, False):
            raise Killed
        if name.startswith("maintenance_"):
            self.town.diary.append((self.name, name))
            answer = self.town.answers.get((self.name, name))
            if isinstance(answer, BaseException):
                raise answer
            answer = getattr(self.town, name)(words)
        else:
            answer = super().call(name, words, tell)
            self._steer(name, words, answer)
        if self.town.dies == (name, True):
            raise Killed
        return answer

    def _steer(self, name, words, answer):
        numbers = words.get("numbers") or [words.get("instance")]
        mine = self.town.workers[self.name]
        if name == "drain":
            self.town.marked |= {(self.name, n) for n in numbers}
        for number in numbers if name in ("drain", "resume", "restart_drained") else []:
            drained = name == "drain" and answer["outcome"] != "held"
            mine[number] = {**mine.get(number, {}), "queues": [] if drained else ["default"]}
        if name == "restart_drained" and answer["outcome"] != "held":
            self.town.marked -= {(self.name, numbers[0])}


@pytest.fixture
def site(install):
    made = Site()
    install(INVENTORY, made.host)
    return made


def on(site, **wish):
    switch_on("", Wish(**wish), site)


def off(site, only=""):
    switch_off("", only, site)


def names(site):
    return [event[1] for event in site.calls if event[1] not in ("hold", "maintenance_look")]


def as_before(site):
    return site.record is None and site.dags == BEFORE and site.idle == set()


def test_recorded_before_paused_before_drained_and_back_the_other_way(site):
    """All hosts are drained at the same time; at the end the workers are there before the first DAG runs again."""
    on(site, reason="kernel \n update")
    assert names(site) == ON
    assert site.dags == dict.fromkeys(BEFORE, True)
    assert len(site.idle) == 5
    assert (site.record["phase"], site.record["dags"], site.record["reason"]) == ("on", ["one", "two"], "kernel update")
    assert site.record["workers"]["b"] == {f"worker{n}@b": ["default"] for n in (1, 2, 3)}
    site.diary.clear()
    off(site)
    assert names(site) == ["maintenance_note", *["restart_drained"] * 5, "maintenance_unpause", "maintenance_forget"]
    assert as_before(site)
    assert site.marked == set()


def test_both_are_in_the_history_of_every_host(site):
    """Who, why, and what became of each host's workers."""
    on(site, reason="kernel")
    off(site)
    first, last = site.entries[0], site.entries[-1]
    assert [first[name] for name in ("doing", "reason", "result")] == ["maintenance.on", "kernel", "done"]
    assert first["hosts"] == {"a": "drained", "b": "drained"}
    assert [last["doing"], last["hosts"]] == ["maintenance.off", {"a": "takes tasks", "b": "takes tasks"}]
    assert len(site.entries) == 6


def test_a_dry_run_changes_nothing(site):
    """No lock, no record, no pause; the plan names DAGs and running tasks."""
    site.workers["a"][1] = {"running": [TASK]}
    on(site, dry_run=True)
    assert (names(site), site.entries, site.dags) == ([], [], BEFORE)
    said = "\n".join(site.said)
    assert "production: pause 2 DAGs: one, two" in said
    assert "etl.load (r1) try 1" in said
    assert "nobody else serves" not in said


def test_without_a_drain_the_workers_are_not_even_asked(site):
    """`--no-drain` pauses alone, also when a worker's host is dead."""
    site.answers["b", "workers_look", None] = HostUnreachable("no route", place="b")
    on(site, drain=False)
    assert names(site) == ["maintenance_begin", "maintenance_note"]
    off(site)
    assert not [event for event in site.diary if event[1] == "restart_drained"]
    assert as_before(site)


def test_a_dag_that_was_paused_before_stays_paused_and_one_by_hand_meanwhile_too(site):
    """Named, with who and when; what appeared meanwhile stays as it is."""
    on(site)
    site.hand["one"] = "eve"
    site.dags["new"] = True
    off(site)
    assert site.dags == {"one": True, "two": False, "paused before": True, "new": True}
    assert any("one: paused meanwhile by eve (paused, now): stays paused" in line for line in site.said)


def test_on_again_says_who_has_it_on(site):
    """Exit 8 with who, since when and why; nothing is done."""
    on(site, reason="kernel")
    site.diary.clear()
    with pytest.raises(GateRefused) as e:
        on(site)
    assert f"is on, by {site.record['who']} since {site.record['since']}: kernel" in e.value.problem
    assert "maintenance.off" in e.value.remedy
    assert names(site) == []


def test_off_when_it_is_off_is_no_failure(site):
    """It says so; no entry in the history."""
    off(site)
    assert site.said == ["production: maintenance is off"]
    assert (names(site), site.entries) == ([], [])


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("call", sorted(set(ON)))
def test_an_on_that_was_killed_anywhere_is_undone_by_off(site, call, done):
    """Before or after each step: DAGs, workers and record are exactly as before."""
    site.dies = (call, done)
    with pytest.raises(Killed):
        on(site)
    site.dies = ("", False)
    off(site)
    assert as_before(site)
    assert site.marked == set()


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("call", sorted(set(ON)))
def test_an_on_that_was_killed_goes_on_when_it_is_typed_again(site, call, done):
    """It ends as if it had never been cut; and then goes back as if it had never been cut."""
    site.dies = (call, done)
    with pytest.raises(Killed):
        on(site)
    site.dies = ("", False)
    if (call, done) == ("maintenance_note", True):
        with pytest.raises(GateRefused):
            on(site)
    else:
        on(site)
    assert (site.record["phase"], site.record["dags"], len(site.idle)) == ("on", ["one", "two"], 5)
    off(site)
    assert as_before(site)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("call", OFF)
def test_an_off_that_was_killed_anywhere_is_finished_by_the_next(site, call, done):
    """Also when somebody paused a DAG by hand in between: that one stays so."""
    on(site)
    site.dies = (call, done)
    with pytest.raises(Killed):
        off(site)
    site.dies = ("", False)
    if site.record and site.record["phase"] == "ending":
        with pytest.raises(GateRefused) as e:
            on(site)
        assert "half off" in e.value.problem
    off(site)
    assert as_before(site)


def test_tasks_that_hold_out_put_everything_back(site):
    """Exit 7 names the task: DAGs unpaused, workers of the other hosts take tasks again, and the history says so."""
    site.workers["b"][1] = {"running": [TASK]}
    site.answers["b", "drain", 1] = {"outcome": "held", "holding": [TASK], "waited_s": 10.0}
    with pytest.raises(RolloutStopped) as e:
        on(site, max_wait_s=10)
    assert "etl.load (r1) try 1" in e.value.problem
    assert e.value.state.startswith("everything is as it was: the DAGs are unpaused, the workers take tasks")
    assert "--max-wait" in e.value.remedy
    assert as_before(site)
    assert [entry["result"] for entry in site.entries] == ["put back"] * 3
    assert ("b", "restart_drained", 1) not in site.calls
    assert site.marked == {("b", 1)}


def test_a_pause_that_fails_leaves_everything_as_it_was(site):
    """The error is the database's own, with its class."""
    site.answers["a", "maintenance_begin"] = NotHealthy("the rows are held", place="a")
    with pytest.raises(NotHealthy) as e:
        on(site)
    assert "everything is as it was" in e.value.state
    assert as_before(site)


def test_what_cannot_be_put_back_is_said_with_the_way_out(site):
    """A host is lost in the drain and stays lost: the DAGs stay paused, the record stays, `off` ends it."""
    site.answers["b", "drain", 1] = HostUnreachable("the connection was lost", place="b")
    site.answers["a", "maintenance_unpause"] = ApplyFailed("no", place="a")
    with pytest.raises(RolloutStopped) as e:
        on(site)
    assert "could not be put back: a: no" in e.value.problem
    assert "still paused" in e.value.state
    del site.answers["a", "maintenance_unpause"]
    off(site)
    assert as_before(site)


def test_an_interruption_tells_both_ways_on(site):
    """Ctrl-C while tasks are waited for: exit 7, what is paused stays recorded."""
    site.answers["a", "drain", 1] = KeyboardInterrupt()
    with pytest.raises(RolloutStopped) as e:
        on(site, only="a")
    assert "maintenance.off puts everything back; fab maintenance.on goes on" in e.value.remedy
    off(site)
    assert as_before(site)


def test_no_dag_runs_before_the_workers_are_well(site):
    """A worker does not come back: exit 9, the DAGs stay paused; the next `off` goes on, or leaves its host out."""
    on(site)
    site.answers["b", "restart_drained", 2] = {"ok": False, "says": "does not answer", "journal": "No module named x"}
    with pytest.raises(NotHealthy) as e:
        off(site)
    assert "No module named x" in e.value.problem
    assert "a takes tasks; the DAGs that are recorded on a are still paused" in e.value.state
    assert "--only" in e.value.remedy
    assert site.record["phase"] == "ending"
    off(site, only="a")
    assert (site.record, site.dags) == (None, BEFORE)
    assert any("left alone: the workers of b" in line for line in site.said)


def test_only_what_maintenance_took_away_is_given_back(site):
    """A worker that was drained or stopped before, or stopped meanwhile, stays so; one that was restarted is left."""
    site.workers["a"][2] = {"queues": []}
    on(site)
    site.workers["b"][1] = {"active": "inactive", "queues": []}
    site.workers["b"][2] = {"queues": ["default"]}
    site.marked -= {("b", 2)}
    site.diary.clear()
    off(site)
    assert {event for event in site.calls if event[1] == "restart_drained"} == {
        ("a", "restart_drained", 1),
        ("b", "restart_drained", 3),
    }
    assert any("worker1@b is inactive: left so" in line for line in site.said)


def test_a_drained_worker_that_still_runs_a_task_is_not_waited_for(site):
    """It takes tasks again at once; the restart that puts it in order has time."""
    on(site, only="a")
    site.workers["a"][1] = {"queues": [], "running": [TASK]}
    site.diary.clear()
    off(site)
    assert ("a", "resume", 1) in site.calls
    assert ("a", "restart_drained", 1) not in site.calls
    assert any("worker1@a: restart them when there is time" in line for line in site.said)


def test_a_status_tells_who_and_what(site):
    """Which DAGs are paused by it, which are not any more, and which workers took tasks."""
    assert status("", site) == {"on": False, "host": "a"}
    on(site, reason="kernel", only="a")
    del site.dags["one"]
    found = status("", site)
    assert [found[name] for name in ("on", "phase", "reason", "paused")] == [True, "on", "kernel", ["two"]]
    assert found["others"] == {"one": "deleted meanwhile"}
    assert found["workers"] == {"a": ["worker1@a", "worker2@a"]}
