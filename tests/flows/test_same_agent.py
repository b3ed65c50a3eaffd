"""A host's agents over a real SSH transport: one that is done with a request is given the next one."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from airfleet import remote
from airfleet.errors import UsageError
from airfleet.remote import SshHost
from airfleet.resources import File


@pytest.fixture
def started(sshd, address):
    """A host, and the commands by which its agents were started."""
    box = sshd(lambda command: ["sh", "-c", command.removeprefix("sudo -n ")])
    host = SshHost("af1", address(box), lambda _: "")
    yield host, box.asked
    host.close()


def holder(host, tmp_path):
    return host.call("holder", {"lock": str(tmp_path / "lock")})


def test_one_agent_does_what_is_asked_in_turn(started, tmp_path):
    """A look, calls, a call that fails, a stream: each of them anew, as the host is then."""
    host, asked = started
    path = tmp_path / "file"
    host.open()
    assert host.look([File(str(path), "text")])["file", str(path)].state is None
    path.write_text("text")
    assert host.look([File(str(path), "text")])["file", str(path)].state is not None
    assert holder(host, tmp_path) == {"held_by": None}
    assert host.call("members", {"path": str(tmp_path / "history")}) == {"members": {}, "retired": {}}
    assert len(asked) == 1


def test_who_asks_at_the_same_time_has_an_agent_of_its_own(started, tmp_path):
    """And these are enough for whatever comes later."""
    host, asked = started
    with ThreadPoolExecutor(3) as pool:
        for _ in range(4):
            list(pool.map(lambda _: holder(host, tmp_path), range(3)))
    assert 1 <= len(asked) <= 3


def test_the_lock_keeps_its_agent(started, tmp_path):
    """What is asked while it is held goes to another one, and it is free when the host is closed."""
    host, asked = started
    words = {"path": str(tmp_path / "lock"), "who": "ana"}
    assert host.hold(dict(words)) == {"held_by": None}
    assert holder(host, tmp_path)["held_by"]["who"] == "ana"
    assert holder(host, tmp_path)["held_by"]["who"] == "ana"
    assert len(asked) == 2


def test_an_agent_that_has_waited_too_long_is_asked_nothing(started, tmp_path, monkeypatch):
    """It may just be about to end."""
    host, asked = started
    holder(host, tmp_path)
    monkeypatch.setattr(remote, "FRESH_S", 0)
    holder(host, tmp_path)
    assert len(asked) == 2


def test_what_went_wrong_is_told_and_the_next_request_is_done(started, tmp_path):
    """By whichever agent."""
    host, _ = started
    with pytest.raises(UsageError):
        host.call("history", {"path": 0, "limit": 1})
    assert holder(host, tmp_path) == {"held_by": None}


def agents():
    """Return the processes below this one that run an agent."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"hook, _, sources" in (each / "cmdline").read_bytes() and descends(int(each.name)):
                found.append(each.name)
    return found


def descends(pid):
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def test_a_host_that_is_closed_leaves_no_agent(started, tmp_path):
    """Nor the processes of its requests, the lock's among them."""
    host, _ = started
    host.hold({"path": str(tmp_path / "lock"), "who": "ana"})
    holder(host, tmp_path)
    assert len(agents()) >= 2
    host.close()
    deadline = time.monotonic() + 20
    while agents():
        assert time.monotonic() < deadline
        time.sleep(0.02)
