"""The proof: under full load, restarts, deploys and a rollback lose no task, and run none twice.

The short form is one of each, on one Airflow; AIRFLEET_LEDGER=full (`make ledger`) is the long one, on both, and
writes docs/lossless.md.
"""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.live.conftest import wait_for
from tests.live.ledger import note, page
from tests.live.ledger.case import FULL, LONGEST_S, SLOTS, begin
from tests.live.ledger.load import TASKS, Capacity
from tests.live.ledger.patrol import Patrol

pytestmark = [pytest.mark.live, pytest.mark.timeout(7200)]

NODES = ("worker1@af1", "worker2@af1", "worker1@af2", "worker2@af2")
STEPS = ["restart-workers", "deploy"] + ["rollback", *["restart-workers", "deploy"] * 2] * FULL
LEAST = 1000 if FULL else 150
STALL_S = 35
TIMED_OUT = re.compile(r"^airflow-(\S+)\.service: State 'stop-sigterm' timed out", re.MULTILINE)


@pytest.fixture(scope="module")
def case(first, team):
    return begin(first, team)


@(pytest.mark.both if FULL else lambda test: test)
def test_restarts_deploys_and_a_rollback_lose_nothing(case):
    """0 lost, 0 twice, 0 failed, `unacked` empty, no worker killed by systemd, never more than one of them away.

    And no false alarm: neither the doctor nor the status names a cause all the while.
    """
    began = time.time()
    steps = []
    machines = case.installation
    with case.load() as load, Capacity(machines, NODES) as capacity, Patrol(machines) as patrol:
        wait_for(lambda: case.book.begun() >= SLOTS, "a task in every slot", 120)
        for position, command in enumerate(STEPS):
            if command == "deploy":
                case.team.push(f"commit {position}")
            steps.append(_step(case, command))
        wait_for(lambda: load.asked >= LEAST, f"{LEAST} tasks", 3600)
    case.settled(load)
    verdict = case.book.verdict(load.runs, TASKS, SLOTS)
    timed_out = [unit for text in case.journal(began).values() for unit in TIMED_OUT.findall(text)]
    killed = [unit for unit in timed_out if unit.startswith("worker@")]
    # In Airflow 3 a task is a success a moment before its worker has answered for its message.
    wait_for(lambda: case.unacked() == 0, "an answer for every message", 60)
    print(*page.table(steps), verdict, capacity.lowest(), len(capacity.samples), sep="\n")
    print(timed_out, patrol.runs, patrol.held, *patrol.alarms, sep="\n")
    if FULL:
        figures = {"longest_s": LONGEST_S, "airflow": case.installation.airflow}
        figures |= {"looks": patrol.runs.total()}
        figures |= {"unacked": case.unacked(), "killed": len(killed), "workers": len(NODES)}
        figures |= {"lowest": capacity.lowest()}
        page.KEPT.update(steps=steps, verdict=verdict, figures={**figures, "samples": len(capacity.samples)})
    assert verdict.clean, verdict
    assert patrol.alarms == []
    assert verdict.tasks >= LEAST
    assert killed == []
    assert capacity.lowest() >= len(NODES) - 1
    assert len(capacity.samples) > 20
    history = json.loads(case.installation.fab("history", "--json", "--limit", str(len(STEPS))).stdout)
    assert [(each["doing"], each["result"], [*each["hosts"]]) for each in history] == [
        (step, "done", ["af1", "af2"]) for step in STEPS
    ]
    assert set(STEPS) <= patrol.runs.keys()
    assert patrol.runs.total() >= 10 * len(STEPS)


def _step(case, command):
    """Run one command under the load and return what was seen of it."""
    then, began = case.book.now(), time.monotonic()
    said = case.installation.fab(command, timeout_s=3000).stdout
    away = re.search(r"the web page was away for (\d+\.\d s)", said)
    return page.Step(
        f"fab {command}",
        time.monotonic() - began,
        case.book.ended_since(then),
        f"away {away[1]}" if away else "",
    )


def test_a_redis_that_stands_still_for_half_a_minute_loses_no_task(case):
    """With Airflow's own patience, four times a second for each, the six tasks of the run would have failed by then."""
    redis = "redis-server.service"
    case.installation.on("af1", "systemctl", "kill", "--signal=STOP", redis)
    try:
        path = f"/dags/hello/dagRuns/{case.api.trigger('hello')}"
        time.sleep(STALL_S)
    finally:
        case.installation.on("af1", "systemctl", "kill", "--signal=CONT", redis)
    wait_for(lambda: case.api.ask(path)["state"] in ("success", "failed"), "the end of the run", 180)
    tasks = case.api.ask(f"{path}/taskInstances")["task_instances"]
    assert {(each["state"], each["try_number"]) for each in tasks} == {("success", 1)}


def test_the_ledger_sees_what_a_plain_restart_loses(case):
    """A unit without a stop of its own, `git pull` and `systemctl restart`: tasks are lost, and the ledger says so."""
    note.use_its_units(case.installation)
    try:
        before = case.book.begun()
        with case.load(backlog=2 * SLOTS) as load:
            wait_for(lambda: case.book.begun() >= before + SLOTS, "a task in every slot", 180)
            note.deploy(case.installation)
        case.settled(load, 900)
        verdict = case.book.verdict(load.runs, TASKS, SLOTS)
        print(verdict)
        assert verdict.lost > 0
        assert verdict.failed > 0
    finally:
        note.undo(case.installation)
        said = case.installation.fab("bootstrap").stdout
    assert "file /etc/systemd/system/airflow-worker@.service: content" in said
    assert case.installation.fab("plan").stdout.startswith("in order")
    if FULL and page.KEPT:
        page.write(**page.KEPT, note={"verdict": verdict})
