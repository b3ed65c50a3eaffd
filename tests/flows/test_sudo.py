"""sudo that wants a password, over a real SSH transport: asked for once, however many agents were started without."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from airfleet import remote
from airfleet.errors import HostUnreachable
from tests.flows.ssh_pair import Anybody, transports

PASSWORD = "pa ss'wörd"


class Sudoer(Anybody):
    """What is run by sudo answers once the password was its first line."""

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=_run, args=(channel, command.decode()), daemon=True).start()
        return True


def _run(channel, command):
    first = channel.makefile("r").readline()
    right = command.startswith("sudo -k -S ") and first == f"{PASSWORD}\n"
    if right:
        channel.sendall(b'{"t": "answer", "words": {"uid": 0}}\n{"t": "end"}\n')
    else:
        channel.sendall_stderr(b"sudo: a password is required\n")
    channel.send_exit_status(0 if right else 1)
    channel.close()


@pytest.fixture
def box(monkeypatch):
    """A function that returns the host for a way of asking for the password."""
    with transports(Sudoer()) as (client, _):
        monkeypatch.setattr(remote, "connect", lambda *_: SimpleNamespace(transport=client, user="ops"))
        yield lambda ask: remote.SshHost("box", None, ask)


def test_a_second_agent_without_a_password_changes_nothing(box):
    """The one that was to wait for the first request is started, without one, while the password is asked for."""
    asked = []

    def ask(name):
        asked.append(name)
        host.open()
        return PASSWORD

    host = box(ask)
    assert host.call("who", {}) == {"uid": 0}
    assert host.call("who", {}) == {"uid": 0}
    assert set(asked) == {"box"}


def test_a_wrong_password_is_told(box):
    """And not tried again."""
    asked = []
    host = box(lambda name: asked.append(name) or "wrong")
    with pytest.raises(HostUnreachable, match="no way to become root"):
        host.call("who", {})
    assert asked == ["box"]
