"""The matrix of chaos: steps are read from a command's own output, cells are chosen, judged, kept and written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.live.chaos import record, state, table
from tests.live.chaos.cells import Operator
from tests.live.chaos.faults import EMPTY, FILL, HOME, NAMES, SSHD
from tests.live.chaos.record import Cell
from tests.live.chaos.steps import Reader, Step, cells_of, chosen, steps_of

DEPLOY = """\
deploy: 0123456 (a commit), now 89abcde
[    1 s] prepare: 2 changes on af1, af2
[    1 s]   af1: release /home/airflow/dags/releases
[    1 s]   af2: release /home/airflow/dags/releases
[    3 s]   ok: scheduler: heartbeat 2 s old
[    4 s]   af1: restart worker1@af1
[   19 s]     af1: waits for 3 tasks
[   20 s]   af1: restart worker1@af1
done: every host runs 0123456 (a commit) (21 s)
"""
ROTATE = """\
live: rotates redis_password:
  1. Redis takes both
[    1 s] phase 1 of 2: Redis takes both
[    1 s]   af1: file /etc/redis/redis.conf
[    2 s] phase 2 of 2: every service
[    2 s] config: 1 changes on af1
[    2 s]   af1: file /etc/redis/redis.conf
[    3 s]   af1: venv airflow-0123456789ab
"""
SAID = "airfleet: af1: sshd is gone\n  do:    run it again\n  state: done: nothing\n"


def cell(**more):
    made = Cell("deploy", "3.3.2", "af1: release", "sshd killed", host="af1", in_order=True)
    made.said(more.pop("rc", 3), more.pop("said", SAID))
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_steps_are_read_from_the_output():
    """Changes as they begin, each with its number; no head of a stage, no probe, no word of a long one."""
    assert [str(step) for step in steps_of(DEPLOY)] == [
        "af1: release /home/airflow/dags/releases",
        "af2: release /home/airflow/dags/releases",
        "af1: restart worker1@af1",
        "af1: restart worker1@af1 (2)",
    ]
    assert [step.host for step in steps_of(DEPLOY)] == ["af1", "af2", "af1", "af1"]


def test_a_phase_begins_with_a_step_and_has_its_own():
    """The same change in two phases is two steps; what differs from run to run is left out."""
    assert [str(step) for step in steps_of(ROTATE)] == [
        "phase 1: Redis takes both",
        "phase 1: af1: file /etc/redis/redis.conf",
        "phase 2: every service",
        "phase 2: af1: file /etc/redis/redis.conf",
        "phase 2: af1: venv airflow-…",
    ]


def test_a_reader_finds_a_step_again():
    """In another run, where lines of two hosts come in another order."""
    wanted, reader = Step("", "af1: restart worker1@af1", 2), Reader()
    lines = DEPLOY.splitlines(keepends=True)
    lines[2:4] = lines[3:1:-1]
    assert [line for line in lines if reader.feed(line) == wanted] == ["[   20 s]   af1: restart worker1@af1\n"]


def test_the_first_cells_have_every_step_once():
    """And each fault is among them; in the end every cell is there, once."""
    steps = [Step("", f"af1: step {number}") for number in range(len(NAMES) + 2)]
    cells = cells_of(steps, NAMES)
    first = cells[: len(steps)]
    assert [step for step, _ in first] == steps
    assert {fault for _, fault in first} == set(NAMES)
    assert len(set(cells)) == len(cells) == len(steps) * len(NAMES)


def test_cells_are_chosen_by_words_and_a_slice():
    """All words must be in the name; the slice counts what has them."""
    names = [f"deploy | step {number} | {fault}" for number in range(3) for fault in ("sshd killed", "rebooted")]
    assert chosen(names, "") == names
    assert chosen(names, "deploy, sshd, 1:") == ["deploy | step 1 | sshd killed", "deploy | step 2 | sshd killed"]
    assert chosen(names, "bootstrap") == []


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({}, "well"),
        ({"rc": 0, "said": "done"}, "well"),
        ({"rc": -9, "said": "[ 1 s] a"}, "well"),
        ({"rc": 3, "said": "airfleet: gone\n"}, "no clear message"),
        ({"said": "airfleet: ill\n    journal:\n    Traceback (most recent call last):\n  state: done\n"}, "well"),
        ({"said": "Traceback (most recent call last):\n" + SAID}, "no clear message"),
        ({"rc": 1}, "exit 1"),
        ({"rc": None}, "it did not end"),
        ({"lock_s": None}, "the lock is held"),
        ({"half": ["af1 a"]}, "half-written: af1 a"),
        ({"in_order": False, "next": ["deploy 8", "bootstrap 0"]}, "not in order after deploy 8, bootstrap 0"),
        ({"differs": ["af1 unit x"]}, "differs: af1 unit x"),
        ({"tasks": 4, "lost": 1}, "1 of 4 tasks lost"),
        ({"reached": False, "in_order": False}, "step not reached"),
    ],
)
def test_the_first_thing_that_is_wrong_is_the_outcome(more, outcome):
    """Where nothing is, a cell is well, with whatever exit code was foreseen."""
    assert cell(**more).outcome == outcome


def test_a_cell_is_kept_and_the_later_word_counts(tmp_path):
    """Files that are not there have no cells."""
    path = tmp_path / "chaos" / "cells.jsonl"
    record.keep(cell(lock_s=None), path)
    record.keep(cell(seconds=3.0), path)
    record.keep(cell(fault="rebooted"), path)
    read = record.read(tmp_path / "none", path)
    assert [(each.fault, each.outcome, each.seconds) for each in read] == [
        ("sshd killed", "well", 3.0),
        ("rebooted", "well", 0.0),
    ]


def test_half_written_is_a_beginning_of_what_was_or_will_be():
    """Not what is whole, nor what is something else on the way from one to the other."""
    file = lambda text: ("0o100644", 0, 0, text)  # noqa: E731
    names = ("same", "new", "empty", "cut", "between")
    before = {("af1", name): file("one two") for name in names}
    after = {("af1", name): file("three four") for name in names}
    now = dict(zip(before, map(file, ["one two", "three four", "", "three f", "one four"]), strict=True))
    assert state.half_written(now, before, after) == ["af1 empty", "af1 cut"]
    assert state.differing(now, before) == ["af1 between", "af1 cut", "af1 empty", "af1 new"]
    assert state.differing({("af1", "/var/lib/airfleet/web-outages.json"): file("")}, {}) == []


def test_a_look_leaves_out_secrets_and_what_differs_from_run_to_run():
    """Two passwords, two commits: the same state."""

    class Host:
        def __init__(self, secret, commit):
            self.secret, self.commit = secret, commit

        def secret_values(self):
            return {"redis_password": self.secret, "none": ""}

        def on(self, *_):
            found = {
                f"/r/{self.commit}": ["0o40755", 0, 0, ""],
                "/c": ["0o100644", 0, 0, f"url={self.secret}\nparallelism = 31\n"],
            }
            return json.dumps(found | {"unit a": [["ActiveState", "active"]]})

    one, other = Host("abc", "0123456789ab" * 2), Host("xyz", "ba9876543210" * 2)
    assert state.look(one, ["af1"]) == state.look(other, ["af1"])
    assert state.look(one, ["af1"])["af1", "/c"][3] == "url=<redis_password>\nparallelism = …\n"


def test_the_page_has_a_row_for_each_step_and_a_column_for_each_fault(monkeypatch, tmp_path):
    """What was not run is a dash, what is not well is bold; writing it twice changes nothing."""
    page = tmp_path / "reliability.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    monkeypatch.setattr(table, "PAGE", page)
    monkeypatch.setattr(table, "DATA", tmp_path / "data" / "chaos.jsonl")
    monkeypatch.setattr(record, "KEPT", tmp_path / "kept.jsonl")
    table.write()
    assert "No cell has been run yet." in page.read_text()
    steps = ["af1: release", "af1: a|b"]
    record.keep(cell(steps=steps, seconds=12.2, tasks=4))
    record.keep(cell(steps=steps, fault="rebooted", lock_s=None))
    record.keep(cell(steps=steps, fault="operator killed", rc=-9))
    record.keep(cell(steps=steps, step="af1: a|b", reached=False))
    table.write()
    text = page.read_text()
    assert text.startswith(f"before\n{table.BEGIN}\n\n3 cells were run, 2 of them well; 4 tasks ran meanwhile, 0 were")
    assert "### `fab deploy`, Airflow 3.3.2\n\n3 of 16 cells." in text
    assert "| af1: release | killed | 3, 12 s | – | 3, 0 s: **the lock is held** | – |" in text
    assert "| af1: a\\|b | – | – |" in text
    assert "| sshd killed | 3 | af1: sshd is gone | 1 |" in text
    assert table.on_page(text) == table.part(record.read(table.DATA))
    table.write()
    assert page.read_text() == text


@pytest.mark.parametrize("script", [FILL, EMPTY, SSHD])
def test_the_scripts_of_faults_are_shell(script):
    """And what is filled has AIRFLOW_HOME's real path, as has what is looked at."""
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert HOME in state.LOOK


def test_an_operator_stands_still_at_the_step_and_goes_on():
    """The process is stopped when it has said the line, does nothing meanwhile, and ends when it is let go on."""
    program = "import sys\nfor line in sys.argv[1].splitlines():\n    print(line, flush=True)\nsys.stdin.readline()"
    child = subprocess.Popen(
        [sys.executable, "-c", program, DEPLOY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    operator = Operator(child, Step("", "af1: restart worker1@af1", 2))
    assert operator.comes_to_it()
    assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    operator.go_on()
    child.stdin.write("\n")
    child.stdin.flush()
    assert operator.ended(30) == 0
    assert operator.end() == DEPLOY


def test_an_operator_that_ends_before_has_not_come_to_it():
    """Its exit code and words are there all the same; one that is killed says -9."""
    start = {"stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    ended = Operator(subprocess.Popen([sys.executable, "-c", "print('no'); exit(5)"], **start), Step("", "af1: x"))
    assert not ended.comes_to_it()
    assert (ended.ended(30), ended.end()) == (5, "no\n")
    held = Operator(
        subprocess.Popen(["sh", "-c", "echo '[ 1 s]   af1: x'; exec sleep 60"], **start), Step("", "af1: x")
    )
    assert held.comes_to_it()
    assert held.ended(0) is None
    os.killpg(held.child.pid, signal.SIGKILL)
    assert held.ended(30) == -signal.SIGKILL
    held.end()
