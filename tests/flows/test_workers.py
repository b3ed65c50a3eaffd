"""Restarts, drains and scaling over hosts in memory: the order, what is refused, and how the world is left."""

from __future__ import annotations

import threading

import pytest

from airfleet import session
from airfleet.batches import Batch
from airfleet.errors import GateRefused, HostUnreachable, NotHealthy, RolloutStopped, UsageError
from airfleet.services import steer_service, steps_of
from airfleet.staffing import drain_workers, resume_workers, scale_workers
from airfleet.workers import Rollout, Wish, restart_workers
from tests.flows.crowd import INVENTORY, TASK, Crowd


@pytest.fixture
def crowd(install):
    made = Crowd()
    install(INVENTORY, made.host)
    return made


@pytest.fixture
def more(install):
    """The same with a third host of workers, d."""
    made = Crowd()
    made.workers["d"] = {}
    hosts = {**INVENTORY["hosts"], "d": {"address": "10.1.0.14", "roles": ["worker"]}}
    install({**INVENTORY, "hosts": hosts}, made.host)
    return made


def restart(crowd, count=0, only="", dry_run=False, over=None, **wish):
    restart_workers("", count=count, only=only, dry_run=dry_run, wish=Wish(**wish), screen=crowd, over=over)


def test_workers_are_restarted_one_after_the_other_under_the_lock(crowd):
    """Host by host, instance by instance; never two at once."""
    restart(crowd)
    assert [("a", "hold")] + [
        (host, "restart_drained", number) for host, number in [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3)]
    ] == crowd.calls


def test_a_dry_run_prints_the_plan_and_stops(crowd):
    """The running tasks, how long they will take, and what happens at the deadline; no lock, no change."""
    crowd.workers["a"][1] = {"running": [TASK]}
    restart(crowd, dry_run=True, max_wait_s=10)
    assert crowd.calls == []
    said = "\n".join(crowd.said)
    assert "worker1@a: serves default; 1 running; expected wait about 30 s" in said
    assert "etl.load (r1) try 1, 1 min 0 s so far, usually 1 min 30 s, 2 retries left" in said
    assert "if etl.load still runs after 10 s (--max-wait): it takes tasks again, nothing is cut, exit 7" in said


def test_what_would_be_cut_is_said_before(crowd):
    """With --kill-after-wait the plan names what may be cut; without need it names nothing."""
    crowd.workers["a"][1] = {"running": [TASK]}
    restart(crowd, dry_run=True, max_wait_s=10, kill_after_wait=True)
    assert "would be CUT; that may be: etl.load" in "\n".join(crowd.said)
    crowd.said.clear()
    restart(crowd, dry_run=True, max_wait_s=100, kill_after_wait=True)
    assert "CUT" not in "\n".join(crowd.said)


def test_count_means_the_first_instances_and_the_others_are_named(crowd):
    """`--count 1`: worker 1 of each chosen host; the rest is left alone, by name."""
    restart(crowd, count=1, only="b")
    assert [("a", "hold"), ("b", "restart_drained", 1)] == crowd.calls
    assert "  left alone: worker2@b, worker3@b" in crowd.said


@pytest.mark.parametrize("count", [3, -1])
def test_a_count_that_the_inventory_has_not_is_refused(crowd, count):
    """A restart never changes how many workers there are: exit 2, nothing was contacted."""
    with pytest.raises(UsageError) as e:
        restart(crowd, count=count)
    assert "a has 2 workers" in e.value.problem
    assert crowd.diary == []


def test_hosts_without_workers_are_refused(crowd):
    """--only with a host that has no worker is an error, not a skip."""
    with pytest.raises(UsageError) as e:
        restart(crowd, only="c")
    assert "hosts with workers: a, b" in e.value.remedy


def test_the_last_consumer_of_a_queue_with_work_is_refused(crowd):
    """Exit 8 before the lock is taken; --allow-gap accepts it."""
    crowd.workers["b"][2] = {"gaps": [{"queue": "gpu", "waiting": 4, "running": 1}]}
    with pytest.raises(GateRefused) as e:
        restart(crowd)
    assert "gpu (4 waiting, 1 running)" in e.value.problem
    assert crowd.calls == []
    restart(crowd, allow_gap=True)
    assert ("b", "restart_drained", 2) in crowd.calls


def test_a_worker_that_holds_out_stops_the_rollout(crowd):
    """Exit 7 names the task; nobody after it is touched."""
    crowd.answers["a", "restart_drained", 2] = {"outcome": "held", "holding": [TASK], "waited_s": 10.0}
    with pytest.raises(RolloutStopped) as e:
        restart(crowd)
    assert "etl.load (r1) try 1" in e.value.problem
    assert e.value.state.startswith(
        "done: worker1@a; worker2@a: runs on and takes tasks again; untouched: worker1@b, worker2@b, worker3@b"
    )
    assert ("b", "restart_drained", 1) not in crowd.calls


def test_what_was_cut_is_named(crowd):
    """After --kill-after-wait the operator reads which task was cut."""
    crowd.answers["a", "restart_drained", 1] = {"holding": [TASK], "unnamed": 1}
    restart(crowd, kill_after_wait=True)
    cut = [line for line in crowd.said if "CUT on worker1@a" in line]
    assert "etl.load (r1)" in cut[0]
    assert "1 that Airflow does not name" in cut[0]


def test_a_worker_that_does_not_run_a_task_stops_the_rollout(crowd):
    """Exit 9 with its journal: a unit that is active proves nothing."""
    crowd.answers["a", "restart_drained", 1] = {"ok": False, "says": "does not answer", "journal": "No module named x"}
    with pytest.raises(NotHealthy) as e:
        restart(crowd)
    assert "No module named x" in e.value.problem
    assert "in doubt: worker1@a" in e.value.state
    assert ("a", "restart_drained", 2) not in crowd.calls


@pytest.mark.parametrize("loss", [KeyboardInterrupt(), HostUnreachable("the connection was lost", place="a")])
def test_an_interruption_says_that_the_worker_comes_back(crowd, loss):
    """Whoever presses Ctrl-C at three in the morning knows what became of it."""
    crowd.answers["a", "restart_drained", 2] = loss
    with pytest.raises((RolloutStopped, HostUnreachable)) as e:
        restart(crowd)
    assert "done: worker1@a; worker2@a: takes tasks again by itself" in e.value.state


def test_scaling_starts_and_stops_what_differs(crowd):
    """Up on one host, down on the other, the highest number first; the inventory's number is pointed at."""
    scale_workers("", count=2, only="", dry_run=False, wish=Wish(), screen=crowd)
    assert [("a", "hold"), ("b", "stop_drained", 3)] == crowd.calls
    crowd.diary.clear()
    scale_workers("", count=4, only="a", dry_run=False, wish=Wish(), screen=crowd)
    assert [("a", "hold"), ("a", "start_worker", 3), ("a", "start_worker", 4)] == crowd.calls
    assert any("the inventory says 2" in line for line in crowd.said)


def test_scaling_to_what_is_there_changes_nothing(crowd):
    """No lock is taken; a count is needed."""
    scale_workers("", count=2, only="a", dry_run=False, wish=Wish(), screen=crowd)
    assert crowd.calls == []
    with pytest.raises(UsageError):
        scale_workers("", count=0, only="a", dry_run=False, wish=Wish(), screen=crowd)


def test_drain_and_resume_go_host_by_host(crowd):
    """All workers of a host at once; a host that holds out leaves the next one alone."""
    drain_workers("", only="", wish=Wish(), screen=crowd)
    resume_workers("", only="", screen=crowd)
    assert [("a", "hold"), ("a", "drain", 1), ("b", "drain", 1)] == crowd.calls[:3]
    assert [("a", "hold"), ("a", "resume", 1), ("b", "resume", 1)] == crowd.calls[3:]
    crowd.diary.clear()
    crowd.answers["a", "drain", 1] = {"outcome": "held", "holding": [TASK]}
    with pytest.raises(RolloutStopped):
        drain_workers("", only="", wish=Wish(), screen=crowd)
    assert ("b", "drain", 1) not in crowd.calls


def test_services_start_in_the_order_of_their_needs_and_stop_the_other_way(crowd):
    """Redis first, workers late; the reverse for a stop."""
    with session.opened("", doing="test") as fleet:
        hosts = tuple(fleet.hosts)
        up = [str(step) for step in steps_of(fleet.inventory, hosts, "start", "all")]
        down = [str(step) for step in steps_of(fleet.inventory, hosts, "stop", "all")]
        with pytest.raises(UsageError):
            steps_of(fleet.inventory, ("b",), "stop", "redis")
    assert ["redis on a", "scheduler on a", "triggerer on c", "trigger-logs on c", "webserver on a"] == up[:5]
    assert up[::-1] == down
    assert up.index("logs on a") < up.index("worker on a")


def test_a_restart_of_the_workers_service_goes_through_the_drain(crowd):
    """`fab restart --service worker` is no short cut."""
    steer_service("", verb="restart", name="worker", only="a", wish=Wish(), screen=crowd)
    assert [("a", "hold"), ("a", "restart_drained", 1), ("a", "restart_drained", 2)] == crowd.calls


def test_redis_stays_while_tasks_run(crowd):
    """Workers end with their broker: refused, whichever host runs the task; --allow-gap accepts it."""
    crowd.workers["b"][3] = {"running": [TASK]}
    with pytest.raises(GateRefused) as e:
        steer_service("", verb="restart", name="redis", only="a", wish=Wish(), screen=crowd)
    assert "worker3@b runs tasks" in e.value.problem
    assert crowd.calls == []
    steer_service("", verb="restart", name="redis", only="a", wish=Wish(allow_gap=True), screen=crowd)
    assert ("a", "steer", "redis-server.service") in crowd.calls


def test_a_service_that_is_unknown_is_told_the_known_ones(crowd):
    """Exit 2, nothing was contacted."""
    with pytest.raises(UsageError) as e:
        steer_service("", verb="stop", name="webservr", only="", wish=Wish(), screen=crowd)
    assert "webserver" in e.value.remedy
    assert crowd.diary == []


def test_what_is_done_to_workers_and_services_is_in_the_history(crowd):
    """Who did what, and what became of each host: on every host, also on those that it was not about."""
    restart(crowd, only="a")
    scale_workers("", count=2, only="b", dry_run=False, wish=Wish(), screen=crowd)
    drain_workers("", only="a", wish=Wish(), screen=crowd)
    resume_workers("", only="a", screen=crowd)
    steer_service("", verb="stop", name="triggerer", only="", wish=Wish(), screen=crowd)
    assert crowd.history == [
        ("restart-workers", "done", {"a": "worker1 worker2 done"}),
        ("scale-workers", 2, "done", {"b": "worker3 done"}),
        ("drain-workers", "done", {"a": "done"}),
        ("resume-workers", "done", {"a": "done"}),
        ("stop", "triggerer", "done", {"c": "triggerer done"}),
    ]
    assert sorted(event[0] for event in crowd.diary if event[1] == "record") == sorted("abc" * 5)


def test_a_restart_that_stops_says_in_the_history_how_far_it_came(crowd):
    """The worker that holds out, and those behind it."""
    crowd.answers["a", "restart_drained", 2] = {"outcome": "held", "holding": [TASK], "waited_s": 10.0}
    with pytest.raises(RolloutStopped):
        restart(crowd)
    became = {"a": "worker1 done / worker2 in doubt", "b": "worker1 worker2 worker3 untouched"}
    assert crowd.history == [("restart-workers", "stopped", became)]


def test_what_changes_nothing_is_not_in_the_history(crowd):
    """A dry run, and what was refused before the lock was taken."""
    restart(crowd, dry_run=True)
    crowd.workers["b"][2] = {"gaps": [{"queue": "gpu", "waiting": 4, "running": 1}]}
    with pytest.raises(GateRefused):
        restart(crowd)
    assert crowd.history == []


def test_a_batch_of_hosts_restarts_its_workers_together(more):
    """The first host alone; two others at the same time, the workers of each one after the other."""
    more.meeting = threading.Barrier(2, timeout=10)
    restart(more, over=Rollout(Batch(2)))
    restarted = [(host, number) for host, name, number in more.calls[1:] if name == "restart_drained"]
    assert [("a", 1), ("a", 2)] == restarted[:2]
    assert [1, 2, 3] == [number for host, number in restarted if host == "b"]
    assert {("b", 1), ("d", 1)} == set(restarted[2:4])


def test_a_host_that_fails_is_left_out_and_named_when_that_is_borne(more):
    """The others are finished; exit 7 says what was not done."""
    more.answers["b", "restart_drained", 2] = HostUnreachable("the connection was lost", place="b")
    with pytest.raises(RolloutStopped) as e:
        restart(more, over=Rollout(max_failures=1))
    assert "left out: b: the connection was lost" in e.value.problem
    assert "done: worker1@a, worker2@a, worker1@b, worker1@d, worker2@d" in e.value.state
    assert "worker2@b: takes tasks again by itself; untouched: worker3@b" in e.value.state
    each = {"a": "worker1 worker2 done", "b": "worker1 done / worker2 in doubt / worker3 untouched"}
    assert more.history == [("restart-workers", "stopped", {**each, "d": "worker1 worker2 done"})]


def test_the_first_host_that_fails_stops_all_whatever_is_borne(more):
    """It is the canary."""
    more.answers["b", "restart_drained", 1] = {"ok": False, "says": "does not answer"}
    with pytest.raises(NotHealthy):
        restart(more, only="b,d", over=Rollout(max_failures=1))
    assert not [call for call in more.calls if call[0] == "d"]


def test_a_role_chooses_its_hosts(crowd):
    """`--only worker` is every host with workers."""
    restart(crowd, only="worker")
    assert {"a", "b"} <= {host for host, name, _ in crowd.calls[1:] if name == "restart_drained"}
    with pytest.raises(UsageError):
        restart(crowd, only="triggerer")
