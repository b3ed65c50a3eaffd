"""What the agent still does when its operator is lost, and that it does nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

LOST = 70
WATCHED = """\
import sys, threading, time
from airfleet.agent import main, run
mark = open({mark!r}, "a", buffering=1)
threading.Thread(target=main._watch, args=(sys.stdin.buffer,), daemon=True).start()
"""
HELD = """
with run.on_loss(lambda: run.run(["sh", "-c", "echo back >> " + {mark!r}])):
    mark.write("began\\n")
    {work}
mark.write("went on\\n")
"""


@pytest.fixture
def start(tmp_path):
    """Start a program that is watched as the agent is; return it and the lines that it wrote."""
    mark = tmp_path / "mark"

    def run(program, work="run.run(['sleep', '1000'])"):
        text = (WATCHED + program).replace("{mark!r}", repr(str(mark))).replace("{work}", work)
        child = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while not mark.exists() or not mark.read_text():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return child, lambda: mark.read_text().split("\n")[:-1]

    return run


def test_last_words_are_said_and_nothing_else_goes_on(start):
    """What was asked for on a loss is done; the work that was in its middle does not go on."""
    child, lines = start(HELD)
    child.stdin.close()
    assert child.wait(20) == LOST
    assert lines() == ["began", "back"]


def test_nobody_listening_is_a_loss(start):
    """The loss may show where the agent writes before it shows where it reads."""
    child, lines = start(HELD, 'while True: main.say({"t": "progress"}), time.sleep(0.05)')
    child.stdout.close()
    assert child.wait(20) == LOST
    assert lines() == ["began", "back"]
    child.stdin.close()


def test_what_is_over_is_not_undone(start):
    """After the block nothing is owed any more."""
    child, lines = start(
        'with run.on_loss(lambda: mark.write("back\\n")):\n    pass\nmark.write("over\\n")\ntime.sleep(1000)\n'
    )
    child.stdin.close()
    assert child.wait(20) == LOST
    assert lines() == ["over"]


def test_last_words_are_bounded_in_time(start):
    """A host that cannot give back does not keep a dead operator's agent."""
    child, _ = start(
        'run.LAST_WORDS_S = 1\nrun.on_loss(lambda: time.sleep(99)).__enter__()\nmark.write("began\\n")\ntime.sleep(99)'
    )
    began = time.monotonic()
    child.stdin.close()
    assert child.wait(20) == LOST
    assert time.monotonic() - began < 10


def test_an_agent_that_is_told_to_end_says_its_last_words(agent, tmp_path):
    """SIGTERM and SIGHUP, from sudo or a closing session, are a loss like any other."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        child = agent.start("lock", words={"path": str(tmp_path / "lock")})
        assert json.loads(child.stdout.readline())["words"] == {"held_by": None}
        child.send_signal(each)
        assert child.wait(20) == LOST
        child.stdin.close()
