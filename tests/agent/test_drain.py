"""Drains of a real Celery worker over a real Redis: what the agent waits for, and what comes back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from agent_services import REDIS, redis

NODE = f"worker1@{socket.gethostname()}"
SNOOZING = """\
import sys, time
from celery import Celery
app = Celery(broker={broker!r}, backend={broker!r})
@app.task(name="snooze")
def snooze(seconds):
    time.sleep(seconds)
if __name__ == "__main__":
    snooze.apply_async((float(sys.argv[1]),), queue="default", ignore_result=True)
"""
ASKING = """\
import json
from snoozing import app
view = app.control.inspect(timeout=2, limit=1)
queues = view.active_queues() or {}
print(json.dumps({n: [q["name"] for q in each] for n, each in queues.items()}))
"""


class Rig:
    """A worker with two slots for the queues `default` and `heavy`, and the agent's words for it."""

    def __init__(self, folder, python, agent, words):
        self.folder, self.python, self.agent, self.words = folder, python, agent, words

    def snooze(self, seconds):
        subprocess.run([self.python, "snoozing.py", str(seconds)], cwd=self.folder, check=True)

    def queues(self):
        """Return the queues that the worker consumes; None when it does not answer."""
        argv = [self.python, "-c", ASKING]
        done = subprocess.run(argv, cwd=self.folder, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout).get(NODE)
        return None if found is None else sorted(found)

    def drain(self, **more):
        return self.agent.call("drain", **{**self.words, **more})

    def wait(self, condition):
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def rig(tmp_path_factory, drivers, agent, account):
    if REDIS is None:
        pytest.skip("redis-server is not installed here")
    folder = tmp_path_factory.mktemp("drained")
    with redis(folder) as port:
        broker = f"redis://127.0.0.1:{port}/0"
        (folder / "snoozing.py").write_text(SNOOZING.format(broker=broker))
        (folder / "airflow.cfg").write_text(f"[celery]\nbroker_url = {broker}\nresult_backend = {broker}\n")
        argv = [drivers / "bin" / "celery", "-A", "snoozing", "worker", "--concurrency", "2", "-O", "fair"]
        argv += ["--queues", "default,heavy", "--hostname", "worker1@%h"]
        child = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        words = {
            "venv": str(drivers),
            "account": account,
            "config": str(folder / "airflow.cfg"),
            "numbers": [1],
            "taken": ["default", "heavy"],
            "serves": ["default", "heavy"],
            "siblings": [],
            "max_wait_s": 60,
            "allow_gap": True,
            "kill_after_wait": False,
        }
        made = Rig(folder, drivers / "bin" / "python", agent, words)
        made.pid = child.pid
        made.wait(lambda: made.queues() == ["default", "heavy"])
        yield made
        child.terminate()
        child.wait(timeout=60)


@pytest.fixture
def fresh(rig):
    """The rig with its consumers in place, and given back after the test."""
    rig.agent.call("resume", **rig.words)
    assert rig.queues() == ["default", "heavy"]
    yield rig
    rig.drain()
    rig.agent.call("resume", **rig.words)


def test_a_drain_waits_for_what_runs_and_a_resume_undoes_it(fresh):
    """The running task ends first; then nothing is consumed, until the queues are given back."""
    fresh.snooze(3)
    began = time.monotonic()
    answer = fresh.drain()["words"]
    assert (answer["outcome"], time.monotonic() - began > 2) == ("empty", True)
    assert fresh.queues() == []
    assert fresh.agent.call("resume", **fresh.words)["words"] == {"lost": {}}
    assert fresh.queues() == ["default", "heavy"]


def test_a_task_that_comes_during_a_drain_waits_for_another_worker(fresh):
    """What is queued after the drain is not touched by the drained worker, and is run once it takes tasks again."""
    fresh.drain()
    fresh.snooze(0)
    answer = fresh.drain()["words"]
    assert (answer["outcome"], answer["waited_s"] < 5) == ("empty", True)
    refused = fresh.drain(allow_gap=False)
    assert refused["t"] == "answer"  # it consumes nothing: no queue loses its last consumer


def test_at_the_deadline_nothing_is_cut_and_the_consumers_come_back(fresh):
    """The answer counts what held it up."""
    fresh.snooze(6)
    answer = fresh.drain(max_wait_s=1)["words"]
    assert (answer["outcome"], answer["unnamed"], answer["lost"]) == ("held", 1, {})
    assert fresh.queues() == ["default", "heavy"]


def test_the_last_consumer_of_a_queue_with_work_is_not_taken_away(fresh):
    """Refused before anything is done, with what waits and what runs; without work it may go."""
    fresh.snooze(4)
    answer = fresh.drain(allow_gap=False)
    assert (answer["t"], answer["class"]) == ("failed", "refused")
    assert "default (0 waiting, 1 running)" in answer["error"]
    assert fresh.queues() == ["default", "heavy"]
    fresh.drain()
    fresh.agent.call("resume", **fresh.words)
    assert fresh.drain(allow_gap=False)["words"]["outcome"] == "empty"


def test_a_lost_operator_brings_the_consumers_back(fresh):
    """The connection ends in the middle of a drain: the agent gives the queues back before it ends itself."""
    fresh.snooze(8)
    child = fresh.agent.start("drain", words=fresh.words)
    fresh.wait(lambda: fresh.queues() == [])
    child.stdin.close()
    assert child.wait(timeout=45) == 70
    assert fresh.queues() == ["default", "heavy"]


def test_an_operator_that_no_longer_listens_is_lost_too(fresh):
    """It may be noticed first where the agent speaks: the same end."""
    fresh.snooze(12)
    child = fresh.agent.start("drain", words=fresh.words)
    fresh.wait(lambda: fresh.queues() == [])
    child.stdout.close()
    assert child.wait(timeout=45) == 70
    assert fresh.queues() == ["default", "heavy"]
    child.stdin.close()


def test_a_killed_agent_leaves_no_drained_worker(fresh):
    """Nobody ends properly, not even the agent: the program that drains gives the queues back when nobody listens."""
    fresh.snooze(15)
    child = fresh.agent.start("drain", words=fresh.words)
    fresh.wait(lambda: fresh.queues() == [])
    child.kill()
    child.wait()
    fresh.wait(lambda: fresh.queues() == ["default", "heavy"])


def crew(rig, **more):
    words = {"venv": rig.words["venv"], "account": rig.words["account"], "config": rig.words["config"]}
    return rig.agent.call("crew", **{**words, "nodes": [NODE], "queues": ["default"], "twice": False, **more})["words"]


def test_a_crew_is_counted_and_its_tasks_stay_its_own(fresh):
    """Queues, running and reserved tasks, what waits in Redis: numbers, and no argument of a task."""
    fresh.snooze(4)
    fresh.wait(lambda: crew(fresh)["nodes"][NODE]["active"] == 1)
    seen = crew(fresh)
    node = seen["nodes"][NODE]
    assert (node["answers"], node["replies"], node["queues"], node["slots"]) == (True, 1, ["default", "heavy"], 2)
    assert (seen["queues"], seen["error"]) == ({"default": 0, "heavy": 0}, None)
    fresh.drain()
    assert crew(fresh)["nodes"][NODE]["queues"] == []


def test_a_worker_that_is_not_there_does_not_answer(fresh):
    """It is named all the same, and nothing of it is known: None, not zero."""
    node = crew(fresh, nodes=[NODE, "worker9@nowhere"])["nodes"]["worker9@nowhere"]
    assert (node["answers"], node["queues"], node["active"]) == (False, None, None)


def test_a_crew_that_holds_tasks_and_runs_none_is_stuck(fresh):
    """Its pool is frozen: it answers and consumes, and in two looks 5 s apart nothing moves."""
    children = [int(pid) for pid in _children(fresh)]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            fresh.snooze(0)
        fresh.wait(lambda: (crew(fresh)["nodes"][NODE]["reserved"] or 0) > 0)
        assert crew(fresh, twice=True)["nodes"][NODE]["stuck"] is True
    finally:
        for pid in children:
            os.kill(pid, signal.SIGCONT)
    fresh.wait(lambda: crew(fresh)["nodes"][NODE]["reserved"] == 0)
    assert crew(fresh, twice=True)["nodes"][NODE]["stuck"] is None


@pytest.fixture
def nowhere(tmp_path):
    """An airflow.cfg whose broker is away."""
    path, address = tmp_path / "airflow.cfg", "redis://127.0.0.1:1/0"
    path.write_text(f"[celery]\nbroker_url = {address}\nresult_backend = {address}\n")
    return str(path)


def test_a_drain_without_a_broker_says_so(fresh, nowhere):
    """The consumers can't be given back either; what is told is what went wrong first."""
    answer = fresh.drain(config=nowhere)
    assert (answer["t"], answer["class"]) == ("failed", "failed")
    assert "the broker cannot be asked: " in answer["error"]
    assert "look at Redis" in answer["remedy"]


def test_a_broker_that_is_away_is_said(fresh, nowhere):
    """No nodes, no numbers, and why."""
    seen = crew(fresh, config=nowhere)
    assert "refused" in seen["error"]
    assert (seen["nodes"], seen["unacked"]) == ({}, None)


def _children(rig):
    return Path(f"/proc/{rig.pid}/task/{rig.pid}/children").read_text().split()
