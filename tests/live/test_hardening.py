"""What a stranger finds who is in the same network, and what the hosts themselves say of how they are locked."""

from __future__ import annotations

import re
import subprocess

import pytest

from airfleet.generations import generation_of
from sandbox.machine import leader
from tests.live.conftest import wait_for

pytestmark = [pytest.mark.live, pytest.mark.timeout(2400)]

SCAN = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def answers(port):
    with socket.socket() as s:
        s.settimeout(2)
        return port if s.connect_ex((sys.argv[1], port)) == 0 else 0
with ThreadPoolExecutor(256) as pool:
    print(*filter(None, pool.map(answers, map(int, sys.argv[2:]) if sys.argv[2:] else range(1, 65536))))
"""
DEFERS = """\
import datetime

try:  # Airflow 3
    from airflow.sdk import DAG, BaseOperator
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
except ImportError:  # Airflow 2
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.dag import DAG
    from airflow.triggers.temporal import TimeDeltaTrigger


class Wait(BaseOperator):
    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(datetime.timedelta(seconds=60)), method_name="go_on")

    def go_on(self, context, event=None):
        return "waited"


with DAG("defers", schedule=None, start_date=datetime.datetime(2026, 1, 1), is_paused_upon_creation=False):
    Wait(task_id="wait", queue="default")
"""


def scanned(installation, scanner, target, *ports):
    """Return the ports of a machine, all or some, that answer another one."""
    pid = leader(scanner, site=installation.site)
    argv = ["nsenter", "--target", str(pid), "--net", "--", "python3", "-c", SCAN]
    argv += [installation.machines[target].address, *map(str, ports)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return {int(port) for port in done.stdout.split()}


def log_of(api, path):
    """Return the log of a task's first try as the web page shows it."""
    return str(api.ask(f"{path}/logs/1?full_content=true")["content"])


def test_a_stranger_finds_ssh_and_the_web_pages(installation):
    """Every TCP port of af1, tried from a machine that is no host of the installation.

    Redis, which is for the hosts, answers who knows its password. The log servers listen on every address too, and
    systemd lets nobody come to them but hosts with web pages.
    """
    assert scanned(installation, "svc", "af1") == {22, 80, 6379}


@pytest.mark.both
def test_log_servers_answer_hosts_with_web_pages_and_their_own(installation):
    """af1 has web pages, af2 has none, svc is a stranger: tried from each of them."""
    health = generation_of(installation.airflow).health
    ports = health.log_port, health.trigger_log_port
    seen = {
        (scanner, target): scanned(installation, scanner, target, *ports)
        for scanner in ("af1", "af2", "svc")
        for target in ("af1", "af2")
    }
    opened = {("af1", "af1"): {*ports}, ("af1", "af2"): {health.log_port}, ("af2", "af2"): {health.log_port}}
    assert {way: found for way, found in seen.items() if found} == opened


def test_the_log_of_a_running_task_is_shown_wherever_it_runs(first):
    """It is nowhere but on the task's host, which may be that of the web pages: both are asked by their addresses."""
    api, port = first.api, generation_of(first.installation.airflow).health.log_port
    paths = [f"/dags/sleeper/dagRuns/{api.trigger('sleeper', {'seconds': 60})}/taskInstances/sleep" for _ in range(8)]

    def running():
        tasks = {path: api.ask(path) for path in paths}
        found = {task["hostname"]: path for path, task in tasks.items() if task["state"] == "running"}
        return found if len(found) == 2 else None

    for address, path in wait_for(running, "a running task on each host", 120).items():
        wait_for(lambda p=path, a=address: f"http://{a}:{port}/log/" in log_of(api, p), f"the log at {address}", 40)
        assert "Could not read" not in log_of(api, path)
    wait_for(lambda: all(api.ask(path)["state"] == "success" for path in paths), "the end of all tasks", 240)


def test_the_log_of_a_deferred_task_comes_from_the_triggerers_log_server(first, team):
    """The triggerer serves none itself: its log server is a unit beside it."""
    installation, api = first.installation, first.api
    team.push("a task that defers", defers=DEFERS)
    installation.fab("deploy", "--restart", "changed")
    wait_for(lambda: "'defers'" in str(api.ask("/dags")), "the new DAG", 120)
    path = f"/dags/defers/dagRuns/{api.trigger('defers')}/taskInstances/wait"
    wait_for(lambda: api.ask(path)["state"] == "deferred", "a deferred task", 120)
    port = generation_of(installation.airflow).health.trigger_log_port
    place = f"http://{installation.machines['af1'].address}:{port}/log/"
    wait_for(lambda: place in log_of(api, path), f"the log at {place}", 50)
    wait_for(lambda: api.ask(path)["state"] == "success", "the end of it", 180)


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
