"""The API server of Airflow 3 over hosts in memory: restarted only where the tasks that run outlive it."""

from __future__ import annotations

import pytest

from airfleet import session
from airfleet.api_guard import refuse_long_outage
from airfleet.errors import GateRefused, HostUnreachable
from airfleet.services import steer_service
from airfleet.workers import Wish
from tests.flows.crowd import INVENTORY, TASK, Crowd

PATIENT = ["max_failed_heartbeats = 60", "execution_api_retries = 40", "execution_api_retry_wait_max = 10"]
PATIENT += ["jwt_expiration_time = 3600"]
SECRETS = "database_password: pw\nflower_password: f\nredis_password: r\njwt_secret: j\n"


@pytest.fixture
def crowd(install):
    made = Crowd()
    install({**INVENTORY, "airflow": {"version": "3.3.2"}}, made.host, SECRETS)
    made.workers["b"][3] = {"running": [TASK]}
    made.answers["a", "patience", None] = {"workers": {}, "outages_s": [9.0, 6.0]}
    left(made, PATIENT)
    return made


def left(crowd, lines):
    """Say what the only busy worker has read."""
    crowd.answers["b", "patience", None] = {"workers": {"airflow-worker@3": lines}, "outages_s": []}


def steer(crowd, verb, **wish):
    steer_service("", verb=verb, name="api-server", only="", wish=Wish(**wish), screen=crowd)


def restarted(crowd):
    return ("a", "steer", "airflow-api-server.service") in crowd.calls


def test_a_restart_that_tasks_outlive_is_made_and_says_why(crowd):
    """Twice the longest outage that was measured, against what the busy workers have read."""
    steer(crowd, "restart")
    assert restarted(crowd)
    assert "1 task in progress: what runs outlives" in crowd.said[0]
    assert "expected to be away for 18 s at most" in crowd.said[0]


def test_a_restart_that_could_end_tasks_is_refused_with_both_figures(crowd):
    """Exit 8, and it was left as it was; a worker that has left nothing counts with Airflow's own settings."""
    left(crowd, [])
    with pytest.raises(GateRefused) as e:
        steer(crowd, "restart")
    assert not restarted(crowd)
    assert "those of worker3@b outlive 4 s" in e.value.problem
    assert "for up to 18 s (twice the 9.0 s that were measured here)" in e.value.problem
    assert "api-server on a: left as it was" in e.value.state


def test_what_was_never_measured_is_taken_for_long(crowd):
    """The guess stands in the message as one."""
    crowd.answers["a", "patience", None]["outages_s"] = []
    left(crowd, ["max_failed_heartbeats = 8", *PATIENT[1:]])
    with pytest.raises(GateRefused) as e:
        steer(crowd, "restart")
    assert "for up to 45 s (not measured here yet)" in e.value.problem


def test_a_stop_has_no_end_and_is_refused_while_tasks_run(crowd):
    """Unless the gap is accepted."""
    with pytest.raises(GateRefused):
        steer(crowd, "stop")
    steer(crowd, "stop", allow_gap=True)
    assert restarted(crowd)


def test_nothing_is_asked_where_nothing_runs(crowd):
    """An idle installation may be restarted at will."""
    crowd.workers["b"][3] = {}
    steer(crowd, "stop")
    assert restarted(crowd)
    assert not [call for call in crowd.calls if call[1] == "patience"]


def test_a_host_that_was_left_out_is_not_asked_for_its_tasks_and_named(crowd):
    """`--max-failures` goes on without it; its tasks are unknown, which is said."""
    with session.opened("", doing="test") as fleet:
        fleet.bear(1, crowd.say)
        fleet.failures.take({"b": HostUnreachable("the connection was lost", place="b")})
        refuse_long_outage(fleet, crowd, "a", "restart")
    assert not [event for event in crowd.diary if event[0] == "b"]
    assert "  tasks on b, left out before, can't be counted" in crowd.said
