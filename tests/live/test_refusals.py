"""What stands in the way of a bootstrap: each thing has an error, an exit code and a state of the world of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import threading
import time

import pytest
import yaml

from sandbox.machine import run_in
from tests.live.conftest import REPOSITORY, Installation, wait_for

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

ALL_ROLES = ["redis", "webserver", "scheduler", "triggerer", "worker", "flower"]
HOLD_APT = """
import fcntl, sys, time
f = open("/var/lib/dpkg/lock-frontend", "r+b")
fcntl.lockf(f, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(12)
"""


@pytest.fixture(scope="module")
def box(bare):
    """A bare machine of its own, with an inventory that names it alone."""
    from sandbox.machine import boot, destroy

    machine = boot("box", site=bare.site)
    made = Installation(bare.site, {"box": machine}, env="box")
    value = yaml.safe_load(bare.inventory.read_text())
    value["hosts"] = {"box": {"address": machine.address, "roles": ALL_ROLES}}
    value["airflow"]["base_url"] = f"http://{machine.address}"
    made.inventory.write_text(yaml.safe_dump(value, sort_keys=False))
    made.secrets.touch(0o600)
    made.secrets.write_text(bare.secrets.read_text())
    yield made
    destroy("box", site=bare.site)


def test_a_host_that_is_down(box):
    """Exit 3, and the address."""
    address = box.machines["box"].address
    other = address.rsplit(".", 1)[0] + ".253"
    box.edit(lambda value: value["hosts"]["box"].update({"address": other}))
    box.edit(lambda value: value["ssh"].update({"connect_timeout_s": 3}))
    try:
        said = box.fab("plan", rc=3).stderr
    finally:
        box.edit(lambda value: value["hosts"]["box"].update({"address": address}))
    assert f"{other}:22 is not reachable" in said
    assert "nothing was changed" in said


def test_a_host_without_python(box):
    """Exit 3, and the command that installs it."""
    box.on("box", "mv", "/usr/bin/python3", "/usr/bin/python3.away")
    try:
        said = box.fab("plan", rc=3).stderr
    finally:
        box.on("box", "mv", "/usr/bin/python3.away", "/usr/bin/python3")
    assert "there is no python3 on this host" in said
    assert "apt-get install python3" in said


def test_a_host_without_sudo(box):
    """Exit 3: there is no way to become root."""
    box.on("box", "mv", "/usr/bin/sudo", "/usr/bin/sudo.away")
    try:
        said = box.fab("plan", rc=3).stderr
    finally:
        box.on("box", "mv", "/usr/bin/sudo.away", "/usr/bin/sudo")
    assert "no way to become root" in said


def with_terminal(argv, env, answer, timeout_s=60):
    """Run a command at a terminal, give `answer` at its first prompt, and return (rc, screen, sampled arguments)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(REPOSITORY)
        os.execvpe(argv[0], argv, env)
    screen, answered, samples = b"", False, []
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.05)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            screen += data
        if not answered and b"password" in screen:
            os.write(terminal, answer.encode() + b"\n")
            answered = True
        samples.append(subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), screen.decode(), "\n".join(samples)


def test_sudo_with_a_password(box):
    """Asked once at the terminal, given on stdin, in no argument list; without a terminal: exit 3."""
    password = "pa ss'wörd"
    files = box.on("box", "sh", "-c", "grep -l NOPASSWD /etc/sudoers /etc/sudoers.d/* 2>/dev/null || true").split()
    kept = {path: box.on("box", "cat", path) for path in files}
    for path in files:
        box.on("box", "sed", "-i", "s/NOPASSWD://", path)
    box.on("box", "chpasswd", stdin=f"ops:{password}\n")
    try:
        assert "sudo wants a password" in box.fab("plan", rc=3).stderr
        rc, screen, arguments = with_terminal(box.command("plan"), box.environment(), password)
        assert rc == 10, screen[-2000:]
        assert screen.count("[sudo] password") == 1
        assert password not in arguments
        rc, screen, _ = with_terminal(box.command("plan"), box.environment(), "wrong")
        assert rc == 3
        assert "no way to become root" in screen
    finally:
        for path, text in kept.items():
            run_in("box", ["tee", path], stdin=text, site=box.site)


def test_a_disk_that_is_too_small(box):
    """Exit 8 before anything is installed."""
    box.on("box", "mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", "/home/airflow", check=False)
    box.on("box", "sh", "-c", "mkdir -p /home/airflow && mount -t tmpfs -o size=200m tmpfs /home/airflow")
    try:
        said = box.fab("bootstrap", rc=8).stderr
        assert re.search(r"/home/airflow has \d+ MB free, and 4096 MB are needed", said)
        assert box.on("box", "dpkg-query", "-W", "git", check=False) == ""
    finally:
        box.on("box", "umount", "/home/airflow")
        box.on("box", "rmdir", "/home/airflow")


def test_a_locked_apt_is_waited_for(box):
    """Another package manager is waited for and named; then the installation goes on."""
    holder = threading.Thread(target=lambda: box.on("box", "/usr/bin/python3", "-c", HOLD_APT))
    holder.start()
    wait_for(lambda: "lock-frontend" in box.on("box", "ps", "-eo", "args"), "the other package manager")
    operator = box.start("bootstrap")
    try:
        lines = []
        for line in operator.stdout:
            lines.append(line)
            if "box: account airflow" in line:
                break
        text = "".join(lines)
    finally:
        os.killpg(operator.pid, signal.SIGKILL)
        operator.wait()
        holder.join()
    assert "box: account airflow" in text


def test_an_unreachable_registry(box):
    """The packages' registry is named, what was done is told, and the next run goes on."""
    wait_for(lambda: box.on("box", "pgrep", "-c", "apt-get", check=False).strip() == "0", "the end of the killed apt")
    hosts = box.on("box", "cat", "/etc/hosts")
    box.on("box", "tee", "/etc/hosts", stdin=hosts + "127.0.0.1 pypi.org files.pythonhosted.org\n")
    try:
        done = box.fab("bootstrap", rc=5, timeout_s=900)
    finally:
        box.on("box", "tee", "/etc/hosts", stdin=hosts)
    assert "the registry cannot be reached" in done.stderr
    assert re.search(r"in doubt: box (uv|venv) ", done.stderr)
    assert "the stages config, code" in done.stderr


def test_an_interrupted_run_says_where_it_stands(box):
    """Ctrl-C in a long step: exit 7; done, in doubt and untouched are told, and nothing runs on at the host."""
    operator = box.start("bootstrap")
    for line in operator.stdout:
        if "box: venv" in line:
            break
    wait_for(lambda: "uv" in box.on("box", "ps", "-eo", "args"), "uv at work")
    os.killpg(operator.pid, signal.SIGINT)
    rest = operator.stdout.read()
    assert operator.wait(timeout=60) == 7
    assert "interrupted" in rest
    assert "in doubt: box venv" in rest
    assert "untouched: the stages config" in rest
    wait_for(lambda: "bin/uv" not in box.on("box", "ps", "-eo", "args"), "the end of uv")


def test_a_database_that_refuses_the_password(installation):
    """Exit 9: the database, the role and the cause; nothing was changed."""
    installation.environ["AIRFLEET_SECRET_DATABASE_PASSWORD"] = "wrong:@/%"
    try:
        said = installation.fab("plan", rc=9).stderr
    finally:
        installation.environ.clear()
    assert "password" in said
    assert "wrong:@/%" not in said


def test_a_port_that_something_else_has(installation):
    """Redis cannot start: the process that has its port is named, exit 5, and the next run heals."""
    installation.on("af1", "systemctl", "stop", "redis-server.service")
    program = (
        "import socket, time; s = socket.socket(); s.setsockopt(1, 2, 1); "
        "s.bind(('0.0.0.0', 6379)); s.listen(); time.sleep(600)"
    )
    installation.on("af1", "systemd-run", "--unit", "squatter", "/usr/bin/python3", "-c", program)
    try:
        said = installation.fab("bootstrap", rc=5).stderr
    finally:
        installation.on("af1", "systemctl", "stop", "squatter")
    assert "port 6379 is taken by" in said
    assert "python3" in said
    installation.fab("bootstrap")
    assert installation.fab("plan").stdout.startswith("in order")


def test_a_jump_host_and_a_proxy_command(installation, site):
    """Jump hosts and a proxy command, in the inventory and in the ssh config, lead to the host, its key verified."""
    jump = f"ops@{installation.machines['af2'].address}"
    installation.edit(lambda value: value["ssh"].update({"proxy_jump": jump}))
    try:
        assert installation.fab("plan", "--only", "af1").stdout.startswith("in order")
    finally:
        installation.edit(lambda value: value["ssh"].pop("proxy_jump"))
    both = f"{jump},ops@{installation.machines['af1'].address}"
    installation.edit(lambda value: value["ssh"].update({"proxy_jump": both}))
    try:
        assert installation.fab("plan", "--only", "af1").stdout.startswith("in order")
    finally:
        installation.edit(lambda value: value["ssh"].pop("proxy_jump"))
    config = site.root / "ssh_config"
    via = f"ssh -F none -i {site.identity} -o UserKnownHostsFile={site.known_hosts} -W %h:%p {jump}"
    config.write_text(f"Host {installation.machines['af1'].address}\n    ProxyCommand {via}\n")
    installation.edit(lambda value: value["ssh"].update({"config": str(config)}))
    try:
        assert installation.fab("plan", "--only", "af1").stdout.startswith("in order")
    finally:
        installation.edit(lambda value: value["ssh"].update({"config": "/dev/null"}))
    installation.edit(lambda value: value["ssh"].update({"proxy_command": via}))
    try:
        assert installation.fab("plan", "--only", "af1").stdout.startswith("in order")
        installation.edit(lambda value: value["ssh"].update({"proxy_command": "sh -c 'echo gone away >&2'"}))
        assert "the proxy command said: gone away" in installation.fab("plan", "--only", "af1", rc=3).stderr
    finally:
        installation.edit(lambda value: value["ssh"].pop("proxy_command"))


def test_a_frozen_link_is_noticed(installation):
    """A host that stops answering in the middle is given up after a while: exit 3, not a hang."""
    from sandbox.machine import pause, resume

    installation.edit(lambda value: value["ssh"].update({"connect_timeout_s": 3}))
    pause("af2", site=installation.site)
    try:
        began = time.monotonic()
        said = installation.fab("plan", rc=3, timeout_s=120).stderr
        assert time.monotonic() - began < 60
    finally:
        resume("af2", site=installation.site)
        installation.edit(lambda value: value["ssh"].pop("connect_timeout_s"))
    assert "af2" in said


def test_an_unknown_name_in_only_is_an_error(installation):
    """--only with a host that is not there: exit 2, and the names that are."""
    said = installation.fab("plan", "--only", "af1,af9", rc=2).stderr
    assert "af9" in said
    assert "af1, af2" in said
