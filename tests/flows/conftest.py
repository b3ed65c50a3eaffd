"""What the flows are tested with: hosts in memory with one diary, an installed inventory, and servers of SSH."""

from __future__ import annotations

import paramiko
import pytest
import yaml

from airfleet import session
from airfleet.address import Address
from tests.flows.deployment import fleet  # noqa: F401  # a fixture of several tests
from tests.flows.memory_host import Diary, MemoryHost
from tests.flows.quiet import screen  # noqa: F401  # a fixture of several tests
from tests.flows.sshd import Sshd


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
