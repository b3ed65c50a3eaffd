"""Status and doctor over hosts in memory: who is at work is asked where it matters, and once more in doubt."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from airfleet import status
from airfleet.errors import NotHealthy
from tests.flows.stand_in import StandIn

HEALTHY = json.loads((Path(__file__).parents[1] / "pure/data/checkup-healthy.json").read_text())
HOLDER = {"who": "ann@desk", "doing": "restart-workers", "since": "17:00", "age_s": 1.0}
INVENTORY = {
    "airflow": {"version": "2.11.2"},
    "database": {"host": "10.77.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "hosts": {
        "af1": {
            "address": "10.77.0.11",
            "roles": ["redis", "webserver", "scheduler", "triggerer", "worker", "flower"],
        },
        "af2": {"address": "10.77.0.12", "roles": ["worker"]},
    },
}


class Site:
    """Two hosts as they were really seen; `holders` is what the lock's host answers, one after the other."""

    def __init__(self):
        self.facts = copy.deepcopy(HEALTHY)
        self.holders = []
        self.asked = []
        self.said = []

    def host(self, name, address, ask):
        return SiteHost(name, self)

    def say(self, text, style=""):
        self.said.append(text)

    def stop_a_worker(self):
        seen = self.facts["hosts"]["af2"]["units"]["airflow-worker@1.service"]
        seen.update(active="inactive", sub="dead", since_s=1.0)

    def status(self, only=""):
        return json.loads(status.status_json("", only=only))


class SiteHost(StandIn):
    def call(self, name, words, tell=None):
        if name == "holder":
            self.town.asked.append(self.name)
            return {"held_by": self.town.holders.pop(0)}
        return self.town.facts["crew"] if name == "crew" else self.town.facts["hosts"][self.name]


@pytest.fixture
def site(install):
    made = Site()
    install(INVENTORY, made.host)
    return made


def test_the_locks_host_tells_who_is_at_work_with_all_else(site):
    """No further question is asked."""
    site.stop_a_worker()
    site.facts["hosts"]["af1"]["operation"] = HOLDER
    seen = site.status()
    assert seen["well"] is True
    assert [each["id"] for each in seen["held_back"]] == ["service-stopped"]
    assert site.asked == []


def test_somebody_who_has_begun_meanwhile_is_found(site):
    """The lock was free when it was looked at: it is looked at again before anybody is alarmed."""
    site.stop_a_worker()
    site.holders = [HOLDER]
    seen = site.status()
    assert seen["well"] is True
    assert seen["operation"]["doing"] == "restart-workers"
    assert site.asked == ["af1"]


def test_what_nobody_brings_about_is_a_cause(site):
    """Nobody is at work, at the second look neither."""
    site.stop_a_worker()
    site.holders = [None]
    seen = site.status()
    assert (seen["well"], seen["operation"], seen["held_back"]) == (False, None, [])


def test_the_locks_host_is_asked_also_where_it_is_left_out(site):
    """--only af2: the lock is on af1."""
    site.stop_a_worker()
    site.holders = [HOLDER]
    assert site.status(only="af2")["operation"]["who"] == "ann@desk"
    assert site.asked == ["af1"]


def test_a_healthy_installation_is_not_asked_twice(site):
    """One conversation with each host."""
    assert site.status()["well"] is True
    assert site.asked == []


def test_what_is_held_back_is_no_reason_for_another_exit_code(site):
    """The command of status comes to its end; without the operation it is NotHealthy."""

    class Board(Site):
        board = staticmethod(lambda lines, *, whole: None)

    site.stop_a_worker()
    site.facts["hosts"]["af1"]["operation"] = HOLDER
    status.show_status("", only="", every_s=0, screen=Board())
    site.facts["hosts"]["af1"]["operation"] = None
    site.holders = [None]
    with pytest.raises(NotHealthy):
        status.show_status("", only="", every_s=0, screen=Board())
