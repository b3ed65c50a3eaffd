"""The lock, and who has it: asked by the agent as it runs in reality, against real locks."""

from __future__ import annotations

import fcntl
import json
import threading

import pytest

from airfleet.agent import lock

WORDS = {"who": "ann@desk", "doing": "deploy", "since": "2026-11-26T17:00:00+00:00"}


@pytest.fixture
def held(agent, tmp_path):
    """Have an agent hold the lock, and end it at the end."""
    children = []

    def hold():
        child = agent.start("lock", words={**WORDS, "path": str(tmp_path / "lock")})
        children.append(child)
        assert json.loads(child.stdout.readline())["words"] == {"held_by": None}
        return child

    yield hold
    for child in children:
        _end(child)


def _end(child):
    child.stdin.close()
    child.wait()


def holder(agent, tmp_path):
    return agent.call("holder", lock=str(tmp_path / "lock"))["words"]["held_by"]


def test_nobody_has_a_lock_that_was_never_taken(agent, tmp_path):
    """There is no file yet, and none is made."""
    assert holder(agent, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_who_has_the_lock_is_told_with_its_age(agent, tmp_path, held):
    """As long as the operator's connection lasts, and no longer, though the file stays."""
    child = held()
    seen = holder(agent, tmp_path)
    assert {name: seen[name] for name in WORDS} == WORDS
    assert 0 <= seen["age_s"] < 60
    _end(child)
    assert (tmp_path / "lock").exists()
    assert holder(agent, tmp_path) is None


def test_whoever_asks_never_keeps_an_operator_from_the_lock(tmp_path):
    """No lock is taken to find out who has it, not for a moment: whoever wants it just then gets it."""
    path = tmp_path / "lock"
    path.write_text(json.dumps(WORDS))
    over = threading.Event()

    def ask():
        while not over.is_set():
            lock.holder({"lock": str(path)}, None)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        with path.open("r+") as file:
            for _ in range(2000):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where somebody else has it
                fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        over.set()
        asking.join()


def test_the_lock_of_another_file_is_not_taken_for_this_ones(agent, tmp_path, held):
    """Files are told apart by device and inode."""
    held()
    other = tmp_path / "other"
    other.write_text(json.dumps(WORDS))
    assert agent.call("holder", lock=str(other))["words"]["held_by"] is None


def test_the_vitals_of_the_locks_host_name_its_holder(tmp_path, held, monkeypatch):
    """One job among the others of that one conversation."""
    monkeypatch.setattr(lock, "PATH", str(tmp_path / "lock"))
    assert lock.now({}) is None
    held()
    assert lock.now({})["doing"] == "deploy"
