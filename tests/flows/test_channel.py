"""The conversation's lines over a real SSH transport, and what an operator's reader may do to what is printed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from airfleet import channel
from airfleet.agent import main
from tests.flows.ssh_pair import Anybody, transports

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ends():
    """Two ends of one channel: ours and the host's."""
    with transports(Anybody()) as (client, server):
        mine = client.open_session(timeout=20)
        yield mine, server.accept(20)


def test_the_host_hears_of_us_while_a_line_is_being_shown(ends, monkeypatch):
    """A page that nobody turns: however long one line keeps us, the agent does not take us for lost."""
    monkeypatch.setattr(channel, "PING_S", 0.05)
    mine, host = ends
    host.sendall(b"one\ntwo\n")
    lines = channel.lines(mine, bytearray())
    assert next(lines) == b"one"
    host.settimeout(10)
    heard = b""
    while len(heard) < 3:
        heard += host.recv(100)
    assert set(heard) == {ord("\n")}
    assert next(lines) == b"two"


def test_nothing_is_said_any_more_when_the_lines_are_over(ends, monkeypatch):
    """The keeper of a conversation ends with it."""
    monkeypatch.setattr(channel, "PING_S", 0.05)
    mine, host = ends
    before = threading.active_count()
    host.sendall(b"one\n")
    host.sendall_stderr(b"a warning")
    host.shutdown_write()
    errors = bytearray()
    assert [b"one"] == list(channel.lines(mine, errors))
    assert errors == b"a warning"
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_answer_that_breaks_off_is_a_loss(ends):
    """Half a line is not taken for a whole one."""
    mine, host = ends
    host.sendall(b"one\ntw")
    host.shutdown_write()
    lines = channel.lines(mine, bytearray())
    assert next(lines) == b"one"
    with pytest.raises(EOFError):
        next(lines)


def printing(text):
    program = f"from tasks import screen\nwith screen.piped():\n    {text}\n"
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_reader_who_has_read_enough_ends_the_command_in_peace():
    """As `fab logs | head` does: no traceback, and no failure."""
    child = printing('while True: screen.write("line\\n" * 1000)')
    child.stdout.readline()
    child.stdout.close()
    assert (child.stderr.read(), child.wait(20)) == (b"", 0)


@pytest.mark.parametrize("command", ["status.body(c, json=True)", "status.body(c)", "doctor.body(c)"])
def test_what_on_call_asks_first_ends_in_peace_too(command):
    """`fab status --json | head`, and the others: whoever has read enough reads no traceback."""
    program = (
        "from types import SimpleNamespace as N\n"
        "from airfleet import status as flow\n"
        "from tasks.status import doctor, status\n"
        "text = 'line\\n' * 1000000\n"
        "flow.status_json = lambda *_, **__: text\n"
        "flow.show_status = flow.show_diagnosis = lambda *_, screen, **__: screen.say(text)\n"
        f"c = N(config=N(run=N(dry=False)))\n{command}\n"
    )
    argv = [sys.executable, "-c", program]
    child = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.readline()
    child.stdout.close()
    assert (child.stderr.read(), child.wait(20)) == (b"", 0)


def test_bytes_that_are_no_text_are_written_as_they_came():
    """A file that is written from here is what it would be on the host; the two outputs stay apart."""
    child = printing('screen.write("a\\udcff\\n"); screen.write("b\\n", error=True)')
    assert child.communicate(timeout=20) == (b"a\xff\n", b"b\n")


def test_what_is_given_arrives_whole_whatever_is_said_in_between(ends, monkeypatch):
    """The host hears of us in the middle of a frame: it is what it was; a host that reads slowly is waited for."""
    monkeypatch.setattr(channel, "PING_S", 0.001)
    mine, host = ends
    host.sendall(b"ready\n")
    lines = channel.lines(mine, bytearray())
    assert next(lines) == b"ready"
    chunks = [bytes([n % 251]) * 70_000 for n in range(60)]
    giving = threading.Thread(target=channel.feed, args=(mine, chunks))
    giving.start()
    time.sleep(0.3)  # longer than one try to send may take: the window is full
    host.settimeout(10)
    pings = []

    def more():
        data = host.recv(65536)
        pings.append(data.count(b"\n"))
        return data

    assert list(main.frames(more)) == chunks
    giving.join(10)
    assert sum(pings) > 0


def test_a_host_that_ends_while_it_is_given_something_is_heard(ends):
    """Its disk is full: no error of ours hides what it says about that."""
    mine, host = ends
    host.sendall(b"failed\n")
    host.close()
    lines = channel.lines(mine, bytearray())
    assert next(lines) == b"failed"
    channel.feed(mine, [b"x" * 100_000] * 100)
    assert list(lines) == []


def test_why_a_connection_is_gone_is_told_in_words():
    """No number of the system's, no name of a class where there is a word."""
    errors = [ConnectionResetError(104, "Connection reset by peer"), EOFError(), EOFError("no end"), ValueError()]
    said = ["Connection reset by peer", "the host closed it", "no end", "ValueError"]
    assert [channel.why_lost(each) for each in errors] == said
