"""Workers restarted, drained and scaled while they work: no task is lost, none is cut unasked. Everything is real."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from tests.live.conftest import Installation, wait_for
from tests.live.serving import serving
from tests.live.sleeper import Sleeper

pytestmark = [pytest.mark.live, pytest.mark.timeout(1500)]


class OneHost(Installation):
    """The commands of an operator who looks at af1 alone."""

    def command(self, *words):
        return super().command(*words, *([] if "--only" in words else ["--only", "af1"]))


@pytest.fixture(scope="module")
def installation(first):
    """The installation with the other host's workers stopped: tasks then go to the two of af1."""
    whole = first.installation
    others = ["airflow-worker@1.service", "airflow-worker@2.service"]
    whole.on("af2", "systemctl", "stop", *others)
    yield OneHost(whole.site, whole.machines)
    whole.on("af2", "systemctl", "start", *others)
    whole.fab("bootstrap")
    assert whole.fab("plan").stdout.startswith("in order")


@pytest.fixture(scope="module")
def sleeper(first):
    return Sleeper(first)


def workers_of(installation):
    return sorted(serving(installation))


def test_the_plan_names_what_runs_and_changes_nothing(installation, sleeper):
    """`--dry-run` shows each worker with its running tasks, how long they run and how many retries they have."""
    before = serving(installation)
    run = sleeper.started(25)
    said = installation.fab("restart-workers", "--dry-run", "--max-wait", "1").stdout
    assert re.search(rf"sleeper\.sleep \({re.escape(run)}\) try 1, \d+ s so far, .*1 retry left", said)
    assert "it takes tasks again, nothing is cut, exit 7" in said
    assert before == serving(installation)
    assert sleeper.ended(run)[:2] == ("success", 1)


def test_long_tasks_survive_a_restart_and_short_ones_go_on_meanwhile(installation, sleeper):
    """All workers are restarted under running tasks: each ends with its first try; others take what comes meanwhile."""
    long = [sleeper.started(25) for _ in range(2)]
    began = time.monotonic()
    restart = installation.start("restart-workers", "--only", "af1")
    wait_for(lambda: [] in serving(installation).values(), "a drained worker", 30)
    short = [sleeper.start(0) for _ in range(3)]
    assert [sleeper.ended(run)[:2] for run in short] == [("success", 1)] * 3
    assert time.monotonic() - began < 60
    output = restart.communicate(timeout=300)[0]
    assert restart.returncode == 0, output
    assert output.count("ran a task in") == 2
    assert [sleeper.ended(run)[:2] for run in long] == [("success", 1)] * 2


def test_at_max_wait_nothing_is_cut(installation, sleeper):
    """Exit 7 names the task, the worker takes tasks again, and the task ends in peace."""
    runs = [sleeper.started(60) for _ in range(len(workers_of(installation)))]
    before = serving(installation)
    done = installation.fab("restart-workers", "--max-wait", "3", rc=7)
    assert any(f"sleeper.sleep ({run})" in done.stderr for run in runs)
    assert "runs on and takes tasks again" in done.stderr
    assert before == serving(installation)
    assert {sleeper.ended(run)[:2] for run in runs} == {("success", 1)}
    installation.fab("restart-workers")
    assert installation.fab("plan").stdout.startswith("in order")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_lost_operator_leaves_no_drained_worker(installation, sleeper, how):
    """Killed or interrupted in the middle of a drain: the consumers come back by themselves, the lock is free."""
    runs = [sleeper.started(45) for _ in range(len(workers_of(installation)))]
    before = serving(installation)
    operator = installation.start("restart-workers")
    wait_for(lambda: [] in serving(installation).values(), "a drained worker", 60)
    os.kill(operator.pid, how)
    output = operator.communicate(timeout=60)[0]
    if how == signal.SIGINT:
        assert operator.returncode == 7
        assert "takes tasks again by itself" in output
    wait_for(lambda: serving(installation) == before, "the consumers", 45)
    wait_for(lambda: not installation.locked(), "the lock")
    assert {sleeper.ended(run)[:2] for run in runs} == {("success", 1)}
    installation.fab("restart-workers")


def test_the_last_consumer_of_a_queue_with_work_stays(installation, sleeper):
    """One worker alone with a running task: refused (8) in the plan's words, before anything is touched."""
    installation.fab("scale-workers", "--count", "1", "--only", "af1")
    try:
        run = sleeper.started(25)
        done = installation.fab("restart-workers", "--only", "af1", "--count", "1", rc=8)
        assert "nobody else serves the queue default (0 waiting, 1 running)" in done.stderr
        assert "--allow-gap" in done.stderr
        assert "unit airflow-worker@2.service: is inactive" in installation.fab("plan", rc=10).stdout
        assert sleeper.ended(run)[:2] == ("success", 1)
    finally:
        installation.fab("scale-workers", "--count", "2", "--only", "af1")
        installation.fab("resume-workers")
        installation.fab("restart-workers")
    assert installation.fab("plan").stdout.startswith("in order")


def test_scaling_up_and_down_is_shown_by_the_plan(installation):
    """A third worker runs a task; the plan shows it as one too many; down again, and all is in order."""
    assert "scale-workers" in installation.fab("restart-workers", "--count", "3", rc=2).stderr
    up = installation.fab("scale-workers", "--count", "3", "--only", "af1").stdout
    assert "worker3@af1 ran a task in" in up
    assert "the inventory says 2" in up
    assert "worker3@af1" in serving(installation)
    plan = installation.fab("plan", rc=10).stdout
    assert "instances airflow-worker@: airflow-worker@3 enabled, running is not wanted" in plan
    assert "left alone: worker3@af1" in installation.fab("restart-workers", "--dry-run", "--only", "af1").stdout
    assert "worker3@af1 is stopped" in installation.fab("scale-workers", "--count", "2", "--only", "af1").stdout
    assert installation.fab("plan").stdout.startswith("in order")


def test_bootstrap_stops_workers_beyond_the_inventory(installation):
    """What `fab plan` shows, `fab bootstrap` mends."""
    installation.fab("scale-workers", "--count", "3", "--only", "af1")
    installation.fab("bootstrap")
    assert "worker3@af1" not in serving(installation)
    assert installation.fab("plan").stdout.startswith("in order")


def test_drained_workers_stay_so_until_they_are_resumed(installation, sleeper):
    """Without work nothing stands in the way; a task that comes waits, and runs after the resume."""
    installation.fab("drain-workers")
    assert set(map(tuple, serving(installation).values())) == {()}
    run = sleeper.start(0)
    wait_for(lambda: sleeper.task(run)["state"] == "queued", "the queue")
    assert "drained: takes no tasks" in installation.fab("restart-workers", "--dry-run").stdout
    installation.fab("resume-workers")
    assert sleeper.ended(run)[:2] == ("success", 1)
    assert "airflow-worker@1.service: drained without a restart" in installation.fab("plan", rc=10).stdout
    installation.fab("bootstrap")
    assert installation.fab("plan").stdout.startswith("in order")


def test_services_stop_start_and_restart(installation):
    """A scheduler beats afresh after its start; the web page's outage is told; a wrong name is told the right ones."""
    installation.fab("stop", "--service", "scheduler")
    assert "unit airflow-scheduler.service: is inactive" in installation.fab("plan", rc=10).stdout
    assert "scheduler: heartbeat" in installation.fab("start", "--service", "scheduler").stdout
    said = installation.fab("restart", "--service", "webserver").stdout
    assert re.search(r"the web page was away for \d+\.\d s", said)
    assert "one of: redis, " in installation.fab("restart", "--service", "nope", rc=2).stderr
    assert installation.fab("plan").stdout.startswith("in order")


def test_redis_is_not_taken_away_from_running_tasks(installation, sleeper):
    """Workers end with their broker, and their tasks with them: refused while anything runs."""
    run = sleeper.started(20)
    assert "which would end with Redis" in installation.fab("restart", "--service", "redis", rc=8).stderr
    assert sleeper.ended(run)[:2] == ("success", 1)
