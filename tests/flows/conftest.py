"""An in-memory host with a diary: what was asked of it, in order, across all hosts."""

from __future__ import annotations

import threading

import paramiko
import pytest
import yaml

from airfleet import session
from airfleet.address import Address
from airfleet.errors import ApplyFailed
from airfleet.model import Change, Facts, Outcome, Seen
from tests.flows.sshd import Sshd


class Diary(list):
    """The order of events across hosts, and the keys at which a host is to fail."""

    def __init__(self):
        super().__init__()
        self.writing = threading.Lock()

    def add(self, *event):
        with self.writing:
            self.append(event)


class MemoryHost:
    """A host that is a dict of states. `failing` names keys whose change fails; `stubborn` those that do not stick."""

    def __init__(self, name, diary, states=None):
        self.name = name
        self.diary = diary
        self.states = dict(states or {})
        self.failing = set()
        self.stubborn = set()
        self.closed = False

    def open(self):
        return self

    def look(self, resources):
        self.diary.add(self.name, "look", len(resources))
        return Facts({(r.kind, r.key): Seen(self.states.get((r.kind, r.key))) for r in resources})

    def apply(self, changes: list[Change], tell):
        outcome = Outcome(untouched=[(c.resource.kind, c.resource.key) for c in changes])
        for change in changes:
            key = (change.resource.kind, change.resource.key)
            outcome.untouched.remove(key)
            tell(key, "")
            self.diary.add(self.name, "apply", key[1])
            if key[1] in self.failing:
                outcome.in_doubt = [key]
                outcome.error = ApplyFailed("no", place=self.name)
                break
            if key[1] not in self.stubborn:
                self.states[key] = change.resource.state
            outcome.done.append(key)
        return outcome

    def call(self, name, words, tell=None):
        self.diary.add(self.name, "call", name)
        return {}

    def hold(self, words):
        self.diary.add(self.name, "hold")
        return {"held_by": None}

    def close(self):
        self.closed = True


class SilentReport:
    """A report that only counts."""

    def __init__(self):
        self.stages = []

    def stage(self, name, changes):
        self.stages.append((name, sorted(changes)))

    def step(self, host, key, text):
        pass

    def done(self, host, outcome):
        pass


@pytest.fixture(autouse=True)
def _memory(monkeypatch, tmp_path):
    """Where hosts are is remembered for one test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def diary():
    return Diary()


@pytest.fixture
def report():
    return SilentReport()


@pytest.fixture
def make_host(diary):
    return lambda name, states=None: MemoryHost(name, diary, states)


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Write an inventory with its secrets, and have sessions get their hosts from `make_host(name, address, ask)`."""

    def written(inventory, make_host, secrets="database_password: pw\nflower_password: f\nredis_password: r\n"):
        (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(inventory))
        (tmp_path / "secrets.yaml").write_text(secrets)
        (tmp_path / "secrets.yaml").chmod(0o600)
        monkeypatch.setenv("AIRFLEET_ROOT", str(tmp_path))
        monkeypatch.setattr(session, "SshHost", make_host)

    return written


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """A key, and the file that it is in."""
    path = tmp_path_factory.mktemp("key") / "id"
    made = paramiko.ECDSAKey.generate()
    made.write_private_key_file(str(path))
    return made, path


@pytest.fixture
def sshd(key):
    """A function that starts a server which runs what it is asked for in a shell."""
    started = []

    def start(words=lambda command: ["sh", "-c", command]):
        started.append(Sshd("ops", key[0], words).__enter__())
        return started[-1]

    yield start
    for each in started:
        each.__exit__()


@pytest.fixture
def box(sshd):
    return sshd()


@pytest.fixture
def address(key, tmp_path):
    """A function that returns the address of a server; those that are `known` have their keys in the file."""

    def made(box, *known, timeout_s=10, **way):
        hosts = tmp_path / "known_hosts"
        hosts.write_text("".join(f"{each.line}\n" for each in (box, *known)))
        return Address("127.0.0.1", "ops", box.port, key[1], None, hosts, timeout_s, **way)

    return made
