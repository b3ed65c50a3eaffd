"""Airflow 3's API server is restarted under tasks that need it: none is lost, and one that would be is refused.

The short form restarts it three times; AIRFLEET_LEDGER=full (`make ledger`) twenty times, and shows what is lost
without airfleet's settings.
"""

from __future__ import annotations

import time

import pytest

from tests.live.conftest import wait_for
from tests.live.ledger.case import FULL, SLOTS, begin, forget_outages
from tests.live.ledger.load import TASKS

pytestmark = [pytest.mark.live, pytest.mark.timeout(3600)]

RESTARTS = 20 if FULL else 3
OUTAGE_S = 60
IMPATIENT = {"workers": {"max_failed_heartbeats": 3, "execution_api_retries": 5, "execution_api_retry_wait_max": 90}}
UNIT = "airflow-api-server.service"


@pytest.fixture(scope="module")
def case(first, team):
    return begin(first, team)


@pytest.fixture(autouse=True)
def unmeasured(first):
    """A host that has not restarted its API server yet."""
    forget_outages(first.installation)


def test_restarts_of_the_api_server_lose_nothing(case):
    """0 lost, 0 twice, 0 failed, 0 retried, with every slot of the workers busy; each restart says why it may."""
    with case.load() as load:
        wait_for(lambda: case.book.begun() >= SLOTS, "a task in every slot", 180)
        for _ in range(RESTARTS):
            if not FULL:  # what other tests slow down by half a minute is no reason to refuse the next one
                forget_outages(case.installation)
            said = case.installation.fab("restart", "--service", "api-server").stdout
            assert "without the API server, which is expected to be away for" in said
            assert "the web page was away for" in said
    case.settled(load)
    verdict = case.book.verdict(load.runs, TASKS, SLOTS)
    print(verdict)
    assert verdict.clean, verdict
    assert verdict.tasks >= SLOTS


@pytest.mark.skipif(not FULL, reason="the long form: AIRFLEET_LEDGER=full (make ledger)")
def test_with_airflows_own_patience_a_restart_is_refused_and_an_outage_loses_tasks(case):
    """The guard names both figures and touches nothing; what it guards from is real."""
    installation = case.installation
    installation.edit(lambda value: value["airflow"].update(config=IMPATIENT))
    try:
        installation.fab("bootstrap")
        before = case.book.begun()
        with case.load(backlog=2 * SLOTS) as load:
            wait_for(lambda: case.book.begun() >= before + SLOTS, "a task in every slot", 180)
            said = installation.fab("restart", "--service", "webserver", rc=8).stderr
            assert "s without the API server; a restart takes it away for up to" in said
            assert "that were measured here" in said
            assert installation.on("af1", "systemctl", "is-active", UNIT).strip() == "active"
            assert "takes it away for good" in installation.fab("stop", "--service", "api-server", rc=8).stderr
            installation.on("af1", "systemctl", "stop", UNIT)
            time.sleep(OUTAGE_S)
            installation.on("af1", "systemctl", "start", UNIT)
        case.settled(load, 900)
        verdict = case.book.verdict(load.runs, TASKS, SLOTS)
        print(verdict)
        assert verdict.failed > 0
    finally:
        installation.edit(lambda value: value["airflow"].pop("config", None))
        installation.on("af1", "systemctl", "start", UNIT)
        installation.fab("bootstrap")
    assert installation.fab("plan").stdout.startswith("in order")
