"""Journals as the agent tells them: every entry, whole and once, also while they are written.

`journalctl` is a script here, which reads entries from a file as the real one prints them; where only its way of
refusing counts, it is the real one.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airfleet import sending

LOST = 70
JOURNALCTL = """\
#!{python} -IS
# What journalctl prints of the entries in a file, each with its time; see journalctl(1).
import json, os, sys, time
folder = {folder!r}
options = dict(word[2:].partition("=")[::2] for word in sys.argv[1:] if word.startswith("--") and "=" in word)
with open(folder + "/called", "a") as f:
    f.write(json.dumps([sys.argv[1:], os.environ.get("TZ"), os.getpid()]) + "\\n")
entries = open(folder + "/entries")
since = float(options["since"][1:]) * 1e6 if options["since"].startswith("@") else 0
def fits(line):
    return int(json.loads(line)["__REALTIME_TIMESTAMP"]) >= since - 0.5
found = [line for line in entries if fits(line)]
if "--reverse" in sys.argv:
    found = found[::-1][:int(options["lines"])]
sys.stdout.writelines(found)
sys.stdout.flush()
while "--follow" in sys.argv:
    line = entries.readline()
    if line.endswith("\\n"):
        sys.stdout.write(line)
        sys.stdout.flush()
    else:
        time.sleep(0.02)
"""
AGENT = """\
import sys
from airfleet.agent import main, run
run.PATH = {folder!r} + ":" + run.PATH
main.main()
"""
REAL = shutil.which("journalctl")


class Journal:
    """A host's journal in a file, and the agent that tells it."""

    def __init__(self, folder):
        self.folder = folder
        self.entries = folder / "entries"
        self.entries.touch()
        program = folder / "journalctl"
        program.write_text(JOURNALCTL.format(python=sys.executable, folder=str(folder)))
        program.chmod(0o755)

    def write(self, at, message="m", unit="airflow-worker@1.service", **more):
        words = {"__REALTIME_TIMESTAMP": str(at), "_SYSTEMD_UNIT": unit, "PRIORITY": "6", "MESSAGE": message, **more}
        with self.entries.open("a") as f:
            f.write(json.dumps({"__CURSOR": f"c{at}-{message!r:.40}", **words}) + "\n")

    def start(self, **words):
        asked = {"units": ["u.service"], "since": "-1h", "zone": "<+0900>-9", "lines": 100, "grep": "", "follow": False}
        child = subprocess.Popen(
            [sys.executable, "-c", AGENT.format(folder=str(self.folder))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        child.stdin.write(sending.request({"op": "logs", "words": {**asked, **words}}))
        child.stdin.flush()
        return child

    def told(self, **words):
        """Return all answers."""
        child = self.start(**words)
        answers = [json.loads(line) for line in child.stdout]
        child.stdin.close()
        child.wait(20)
        return answers

    def calls(self):
        return [json.loads(line) for line in (self.folder / "called").read_text().splitlines()]


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path)


def entries_of(answers):
    return [entry for each in answers if each["t"] == "part" for entry in each["words"].get("entries", [])]


def times(entries):
    return [entry[0] for entry in entries]


def lines_of(child, count):
    """Read answers until so many entries have come."""
    found = []
    while len(entries_of(found)) < count:
        line = child.stdout.readline()
        assert line, found
        found.append(json.loads(line))
    return found


def test_the_last_entries_come_in_their_order(journal):
    """However many there are before them; the end of what is there already is told."""
    for at in range(1, 2001):
        journal.write(at)
    answers = journal.told(lines=1200)
    assert list(range(801, 2001)) == times(entries_of(answers))
    assert [each["t"] for each in answers[-3:]] == ["part", "answer", "end"]
    assert answers[-3]["words"] == {"live": True}


def test_ten_thousand_entries_take_seconds_at_most(journal):
    """All of them, in handfuls."""
    with journal.entries.open("a") as f:
        line = json.dumps({"__CURSOR": "c", "MESSAGE": "x" * 120, "PRIORITY": "6", "_SYSTEMD_UNIT": "u.service"})
        f.writelines(f'{line[:-1]}, "__REALTIME_TIMESTAMP": "{at}"}}\n' for at in range(10_000))
    began = time.monotonic()
    answers = journal.told(lines=0)
    assert time.monotonic() - began < 8
    assert list(range(10_000)) == times(entries_of(answers))
    assert len(answers) < 1000


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Traceback:\n  boom", "Traceback:\n  boom"),
        ([0x1B, *b"[31mred \xff"], "\x1b[31mred \ufffd"),
        (["first", [*b"second"]], "first\nsecond"),
        (None, ""),
        ("x" * 100_000, "x" * 100_000),
        ("한글 \u2028 \x7f", "한글 \u2028 \x7f"),
    ],
)
def test_messages_survive(journal, field, expected):
    """Several lines, bytes that do not print, several values of one field, long ones."""
    journal.write(1, message=field)
    assert [[1, "airflow-worker@1.service", 6, expected]] == entries_of(journal.told())


def test_what_others_say_of_a_unit_is_its_own(journal):
    """What systemd says on a start, and what is said on a core dump."""
    journal.write(1, unit="init.scope", UNIT="airflow-scheduler.service")
    journal.write(2, unit="systemd-coredump@1.service", COREDUMP_UNIT="airflow-worker@2.service", PRIORITY=None)
    assert [
        [1, "airflow-scheduler.service", 6, "m"],
        [2, "airflow-worker@2.service", None, "m"],
    ] == entries_of(journal.told())


def test_journalctl_is_asked_for_just_this(journal):
    """Each value is one word with its option, so that none can be taken for another option; times of day are ours."""
    journal.told(units=["a.service", "b@*.service"], since="--follow", grep="-x", lines=7)
    (argv, zone, _) = journal.calls()[0]
    assert {"--since=--follow", "--grep=-x", "--lines=7", "--unit=a.service", "--unit=b@*.service"} < set(argv)
    assert "--follow" not in argv
    assert zone == "<+0900>-9"


def test_what_follows_comes_as_it_is_written_and_nothing_twice(journal):
    """The newest entries of what was there, all of one microsecond, are not told again; everything after them is."""
    for at, message in ((1, "a"), (5, "b"), (5, "c")):
        journal.write(at, message)
    child = journal.start(lines=2, follow=True)
    assert ["b", "c"] == [each[3] for each in entries_of(lines_of(child, 2))]
    journal.write(5, "d")
    journal.write(6, "e")
    assert ["d", "e"] == [each[3] for each in entries_of(lines_of(child, 2))]
    journal.write(7, "f")
    assert ["f"] == [each[3] for each in entries_of(lines_of(child, 1))]
    end(child)


def test_all_lines_and_what_follows(journal):
    """Without a number of lines, too, the seam loses and doubles nothing."""
    for at in range(1, 1001):
        journal.write(at)
    child = journal.start(lines=0, follow=True)
    found = entries_of(lines_of(child, 1000))
    journal.write(1000, "other")
    journal.write(1001)
    found += entries_of(lines_of(child, 2))
    assert [*range(1, 1001), 1000, 1001] == times(found)
    end(child)


def test_an_empty_journal_is_followed_from_now_on(journal):
    """What was not there when it was asked for is new, also when it was written in that very moment."""
    began = time.time()
    child = journal.start(follow=True)
    assert json.loads(child.stdout.readline())["words"] == {"live": True}
    journal.write(int(began * 1e6))
    assert [int(began * 1e6)] == times(entries_of(lines_of(child, 1)))
    end(child)


def end(child):
    child.stdin.close()
    child.wait(20)


def alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("how", ["stdin", "stdout", "signal"])
def test_nobody_listens_and_journalctl_ends(journal, how):
    """The connection is gone, however that shows first: no process stays on the host."""
    journal.write(1)
    child = journal.start(follow=True)
    lines_of(child, 1)
    deadline = time.monotonic() + 20
    while not (following := [pid for argv, _, pid in journal.calls() if "--follow" in argv]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert alive(following[0])
    if how == "stdin":
        child.stdin.close()
    elif how == "stdout":
        child.stdout.close()
        journal.write(2)
    else:
        child.send_signal(signal.SIGHUP)
    assert child.wait(20) == LOST
    assert not alive(following[0])


@pytest.mark.skipif(REAL is None, reason="there is no journalctl here")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"since": "12 bananas"}, "journalctl knows no such time: 12 bananas"),
        ({"grep": r"\Qx\E("}, "attern"),
    ],
)
def test_what_journalctl_refuses_is_the_operators_to_mend(agent, words, said):
    """A time or a pattern that only it can judge: usage, in its own words."""
    asked = {"units": ["u.service"], "since": "-1h", "zone": "UTC", "lines": 1, "grep": "", "follow": False, **words}
    failed = agent("logs", words=asked)[-1]
    assert (failed["t"], failed["class"]) == ("failed", "usage")
    assert said in failed["error"]


def test_a_journalctl_that_fails_is_told(journal):
    """With its last words; it is no empty journal."""
    (journal.folder / "journalctl").write_text("#!/bin/sh\necho 'Failed to open files' >&2\nexit 1\n")
    failed = journal.told()[-1]
    assert (failed["t"], failed["class"], failed["tail"]) == ("failed", "failed", "Failed to open files")


def test_a_pattern_that_nothing_matches_is_no_failure(journal):
    """Its status alone says so."""
    (journal.folder / "journalctl").write_text("#!/bin/sh\nexit 1\n")
    assert [each["t"] for each in journal.told(grep="x")] == ["part", "answer", "end"]
