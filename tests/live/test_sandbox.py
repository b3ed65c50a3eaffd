"""The sandbox's claims, on machines of a site of its own: other bridge, other subnet, other folder than the fleet's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from airfleet.errors import UsageError
from sandbox import cgroup, network
from sandbox.computer import check_computer
from sandbox.fleet import down, status, up
from sandbox.machine import boot, destroy, kill, leader, pause, resume, run_in, running, ssh_answers
from sandbox.site import REPOSITORY, Site

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
DEADLINE_S = 60
MIXED_UNIT = """[Service]
KillMode=mixed
TimeoutStopSec=20
ExecStart=/bin/sh -c '(trap "" TERM; exec sleep 1000) & exec sleep 2000'
"""


def wait_for(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def make_site(folder: Path, tag: str, **other) -> Site:
    return Site(**({"root": folder, "state": folder / ".sandbox", "images": Site().images, "tag": tag} | other))


def leftovers(site: Site) -> list[str]:
    """Everything of a site that is on this computer outside of its own folder."""
    found = [f"cgroup {name}" for name in cgroup.names(site.cgroup(""))]
    found += [
        f"link {path.name}" for path in Path("/sys/class/net").iterdir() if path.name.startswith(f"vb-{site.tag}-")
    ]
    found += [f"bridge {name}" for name in network.bridges() if name == site.bridge]
    tables = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout
    found += [f"table {site.table}"] if f"table ip {site.table}\n" in tables else []
    found += [
        f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(site.state) in line
    ]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(site.state).encode() in words and int(process.name) != os.getpid():
            found.append(f"process {words!r}")
    found += [f"nspawn's {path}" for path in Path("/run/systemd/nspawn/propagate").glob(f"{site.tag}-*")]
    return found


def ssh(site: Site, address: str, *words: str, known_hosts: Path | None = None) -> subprocess.CompletedProcess[str]:
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "ConnectTimeout=10"]
    options.append(f"UserKnownHostsFile={known_hosts or site.known_hosts}")
    argv = ["/usr/bin/ssh", "-F", "none", "-i", str(site.identity), *(f"-o{option}" for option in options)]
    return subprocess.run([*argv, f"ops@{address}", *words], check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    check_computer()
    made = make_site(tmp_path_factory.mktemp("sandbox"), "t")
    yield made
    down(site=made)
    assert leftovers(made) == []


def test_a_machine_answers_by_ssh_under_a_host_key_that_was_known_before_it_booted(site):
    machine = boot("one", site=site)
    assert ssh(site, machine.address, "hostname").stdout == "one\n"
    assert ssh(site, machine.address, "sudo", "-n", "id", "-u").stdout == "0\n"


def test_a_machine_with_another_host_key_is_refused(site, tmp_path):
    one, two = boot("one", site=site), boot("two", site=site)
    lines = site.known_hosts.read_text().splitlines()
    key = next(line for line in lines if line.startswith(two.address)).split(maxsplit=1)[1]
    (tmp_path / "known_hosts").write_text(f"{one.address} {key}\n")
    refused = ssh(site, one.address, "true", known_hosts=tmp_path / "known_hosts")
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_a_machine_is_as_bare_as_a_cloud_vm_and_its_systemd_is_well(site):
    machine = boot("one", site=site)
    assert ssh(site, machine.address, "systemctl", "is-system-running").stdout == "running\n"
    for program in ("git", "make", "redis-server", "psql"):
        assert ssh(site, machine.address, "which", program).returncode == 1
    locked = run_in("one", ["passwd", "--status", "ops"], site=site).stdout
    assert locked.split()[1] == "L"


def test_a_machine_reaches_the_registries_and_trusts_this_computers_authorities(site):
    boot("one", site=site)
    code = run_in(
        "one", ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "https://pypi.org/simple/six/"], site=site
    )
    assert code.stdout == "200"


def test_machines_reach_each_other_under_their_own_addresses(site):
    one, two = boot("one", site=site), boot("two", site=site)
    probe = (
        f"import socket; s = socket.create_connection(('{two.address}', 22), 5); print(s.getsockname()[0], s.recv(4))"
    )
    assert run_in("one", ["python3", "-c", probe], site=site).stdout == f"{one.address} b'SSH-'\n"


def test_a_unit_of_the_same_name_in_two_machines_has_a_cgroup_in_each(site):
    """Without a cgroup for each machine `systemctl stop` signals the main process only, and KillMode is void."""

    def sleepers(name):
        found = run_in(name, ["pgrep", "-x", "-f", "sleep [12]000"], check=False, site=site)
        return len(found.stdout.split())

    for name in ("one", "two"):
        boot(name, site=site)
        run_in(name, ["tee", "/run/systemd/system/mixed.service"], stdin=MIXED_UNIT, site=site)
        run_in(name, ["systemctl", "daemon-reload"], site=site)
        run_in(name, ["systemctl", "start", "mixed.service"], site=site)
        wait_for(lambda name=name: sleepers(name) == 2, f"both processes in {name}")
    run_in("one", ["systemctl", "stop", "mixed.service"], site=site)
    assert sleepers("one") == 0, "the child that ignores SIGTERM gets SIGKILL once the main process is gone"
    assert sleepers("two") == 2
    assert run_in("two", ["systemctl", "is-active", "mixed.service"], site=site).stdout == "active\n"
    run_in("two", ["systemctl", "stop", "mixed.service"], site=site)


def test_a_machine_without_power_comes_back_with_its_disk(site):
    machine = boot("one", site=site)
    run_in("one", ["touch", "/var/lib/kept"], site=site)
    run_in("one", ["sync"], site=site)
    kill("one", site=site)
    assert not running("one", site=site)
    assert [m["running"] for m in status(site=site) if m["name"] == "one"] == [False]
    assert boot("one", site=site) == machine
    assert run_in("one", ["ls", "/var/lib/kept"], site=site).stdout == "/var/lib/kept\n"


def test_a_frozen_machine_answers_nothing_and_then_goes_on(site):
    machine = boot("one", site=site)
    pause("one", site=site)
    assert not ssh_answers(machine.address)
    resume("one", site=site)
    wait_for(lambda: ssh_answers(machine.address), "sshd after the frost")


def test_a_destroyed_machine_leaves_nothing_and_the_others_stay(site):
    boot("two", site=site)
    machine = boot("gone", site=site)
    destroy("gone", site=site)
    destroy("gone", site=site)
    assert [line for line in leftovers(site) if "gone" in line] == []
    assert machine.address not in site.known_hosts.read_text()
    assert not site.folder("gone").exists()
    assert running("two", site=site)


def test_a_running_machine_is_not_turned_into_another_release(site):
    boot("one", site=site)
    with pytest.raises(UsageError, match="one is a bookworm"):
        boot("one", "trixie", site=site)


def test_debian_13_boots_as_well(site):
    machine = boot("thirteen", "trixie", site=site)
    assert "trixie" in ssh(site, machine.address, "cat", "/etc/os-release").stdout
    assert ssh(site, machine.address, "systemctl", "is-system-running").stdout == "running\n"
    destroy("thirteen", site=site)


def test_up_gives_an_inventory_database_repositories_and_is_quick_the_second_time(tmp_path):
    site = make_site(tmp_path, "u")
    said: list[str] = []
    try:
        machines = up(1, site=site, say=said.append)
        assert sorted(machines) == ["af1", "af2", "svc"]
        inventory = yaml.safe_load(site.inventory.read_text())
        assert inventory["sandbox"] is True
        assert inventory["hosts"]["af2"]["roles"] == ["worker"]
        assert site.secrets.stat().st_mode & 0o777 == 0o600
        secrets = yaml.safe_load(site.secrets.read_text())
        assert "OPENSSH PRIVATE KEY" in secrets["deploy_key"]

        svc = machines["svc"].address
        login = f"host={svc} dbname=airflow user=airflow"
        answer = run_in(
            "svc", ["env", f"PGPASSWORD={secrets['database_password']}", "psql", "-Atc", "select 1", login], site=site
        )
        assert answer.stdout == "1\n"
        refused = run_in("svc", ["env", "PGPASSWORD=wrong", "psql", "-Atc", "select 1", login], check=False, site=site)
        assert refused.returncode == 2

        command = f"ssh -F none -i {site.deploy_key} -o IdentitiesOnly=yes -o UserKnownHostsFile={site.known_hosts}"
        env = {**os.environ, "GIT_SSH_COMMAND": command}
        clone = ["git", "clone", "-q", "-b", "main", inventory["dags"]["repository"], str(tmp_path / "dags")]
        subprocess.run(clone, check=True, env=env)
        assert (tmp_path / "dags" / "dags" / "hello.py").is_file()
        if "pyenv" in inventory:
            pyenv = inventory["pyenv"]
            argv = ["git", "clone", "-q", "-b", pyenv["tag"], pyenv["repository"], str(tmp_path / "pyenv")]
            subprocess.run(argv, check=True)
            assert (tmp_path / "pyenv" / "plugins" / "python-build").is_dir()
        else:
            assert any("pyenv" in line and "distribution's Python" in line for line in said)

        with site.secrets.open("a") as file:
            file.write("redis_password: made-elsewhere\n")
        began = time.monotonic()
        up(1, site=site, say=said.append)
        assert time.monotonic() - began < 5
        assert "was up already" in said[-1]
        assert yaml.safe_load(site.secrets.read_text())["redis_password"] == "made-elsewhere"
    finally:
        down(site=site)
    assert leftovers(site) == []
    assert not site.inventory.exists()
    assert not site.secrets.exists()
    down(purge=True, site=site)
    assert not site.state.exists()


CRASH = """
import sys
from pathlib import Path
from sandbox.machine import boot
from sandbox.site import Site
folder, images, name = sys.argv[1:]
boot(name, site=Site(root=Path(folder), state=Path(folder, ".sandbox"), images=Path(images), tag="c"))
"""


def crash_when(site: Site, name: str, condition) -> None:
    """Boot a machine from another process and kill that process without a warning once the condition holds."""
    argv = [sys.executable, "-c", CRASH, str(site.root), str(site.images), name]
    child = subprocess.Popen(argv, cwd=REPOSITORY)
    try:
        wait_for(lambda: condition() or child.poll() is not None, "the moment of the crash")
        assert child.poll() is None, "it had ended before it could crash"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


@pytest.mark.parametrize(
    "moment", ["at the bridge", "at the record", "at the cgroup", "at the first process", "at the leader"]
)
def test_after_a_crash_in_the_middle_down_leaves_nothing(tmp_path, moment):
    check_computer()
    site = make_site(tmp_path, "c")
    try:
        crash_when(
            site,
            "crash",
            {
                "at the bridge": (lambda: network.network_up(site)),
                "at the record": (site.folder("crash") / "machine.json").exists,
                "at the cgroup": lambda: site.cgroup("crash") in cgroup.names(site.bridge),
                "at the first process": lambda: cgroup.populated(site.cgroup("crash")),
                "at the leader": lambda: leader("crash", site=site) > 0,
            }[moment],
        )
    finally:
        down(site=site)
    assert leftovers(site) == []
    assert site.machines() == {}


def test_after_a_crash_while_an_image_is_built_nothing_is_taken_for_one(tmp_path):
    check_computer()
    site = make_site(tmp_path, "c", images=tmp_path / "images")
    building = site.images / "lock"
    try:
        crash_when(site, "crash", lambda: building.exists() and any(site.images.glob(".building-*/debootstrap")))
        assert [p for p in site.images.iterdir() if not p.name.startswith(".") and p.is_dir()] == []
        wait_for(lambda: not [line for line in leftovers(site) if "debootstrap" in line], "the builders' end")
    finally:
        down(site=site)
    assert list(site.images.glob(".building-*")) == []
    assert leftovers(site) == []
    shutil.rmtree(site.images)


def test_the_last_site_puts_the_kernels_settings_back(tmp_path, monkeypatch):
    check_computer()
    knob = Path("/proc/sys/fs/inotify/max_user_watches")
    before = int(knob.read_text())
    site = make_site(tmp_path, "k")
    monkeypatch.setattr(network, "SETTINGS", {"fs/inotify/max_user_watches": before + 1})
    monkeypatch.setattr(network, "SAVED", tmp_path / "saved")
    monkeypatch.setattr(network, "BRIDGES", site.bridge)
    try:
        with site.lock():
            network.raise_network(site)
            network.raise_network(site)
        assert int(knob.read_text()) == before + 1
    finally:
        down(site=site)
    assert int(knob.read_text()) == before


def test_somebody_who_is_not_root_is_told_what_will_do_instead(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="needs root") as raised:
        check_computer()
    assert "python3 >= 3.9" in raised.value.remedy


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(
        shutil, "which", lambda program, path=None: None if program in ("nft", "debootstrap") else program
    )
    with pytest.raises(UsageError, match="debootstrap, nftables") as raised:
        check_computer()
    assert raised.value.remedy == "apt-get install --no-install-recommends debootstrap nftables"


def test_another_checkouts_sandbox_is_left_alone(tmp_path):
    """A second checkout with the same names is refused while the first one's machines run, and takes over after it."""
    first, second = make_site(tmp_path / "one", "o"), make_site(tmp_path / "two", "o")
    try:
        machine = boot("m1", site=first)
        for attempt in (lambda: boot("m1", site=second), lambda: down(site=second)):
            with pytest.raises(UsageError, match="belongs to another checkout"):
                attempt()
        assert ssh_answers(machine.address)
        kill("m1", site=first)
        boot("m1", site=second)
        assert ssh_answers(second.machines()["m1"].address)
    finally:
        down(site=second)
    assert leftovers(second) == []
