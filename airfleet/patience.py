"""How long Airflow 3's API server may be away before a running task ends of it, and how long it would be. Pure.

A task's supervisor sends heartbeats to the API server and tells it what became of the task. Four things end a task
whose server does not answer: a call that was tried often enough, too many heartbeats in a row that failed, a scheduler
that has not heard of it for too long, and a token that ran out. The shortest of them is the budget.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What the settings are where airflow.cfg does not say, as in the catalogue of 3.3.2.
DEFAULTS: Mapping[str, float] = {
    "execution_api_retries": 5,
    "execution_api_retry_wait_min": 1,
    "execution_api_retry_wait_max": 90,
    "max_failed_heartbeats": 3,
    "min_heartbeat_interval": 5,
    "task_instance_heartbeat_timeout": 300,
    "jwt_expiration_time": 600,
}
SURE = 3.0  # standard deviations: one call in seven hundred waits for less
RENEWED = 0.2  # a token is renewed in this last part of its life
UNMEASURED_S = 45.0
TWICE = 2.0  # a busy host takes longer than it did the last time


def budget_s(read: Mapping[str, float]) -> float:
    """Return for how many seconds a task outlives an API server that does not answer, by what its worker has read."""
    known = {**DEFAULTS, **read}
    heartbeats = known["max_failed_heartbeats"] * known["min_heartbeat_interval"]
    silence = known["task_instance_heartbeat_timeout"] - 2 * known["min_heartbeat_interval"]
    token = max(30.0, RENEWED * known["jwt_expiration_time"])
    return max(0.0, min(_tried_s(known), heartbeats, silence, token))


def _tried_s(known: Mapping[str, float]) -> float:
    """Return how long a call is tried again, almost surely.

    Its waits are random, from `wait_min` to a bound that doubles each time up to `wait_max` (tenacity's
    wait_random_exponential): their sum is at least its mean less some standard deviations.
    """
    least, most = known["execution_api_retry_wait_min"], known["execution_api_retry_wait_max"]
    highest = [max(least, min(most, 2.0**n)) for n in range(int(known["execution_api_retries"]) - 1)]
    mean = sum((least + high) / 2 for high in highest)
    deviation = sqrt(sum((high - least) ** 2 / 12 for high in highest))
    return max(least * len(highest), mean - SURE * deviation)


def expected_s(measured: Iterable[float]) -> float:
    """Return for how long a restart may take the API server away: twice the worst that was measured on that host."""
    return max((TWICE * each for each in measured), default=UNMEASURED_S)


def read_settings(lines: Iterable[str]) -> dict[str, float]:
    """Return the settings in lines of an airflow.cfg, such as `max_failed_heartbeats = 60`; others are passed over."""
    found = {}
    for line in lines:
        name, _, value = (part.strip() for part in line.partition("="))
        if name in DEFAULTS:
            try:
                found[name] = float(value)
            except ValueError:
                continue
    return found
