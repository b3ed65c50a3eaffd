"""Before a bootstrap restarts the Redis that runs: no worker runs a task, no scheduler sends one."""

from __future__ import annotations

import pytest

from airfleet import session
from airfleet.errors import GateRefused, HostUnreachable, RolloutStopped
from airfleet.model import Change, Seen
from airfleet.resources import Unit
from airfleet.restarts import Restarts
from airfleet.units import REDIS_UNIT
from tests.flows.crowd import INVENTORY, TASK, Crowd


@pytest.fixture
def crowd(install):
    made = Crowd()
    install({**INVENTORY, "airflow": {"version": "2.11.2"}}, made.host)
    running(made, "a", "airflow-scheduler.service", "airflow-worker@1.service")
    running(made, "b", "airflow-worker@1.service")
    running(made, "c")
    return made


def running(crowd, host, *units):
    crowd.answers[host, "active_units", None] = {"active": list(units)}


def restart(crowd, active="active", only=""):
    """Do what comes before the stage in which Redis is restarted; return what was done on the hosts."""
    change = Change(Unit(REDIS_UNIT), Seen({"enabled": "enabled", "active": active}))
    with session.opened("", doing="bootstrap", only=only) as fleet:
        fleet.connect()
        Restarts(fleet, crowd, 60).redis({"a": [change]})
    return [event for event in crowd.calls if event[1] not in ("active_units", "hold")]


def test_workers_are_drained_first_and_then_the_scheduler_is_stopped(crowd):
    """In this order: what the scheduler sends meanwhile waits in Redis; later stages start what was stopped."""
    done = restart(crowd)
    assert [("drain", "a"), ("drain", "b"), ("steer", "a")] == [(what, host) for host, what, _ in done]
    assert ("a", "steer", "airflow-scheduler.service") == done[-1]


def test_one_that_does_not_run_is_just_started(crowd):
    """Then there is nothing to wait for."""
    assert [] == restart(crowd, active="inactive")


def test_a_first_bootstrap_waits_for_nobody(crowd):
    """Debian starts Redis when it is installed: no worker and no scheduler run yet."""
    running(crowd, "a")
    running(crowd, "b")
    assert [] == restart(crowd)


def test_a_task_that_does_not_end_in_time_stops_the_run(crowd):
    """The scheduler goes on, and so does Redis."""
    crowd.answers["b", "drain", 1] = {"outcome": "held", "holding": []}
    with pytest.raises(RolloutStopped):
        restart(crowd)
    assert "steer" not in [what for _, what, *_ in crowd.diary]


def test_a_host_that_cannot_be_reached_is_not_waited_for(crowd):
    """It was left out, or is down: Redis is mended all the same."""
    crowd.answers["b", "active_units", None] = HostUnreachable("no", place="b")
    done = restart(crowd, only="a")
    assert [("drain", "a"), ("steer", "a")] == [(what, host) for host, what, _ in done]


def test_tasks_of_hosts_that_were_not_chosen_are_not_ended(crowd):
    """`--only` the host of Redis, while workers elsewhere are busy: refused before anything is stopped."""
    crowd.workers["b"][1] = {"running": [TASK]}
    with pytest.raises(GateRefused) as e:
        restart(crowd, only="a")
    assert "worker1@b runs tasks" in e.value.problem
    assert "steer" not in [what for _, what, *_ in crowd.diary]
