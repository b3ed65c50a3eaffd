"""Airflow 3 with its API server on two hosts behind a load balancer: restarted one after the other, no task is lost.

af1 has Redis, the scheduler and the triggerer, af2 and af3 the API servers, af4 the workers, which reach them through
the balancer on svc. Everything here is real but Google's load balancer, whose place a small program takes.
"""

from __future__ import annotations

import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.live.conftest import SITE_TAG, THREE, Installation, wait_for
from tests.live.fleets import booted
from tests.live.ledger.book import Book
from tests.live.ledger.bring import bring
from tests.live.ledger.load import TASKS, Load
from tests.live.meanwhile import Meanwhile
from tests.live.team import Team
from tests.live.web import Api

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.environ.get("AIRFLEET_FLEETS") != "all", reason="only `make fleets` boots four hosts more"),
]

BALANCER = Path(__file__).with_name("balancer.py").read_text()
PORT, HEALTH, SLOTS = 8080, "/api/v2/monitor/health", 4
# A visitor who is patient for ten seconds, and whom a server that stops has just accepted, asks again then.
PATIENCE_S, LONGEST_AWAY_S = 10, 12.0
ROLES = {
    "af1": {"roles": ["redis", "scheduler", "triggerer"]},
    "af2": {"roles": ["webserver"]},
    "af3": {"roles": ["webserver"]},
    "af4": {"roles": ["worker"], "celery": {"instances": 2, "concurrency": 2}},
}


class Visitor(Meanwhile):
    """Asks for the health of the API server five times a second, through the balancer, and notes when none answered."""

    def __init__(self, base):
        super().__init__()
        self._url = f"{base}{HEALTH}"
        self.visits, self.longest_away_s = 0, 0.0

    def _go_on(self):
        well = time.monotonic()
        while not self._stop.wait(0.2):
            try:
                with urllib.request.urlopen(self._url, timeout=PATIENCE_S):
                    well = time.monotonic()
            except (OSError, urllib.error.URLError):
                pass
            self.visits += 1
            self.longest_away_s = max(self.longest_away_s, time.monotonic() - well)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The installation after its first bootstrap, with the ledger's DAG, and the balancer before its API servers."""
    with booted(Installation, f"{SITE_TAG}p", ROLES, THREE, "svc") as made:
        base = f"http://{made.machines['svc'].address}:{PORT}"
        made.edit(lambda value: value["airflow"].update(base_url=base))
        servers = [f"{made.machines[name].address}:80" for name in ("af2", "af3")]
        balancer = made.stream("svc", "python3", "-c", BALANCER, str(PORT), HEALTH, *servers)
        try:
            said = made.fab("bootstrap", timeout_s=3000).stdout
            api = Api(base, "admin", re.search(r"password: (\S+)", said)[1], THREE)
            people = Team(made, tmp_path_factory.mktemp("team") / "dags")
            bring(made, api, people)
            yield made, api, base
        finally:
            balancer.kill()
            balancer.wait()


def test_workers_reach_the_servers_through_what_stands_before_them(pair):
    """What they are told is the address of the pages; a host with a server asks its own."""
    made, _, base = pair
    said = {
        name: made.on(name, "grep", "^execution_api_server_url", "/home/airflow/airflow/airflow.cfg") for name in ROLES
    }
    assert said["af4"].partition("= ")[2].strip() == f"{base}/execution/"
    assert "127.0.0.1" in said["af2"]


def test_one_server_after_the_other_is_restarted_and_no_task_is_lost(pair):
    """Nor does one run twice; whoever visits the pages waits for a server that stops, and finds the other."""
    made, api, base = pair
    book = Book(made)
    with Load(api, book, longest_s=8, backlog=2 * SLOTS) as load, Visitor(base) as visitor:
        wait_for(lambda: book.begun() >= SLOTS, "a task in every slot", 180)
        for _ in range(3):
            said = made.fab("restart", "--service", "api-server").stdout
            assert said.index("af2") < said.rindex("af3")
        made.fab("deploy", "--restart", "always")
    wait_for(lambda: not book.open_states(load.runs), "the end of all tasks", 600)
    verdict = book.verdict(load.runs, TASKS, SLOTS)
    print(verdict, visitor.visits, visitor.longest_away_s)
    assert verdict.clean, verdict
    assert verdict.tasks >= 2 * SLOTS
    assert visitor.visits > 100
    assert visitor.longest_away_s < LONGEST_AWAY_S
