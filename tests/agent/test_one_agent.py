"""One agent that is given several requests: each is done by a process of its own, and all of them end with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from airfleet import bundle, sending

LOST = 70
LOOK = {"op": "look", "resources": []}


class Waiting:
    """An agent as it waits for a request; what it was sent before is not sent again."""

    def __init__(self, program=None):
        argv = [sys.executable, "-I", "-c", program or sending.LOADER]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.modules = sending.HEART
        self.send(b"" if program else sending.program())

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def ask(self, op, *, more=True, **words):
        request = {"op": op, **words, **({"more": True} if more else {})}
        self.send(sending.request(request, self.modules))
        self.modules |= sending.needed(request)

    def answers(self, until="free"):
        found = [{}]
        while found[-1].get("t") != until:
            line = self.process.stdout.readline()
            assert line, (found, self.process.stderr.read())
            found.append(json.loads(line))
        return found[1:]

    def end(self):
        self.process.stdin.close()
        return self.process.wait(20)


@pytest.fixture
def waiting():
    """An agent that waits, ended at last."""
    agent = Waiting()
    with agent.process:
        yield agent
        agent.process.kill()


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def state(agent, path):
    agent.ask("look", resources=[["file", str(path), {}]])
    seen, _, _ = agent.answers()
    return seen["state"]


def test_it_sees_what_was_changed_between_two_requests(waiting, tmp_path):
    """What one looked at is no memory of the next one; at the end it goes in peace."""
    path = tmp_path / "file"
    assert state(waiting, path) is None
    path.write_text("one")
    one = state(waiting, path)["sha256"]
    path.write_text("two")
    assert state(waiting, path)["sha256"] != one
    waiting.send(b"\n\n")  # a sign of life that came late
    assert state(waiting, path)["sha256"] != one
    assert (waiting.end(), waiting.process.stderr.read()) == (0, b"")


def test_no_module_is_sent_twice(waiting, tmp_path):
    """And what a request does not need is not sent at all."""
    state(waiting, tmp_path)
    again = {"op": "look", "resources": [["file", "/etc/hostname", {}]], "more": True}
    assert sending.request(again, waiting.modules).startswith(b"0 ")
    assert "files" in waiting.modules
    assert not {"backup", "inside_postgres", "worker"} & waiting.modules


def test_a_request_that_fails_is_not_the_last(waiting, tmp_path):
    """Nor one that nobody knows."""
    waiting.ask("history", words={"path": 0, "limit": 1})
    assert [each["t"] for each in waiting.answers()] == ["failed", "free"]
    waiting.ask("nothing", words={})
    failed, _ = waiting.answers()
    assert failed["error"] == "this agent knows nothing of nothing"
    assert state(waiting, tmp_path / "there") is None


def test_the_last_request_needs_no_process_of_its_own(waiting):
    """Without `more` the agent ends with it, as one that was never asked before."""
    waiting.ask(**LOOK)
    waiting.answers()
    waiting.ask(**LOOK, more=False)
    assert waiting.answers("end") == [{"t": "end"}]
    assert waiting.process.wait(20) == 0


def hold(agent, path):
    agent.ask("lock", words={"path": str(path), "who": "ana"})
    assert agent.answers("answer")[-1]["words"] == {"held_by": None}
    return eventually(lambda: children(agent.process.pid))[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_end_tells_the_one_at_work(waiting, tmp_path, number):
    """As a loss, with its exit status."""
    child = hold(waiting, tmp_path / "lock")
    waiting.process.send_signal(number)
    assert waiting.process.wait(20) == LOST
    assert not alive(child)


def test_an_operator_who_goes_takes_both_along(waiting, tmp_path):
    """The one at work notices, and the agent ends as it does."""
    child = hold(waiting, tmp_path / "lock")
    assert waiting.end() == LOST
    assert not alive(child)


def test_the_one_at_work_does_not_outlive_its_agent(waiting, tmp_path):
    """Killed without a word, while the operator's connection stays."""
    child = hold(waiting, tmp_path / "lock")
    waiting.process.kill()
    eventually(lambda: not alive(child))


def test_an_agent_whose_process_at_work_is_killed_ends(waiting, tmp_path):
    """Nobody knows how far that came: it is told as a loss, not as an answer."""
    os.kill(hold(waiting, tmp_path / "lock"), signal.SIGKILL)
    assert waiting.process.wait(20) == LOST
    assert waiting.process.stdout.read() == b""


def test_an_agent_that_is_asked_nothing_more_ends_by_itself():
    """However long its operator's connection lasts."""
    folder = str(bundle.AGENT.parent.parent)
    program = (
        f"import sys; sys.path.insert(0, {folder!r})\nfrom airfleet.agent import main\nmain.IDLE_S = 1\nmain.main()\n"
    )
    agent = Waiting(program)
    with agent.process:
        agent.ask(**LOOK)
        assert agent.answers()[-1] == {"t": "free"}
        assert agent.process.wait(20) == -signal.SIGALRM


def test_what_is_given_to_one_request_is_nothing_to_the_next(waiting):
    """A request that ends early leaves no byte of its signs of life in the way."""
    over = threading.Event()

    def beat():
        while not over.wait(0.001):
            waiting.send(b"\n")

    for _ in range(5):
        over.clear()
        waiting.ask(**LOOK)
        beating = threading.Thread(target=beat)
        beating.start()
        try:
            assert [each["t"] for each in waiting.answers()] == ["end", "free"]
        finally:
            over.set()
            beating.join()
    assert waiting.end() == 0
