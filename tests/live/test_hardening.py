"""What a stranger finds who is in the same network, and what the hosts themselves say of how they are locked."""

from __future__ import annotations

import re
import subprocess

import pytest

from airfleet.generations import generation_of
from sandbox.machine import leader

pytestmark = [pytest.mark.live, pytest.mark.timeout(2400)]

SCAN = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def answers(port):
    with socket.socket() as s:
        s.settimeout(2)
        return port if s.connect_ex((sys.argv[1], port)) == 0 else 0
with ThreadPoolExecutor(256) as pool:
    print(*filter(None, pool.map(answers, range(1, 65536))))
"""


def scanned(installation, scanner, target):
    """Return the ports of a machine that answer another one."""
    pid = leader(scanner, site=installation.site)
    argv = ["nsenter", "--target", str(pid), "--net", "--", "python3", "-c", SCAN]
    done = subprocess.run([*argv, installation.machines[target].address], check=True, capture_output=True, text=True)
    return {int(port) for port in done.stdout.split()}


def test_a_stranger_finds_ssh_and_the_web_pages(installation):
    """Every TCP port of af1, tried from a machine that is no host of the installation.

    Redis answers those who know its password; the log servers answer requests that are signed: both are for the hosts.
    """
    health = generation_of(installation.airflow).health
    for_hosts = {6379, health.log_port, health.trigger_log_port}
    assert scanned(installation, "svc", "af1") - for_hosts == {22, 80}


def test_every_unit_is_rated_at_most_3(installation):
    """By the systemd of the host itself, of what really runs: drop-ins and overrides counted."""
    names = installation.on(
        "af1", "systemctl", "list-units", "--plain", "--no-legend", "--all", "airflow-*.service", "redis-server.service"
    )
    for name in (line.split()[0] for line in names.splitlines()):
        said = installation.on("af1", "systemd-analyze", "security", "--no-pager", name).splitlines()[-1]
        assert float(re.search(r"level for .*: ([0-9.]+)", said)[1]) <= 3.0, said


def test_nothing_that_runs_may_leave_a_core_dump(installation):
    """The limit is 0, soft and hard, of each process of the account and of Redis."""
    for account in ("airflow", "redis"):
        for pid in installation.on("af1", "pgrep", "-u", account).split():
            limits = installation.on("af1", "cat", f"/proc/{pid}/limits", check=False)
            assert not limits or re.search(r"Max core file size +0 +0 ", limits), limits


def test_the_account_has_neither_shell_nor_sudo(installation):
    """Nobody logs in as it, and it becomes nobody else."""
    entry = installation.on("af1", "getent", "passwd", "airflow").strip()
    assert entry.endswith(":/usr/sbin/nologin")
    assert installation.on("af1", "passwd", "--status", "airflow").split()[1] == "L"
    assert "not allowed" in installation.on("af1", "sudo", "-l", "-U", "airflow", check=False)


def test_files_with_secrets_are_for_one_reader(installation):
    """Mode and owner of each."""
    wanted = {
        "/home/airflow/airflow/airflow.cfg": "600 airflow",
        "/home/airflow/airflow/environment": "600 airflow",
        "/etc/redis/redis.conf": "640 redis",
        "/run/redis-server/admin": "600 root",
        "/run/redis-server/access.conf": "640 root",
    }
    assert wanted == {path: installation.on("af1", "stat", "-c", "%a %U", path).strip() for path in wanted}


def test_redis_takes_from_the_services_what_they_need_and_nothing_else(installation):
    """With their own user and password: no look at the configuration, no emptying of a database."""
    password = installation.secret_values()["redis_password"]
    said = installation.on("af1", "redis-cli", stdin=f"auth airflow {password}\nping\nflushall\nconfig get *\n")
    assert said.splitlines()[:2] == ["OK", "PONG"]
    assert said.count("NOPERM") == 2
