"""How long a task of Airflow 3 outlives its API server: by the settings, and against a simulation of the waits."""

from __future__ import annotations

import random

import pytest

from airfleet.generations import AIRFLOW_3
from airfleet.patience import DEFAULTS, UNMEASURED_S, budget_s, expected_s, read_settings

OURS = {key: float(value) for (_, key), value in AIRFLOW_3.constants.items() if key in DEFAULTS}


def test_airflows_own_settings_give_seconds():
    """Three heartbeats, or five tries of a call: a restart of the API server takes longer."""
    assert budget_s({}) < 10


def test_airfleets_settings_give_minutes():
    """Longer than any restart that was measured, several times over."""
    assert 120 < budget_s(OURS) < 300


def test_the_shortest_of_all_counts():
    """One impatient setting undoes the others."""
    assert budget_s({**OURS, "max_failed_heartbeats": 3}) == 15
    assert budget_s({**OURS, "task_instance_heartbeat_timeout": 30}) == 20
    assert budget_s({**OURS, "jwt_expiration_time": 60}) == 30
    assert budget_s({**OURS, "execution_api_retries": 1}) == 0


@pytest.mark.parametrize("settings", [{}, OURS, {**OURS, "execution_api_retries": 20}])
def test_a_call_is_hardly_ever_tried_for_less(settings):
    """Of thousands of calls with random waits, as tenacity draws them, at most one in a hundred gives up sooner."""
    known = {**DEFAULTS, **settings, "max_failed_heartbeats": 1e6, "jwt_expiration_time": 1e6}
    known["task_instance_heartbeat_timeout"] = 1e6
    draw = random.Random(1)
    least, most, tries = (known[f"execution_api_retr{each}"] for each in ("y_wait_min", "y_wait_max", "ies"))

    def one():
        return sum(draw.uniform(least, max(least, min(most, 2.0**n))) for n in range(int(tries) - 1))

    calls = sorted(one() for _ in range(5000))
    assert calls[50] >= budget_s(known) * 0.999


def test_what_is_expected_is_twice_the_worst_that_was_measured():
    """And a guess that is longer than any restart seen, where nothing was."""
    assert expected_s([6.0, 9.5, 7.0]) == 19.0
    assert expected_s([]) == UNMEASURED_S


def test_settings_are_read_as_they_stand_in_airflow_cfg():
    """Others, and what is no number, are passed over."""
    lines = ["max_failed_heartbeats = 60", "jwt_secret = x", "execution_api_retries = many", "", "[workers]"]
    assert read_settings(lines) == {"max_failed_heartbeats": 60.0}
