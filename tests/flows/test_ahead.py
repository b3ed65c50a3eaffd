"""Hosts are connected to while their inventory is read, where nobody has touched it since it was accepted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from airfleet import ahead, inventory, session
from airfleet.errors import UsageError
from tests.authority_rig import authority

SOON_S = 20
HOSTS = ("af1", "af2")
INVENTORY = {
    "airflow": {"version": "2.11.2"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "hosts": {
        "af1": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "webserver"]},
        "af2": {"address": "10.1.0.12", "port": 2222, "roles": ["worker"]},
    },
}


class Host:
    """A host that knows when it was opened, and where it is."""

    def __init__(self, name, place):
        self.name, self.place = name, place
        self.opened, self.closed, self.times = threading.Event(), False, 0

    def open(self):
        self.times += 1
        self.opened.set()

    def close(self):
        self.closed = True


@pytest.fixture
def hosts():
    """All hosts that were made, in order."""
    return []


@pytest.fixture
def at(install, hosts, tmp_path):
    """Write an inventory; returns its folder."""

    def make(name, place, ask):
        hosts.append(Host(name, place))
        return hosts[-1]

    def written(**changes):
        install({**INVENTORY, **changes}, make)
        return tmp_path

    return written


@pytest.fixture
def visit(hosts, monkeypatch):
    """Open a session; returns the names of the hosts that were opened before the inventory was read."""
    read = inventory.load

    def visited(only="", wait=(), **more):
        hosts.clear()
        early = []

        def load(path):
            early.extend(host.name for host in hosts if host.opened.wait(SOON_S))
            return read(path)

        monkeypatch.setattr(inventory, "load", load)
        with session.opened("", doing="test", only=only, connect=True, **more) as fleet:
            assert all(fleet.hosts[name].opened.wait(SOON_S) for name in wait or fleet.hosts)
        assert all(host.closed for host in hosts)
        return early

    return visited


def memory(folder):
    """Return the file that is remembered in."""
    (found,) = (folder / "cache" / "airfleet").iterdir()
    return found


def test_the_second_time(at, visit, hosts):
    """Each host is opened while the inventory is read, and it is that one which the session has."""
    at()
    assert visit() == []
    assert visit() == list(HOSTS)
    assert [host.name for host in hosts] == list(HOSTS)
    assert [host.times for host in hosts] == [1, 1]
    assert [(host.place.host, host.place.port) for host in hosts] == [("10.1.0.11", None), ("10.1.0.12", 2222)]


def test_a_place_is_remembered_as_it_is(at, visit, hosts):
    """With everything that belongs to it: else the hosts would be thrown away, and connected to twice."""
    ssh = {"user": "ops", "identity": "key", "config": "ssh config", "proxy_jump": "one,two", "connect_timeout_s": 3}
    at(ssh=ssh)
    visit()
    first = [host.place for host in hosts]
    visit()
    assert [host.place for host in hosts] == first


@pytest.mark.parametrize("name", ["inventory.yaml", "secrets.yaml"])
def test_touched(at, visit, name):
    """Whatever was written, or replaced, is read before anybody is contacted; then it is remembered anew."""
    file = at() / name
    visit()
    with file.open("a") as writing:
        writing.write("# another line\n")
    assert visit() == []
    assert visit() == list(HOSTS)
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    other.chmod(0o600)
    other.replace(file)
    assert visit() == []


def test_refused_before_anybody_is_contacted(at, visit, hosts):
    """Secrets that others can read, an inventory with an error in it."""
    folder = at()
    visit()
    (folder / "secrets.yaml").chmod(0o644)
    with pytest.raises(UsageError, match="mode is 0644"):
        visit()
    assert hosts == []
    (folder / "secrets.yaml").chmod(0o600)
    (folder / "inventory.yaml").write_text("hosts: [")
    with pytest.raises(UsageError):
        visit()
    assert hosts == []


def test_a_file_that_the_inventory_names(at, visit, tmp_path):
    """The certificate of the database's authority is read with the inventory."""
    ca = authority(tmp_path, "ca")
    at(database={**INVENTORY["database"], "ca": str(ca), "sslmode": "verify-ca"})
    visit()
    assert visit() == list(HOSTS)
    ca.write_bytes(ca.read_bytes() + b"\n")
    assert visit() == []


def test_secrets_in_the_environment(at, visit, monkeypatch):
    """Nobody knows whether they are right before they were looked at."""
    at()
    visit()
    monkeypatch.setenv("AIRFLEET_SECRET_DATABASE_PASSWORD", "another")
    assert visit() == []
    assert visit() == []


def test_some_hosts(at, visit):
    """Which hosts are meant is in the inventory."""
    at()
    visit()
    assert visit(only="af1") == []


def test_not_more_at_once_than_the_inventory_allows(at, visit, hosts):
    """The others are connected to when their turn comes."""
    at(ssh={"parallel": 1})
    assert visit(wait=HOSTS[:1]) == []
    assert visit(wait=HOSTS[:1]) == ["af1"]
    assert [host.opened.is_set() for host in hosts] == [True, False]


def test_another_airfleet(at, visit, monkeypatch, tmp_path):
    """It may refuse what this one accepts."""
    at()
    visit()
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "inventory.py").touch()
    monkeypatch.setattr(ahead, "OURS", tmp_path / "ours")
    assert visit() == []
    assert visit() == list(HOSTS)


def test_no_program_is_started_from_memory(at, visit):
    """A proxy command is in the inventory alone."""
    folder = at(ssh={"proxy_command": "reach %h"})
    visit()
    assert visit() == []
    assert "reach" not in memory(folder).read_text()


def test_for_the_operator_alone(at, visit):
    """The file is private and has no secret; one that others could have written means nothing."""
    folder = at()
    visit()
    file = memory(folder)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "pw" not in json.loads(file.read_text())["hosts"]["af1"].values()
    file.chmod(0o620)
    assert visit() == []


def spoilt(right, text):
    """Return a text for the file; one that has a word for it: what is right, but for its hosts or files."""
    parts = {"half a place": {"hosts": {"af1": {"host": "10.1.0.11"}}}, "a number": {"hosts": {"af1": 1}}}
    parts |= {"no pairs": {"files": [1]}, "no path": {"files": [["\0", 1]]}, "three": {"files": [[1, 2, 3]]}}
    return json.dumps({**right, **parts[text]}) if text in parts else text


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "null", "\udcff", '{"ours": 1}', "half a place", "a number", "no pairs", "no path", "three"]
)
def test_nonsense(at, visit, text):
    """Whatever is in the file, a session is opened, and the file is right again."""
    folder = at()
    visit()
    file = memory(folder)
    right = json.loads(file.read_text())
    file.write_bytes(spoilt(right, text).encode(errors="surrogateescape"))
    assert visit() == []
    assert json.loads(file.read_text()) == right
    assert visit() == list(HOSTS)


def test_another_place_is_not_asked(at, visit, hosts, monkeypatch):
    """What was remembered wrongly is closed, and the host of the inventory made."""
    at()
    visit()
    address = ahead._address
    monkeypatch.setattr(ahead, "_address", lambda words: replace(address(words), host="10.1.0.99"))
    assert visit() == list(HOSTS)
    assert [host.place.host for host in hosts] == ["10.1.0.99", "10.1.0.99", "10.1.0.11", "10.1.0.12"]


def test_nowhere_to_remember(at, visit, monkeypatch, tmp_path):
    """Without a home folder, or one that can't be written, all goes on."""
    at()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "inventory.yaml"))
    assert visit() + visit() == []
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    assert visit() + visit() == []


def test_what_has_to_be_there_before():
    """Neither pydantic nor the inventory's model is imported until the hosts are being connected to."""
    root = Path(__file__).resolve().parents[2]
    code = "import sys, airfleet.bootstrap, airfleet.deploy, airfleet.status; print('pydantic' in sys.modules)"
    words = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": str(root)}
    assert subprocess.run(words, capture_output=True, text=True, check=True, env=env, cwd=root).stdout == "False\n"
