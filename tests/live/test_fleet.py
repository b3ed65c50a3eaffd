"""An installation of four hosts with different roles, on machines of its own: brought up, used, cut off and healed.

af1 has Redis, a scheduler and the triggerer; af2 the web pages and a scheduler; af3 and af4 have workers of different
queues. Everything here is real.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
import time

import pytest

from sandbox.machine import leader
from tests.live.conftest import SITE_TAG, TWO, Installation, wait_for
from tests.live.fleets import booted
from tests.live.ledger.book import Book
from tests.live.ledger.bring import bring
from tests.live.ledger.load import TASKS, Load
from tests.live.team import CURRENT, Team
from tests.live.web import Api

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.environ.get("AIRFLEET_FLEETS") != "all", reason="only `make fleets` boots four hosts more"),
]

SLOTS = 4  # of the queue `default`, on af3
TAG = f"{SITE_TAG}f"
HOSTS = ("af1", "af2", "af3", "af4")
VENV = "/home/airflow/.pyenv/versions/.venv"
ROLES = {
    "af1": {"roles": ["redis", "scheduler", "triggerer"]},
    "af2": {"roles": ["webserver", "scheduler"]},
    "af3": {"roles": ["worker"], "celery": {"instances": 2, "concurrency": 2}},
    "af4": {"roles": ["worker"], "celery": {"instances": 1, "concurrency": 3, "queues": ["heavy"]}},
}
UNITS = {
    "af1": {"redis-server", "airflow-scheduler", "airflow-triggerer", "airflow-trigger-logs"},
    "af2": {"airflow-webserver", "airflow-scheduler"},
    "af3": {"airflow-logs", "airflow-worker@1", "airflow-worker@2"},
    "af4": {"airflow-logs", "airflow-worker@1"},
}
PING = """\
import socket, sys
redis = socket.create_connection((sys.argv[1], 6379), 5)
redis.sendall(b"PING\\r\\n")
print(redis.recv(99))
"""
BOTH = """\
import datetime
import socket
import time

from airflow.decorators import dag, task
from airflow.operators.python import get_current_context


@dag(schedule=None, start_date=datetime.datetime(2026, 1, 1), is_paused_upon_creation=False)
def both():
    @task(queue="default")
    def small():
        print("written by the small one")
        return socket.gethostname()

    @task(queue="heavy")
    def large(said):
        print(f"heard of {said}")
        time.sleep((get_current_context()["dag_run"].conf or {}).get("seconds", 0))
        return socket.gethostname()

    large(small())


both()
"""


class Fleet(Installation):
    """The four machines, and what is asked of all of them."""

    password = ""

    def api(self):
        return Api(f"http://{self.machines['af2'].address}", "admin", self.password, self.airflow)

    def start_both(self, **conf):
        """Start a run of the DAG that uses both queues; return its path in the API."""
        return f"/dags/both/dagRuns/{self.api().trigger('both', conf)}"

    def ended_well(self, path):
        wait_for(lambda: self.api().ask(path)["state"] in ("success", "failed"), f"the end of {path}", 240)
        return self.api().ask(path)["state"] == "success"

    def everywhere(self, *argv, names=HOSTS):
        return {name: self.on(name, *argv).strip() for name in names}

    def commits(self, *names):
        links = self.everywhere("readlink", CURRENT, names=names or HOSTS)
        return {name: link.rpartition("/")[2] for name, link in links.items()}

    def worker_pid(self, name):
        return self.on(name, "systemctl", "show", "--value", "-p", "MainPID", "airflow-worker@1.service").strip()

    @contextlib.contextmanager
    def cut_off(self, name):
        """Take a machine's cable away; put it back, whatever happens."""
        link = f"vb-{self.site.tagged(name)}"
        subprocess.run(["ip", "link", "set", link, "down"], check=True)
        try:
            yield
        finally:
            subprocess.run(["ip", "link", "set", link, "up"], check=True)

    @contextlib.contextmanager
    def dropping(self, name, source, port):
        """Have a machine drop what comes from another one to a port, as a firewall would."""
        rule = f"ip saddr {self.machines[source].address} tcp dport {port} drop"
        chain = f"chain input {{\ntype filter hook input priority 0;\n{rule}\n}}"
        self.nft(name, f"table inet drops {{\n{chain}\n}}\n")
        try:
            yield
        finally:
            self.nft(name, "delete table inet drops")

    def nft(self, name, rules):
        words = ["nsenter", "--target", str(leader(name, site=self.site)), "--net", "--", "nft", "-f", "-"]
        subprocess.run(words, input=rules, text=True, check=True)


@pytest.fixture(scope="module")
def machines():
    """Four bare machines and svc, on a network of their own: the tests that share an installation are not disturbed."""
    with booted(Fleet, TAG, ROLES, TWO, "af2") as made:
        yield made


@pytest.fixture(scope="module")
def fleet(machines):
    """The installation after its first bootstrap."""
    began = time.monotonic()
    said = machines.fab("bootstrap", timeout_s=3000).stdout
    print(f"bootstrap of four hosts: {time.monotonic() - began:.0f} s")
    if said.startswith("in order"):
        said = machines.fab("users.reset-password", "admin").stdout
    machines.password = re.search(r"password: (\S+)", said)[1]
    return machines


@pytest.fixture(scope="module")
def people(fleet, tmp_path_factory):
    return Team(fleet, tmp_path_factory.mktemp("team") / "dags")


def test_each_host_runs_what_its_roles_say_and_all_have_the_same(fleet):
    """Two schedulers, one web page, workers on two hosts; the same commit, environment and keys everywhere."""
    for name, units in UNITS.items():
        words = ("systemctl", "list-units", "--type=service", "--state=active", "--plain", "--no-legend")
        lines = fleet.on(name, *words, "airflow-*", "redis-server*").splitlines()
        assert {line.split()[0].removesuffix(".service") for line in lines} == units, name
    assert len(set(fleet.commits().values())) == 1
    assert len(set(fleet.everywhere("readlink", VENV).values())) == 1
    keys = fleet.everywhere("grep", "^fernet_key", "/home/airflow/airflow/airflow.cfg")
    assert len(set(keys.values())) == 1
    for name, concurrency in (("af3", "--concurrency 2"), ("af4", "--concurrency 3")):
        text = fleet.on(name, "cat", "/etc/systemd/system/airflow-worker@.service")
        assert concurrency in text
    assert "--queues heavy" in fleet.on("af4", "cat", "/etc/systemd/system/airflow-worker@.service")


def test_redis_listens_on_its_private_address_behind_a_password(fleet):
    """Nothing else; another host that has no password gets in nowhere."""
    address = fleet.machines["af1"].address
    listening = {line.split()[3] for line in fleet.on("af1", "ss", "-ltnH", "sport = :6379").splitlines()}
    assert listening == {f"{address}:6379", "127.0.0.1:6379"}
    assert "NOAUTH" in fleet.on("af4", "python3", "-c", PING, address)


def test_a_second_bootstrap_finds_all_in_order_and_all_is_well(fleet):
    """No change, a plan without any, nothing for status or doctor to tell."""
    assert "in order: af1, af2, af3, af4" in fleet.fab("bootstrap").stdout
    assert fleet.fab("plan", "--only", "worker").stdout.startswith("in order: af3, af4")
    fleet.fab("status")
    fleet.fab("doctor")


def test_a_dag_uses_both_queues_and_its_logs_are_read_across_hosts(fleet, people):
    """Each task runs on the host that serves its queue; the web page's host gets both logs from theirs."""
    people.push("both queues", both=BOTH)
    fleet.fab("deploy", "--restart", "changed")
    api = fleet.api()
    wait_for(lambda: "'both'" in str(api.ask("/dags")), "the DAG", 120)
    path = fleet.start_both()
    assert fleet.ended_well(path)
    for task, host, words in (("small", "af3", "written by the small one"), ("large", "af4", "heard of af3")):
        assert host in str(api.ask(f"{path}/taskInstances/{task}/xcomEntries/return_value")["value"])
        log = api.ask(f"{path}/taskInstances/{task}/logs/1?full_content=true")["content"]
        assert words in str(log)


def test_a_rolling_restart_and_a_deploy_lose_no_task(fleet, people):
    """The ledger over hosts with different roles: every task that was asked for ended once, with its first try."""
    book = Book(fleet)
    bring(fleet, fleet.api(), people)
    with Load(fleet.api(), book, longest_s=8, backlog=2 * SLOTS) as load:
        wait_for(lambda: book.begun() >= SLOTS, "a task in every slot", 120)
        fleet.fab("restart-workers", "--only", "worker", "--batch", "2")
        people.push("a commit under load")
        fleet.fab("deploy", "--batch", "50%")
    wait_for(lambda: not book.open_states(load.runs), "the end of all tasks", 600)
    verdict = book.verdict(load.runs, TASKS, SLOTS)
    print(verdict)
    assert verdict.clean, verdict
    assert verdict.tasks >= 2 * TASKS


def test_a_firewall_between_hosts_is_found_by_probes(fleet):
    """All that is needed is open; then a dropped way is told from one where nothing listens: exit 9 names both."""
    assert "no answer" not in fleet.fab("firewall", "--probe").stdout
    fleet.on("af3", "systemctl", "stop", "airflow-logs.service")
    try:
        with fleet.dropping("af1", "af4", 6379):
            done = fleet.fab("firewall", "--probe", "--json", "--timeout", "2", rc=9)
    finally:
        fleet.on("af3", "systemctl", "start", "airflow-logs.service")
    words = json.loads(done.stdout)
    wrong = {(w["from"], w["to"], w["port"], w["probe"]) for w in words["needed"] if w["probe"] not in ("open", None)}
    assert wrong == {("af4", "af1", 6379, "no answer"), ("af2", "af3", 8793, "refused")}
    assert words["open_beyond_need"] == []
    assert "1 × no answer" in done.stderr


def test_a_host_that_is_cut_off_during_a_deploy_is_left_out_and_healed(fleet, people):
    """Named, exit 7, the others on the release and well; until it is back a deploy stops unless that is borne again."""
    before = fleet.worker_pid("af4")
    commit = people.push("while a host is cut off")
    began = time.monotonic()
    deploy = fleet.start("deploy", "--max-failures", "1", "--batch", "2")
    lines, cut = [], threading.Event()

    def read():
        for line in deploy.stdout:
            lines.append(line)
            if "restart worker1@af3" in line:
                cut.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert cut.wait(600), "".join(lines)
        with fleet.cut_off("af4"):
            rc = deploy.wait(timeout=600)
            reader.join()
            said = "".join(lines)
            print(f"deploy with a host cut off: {time.monotonic() - began:.0f} s\n{said}")
            assert rc == 7, said
            assert "left out: af4" in said
            assert f"af3 {commit[:12]}" in said
            assert "af4 can't be asked" in said
            stopped = fleet.fab("deploy", rc=3).stderr
            assert "af4" in stopped
            assert "no answer in time" in stopped or "No route to host" in stopped
            assert "left out: af4" in fleet.fab("deploy", "--max-failures", "1", rc=7).stdout
            assert fleet.worker_pid("af4") == before
    finally:
        if deploy.poll() is None:
            deploy.kill()
            deploy.wait()
    wait_for(lambda: fleet.fab("deploy", rc=None).returncode == 0, "the deploy that heals it", 900)
    assert set(fleet.commits().values()) == {commit}
    assert fleet.worker_pid("af4") != before
    assert fleet.fab("plan").stdout.startswith("in order")


def test_a_host_that_was_deleted_from_the_inventory_is_left_behind_until_it_is_retired(fleet, people):
    """Named by plan and status; refused while its queue has work; then nothing of it is left, and no task was cut."""
    path = fleet.start_both(seconds=30)
    large = f"{path}/taskInstances/large"
    wait_for(lambda: fleet.api().ask(large)["state"] == "running", "the task on af4", 120)
    fleet.edit(lambda value: value["hosts"].pop("af4"))
    assert "left behind: af4" in fleet.fab("plan").stdout
    assert json.loads(fleet.fab("status", "--json").stdout)["left_behind"] == ["af4"]
    assert "nobody else serves the queue heavy" in fleet.fab("retire", "af4", rc=8).stderr
    said = fleet.fab("retire", "af4", "--allow-gap").stdout
    assert re.search(r"takes no tasks \(drained in \d", said)
    assert fleet.ended_well(path)
    units = fleet.on("af4", "systemctl", "list-units", "--all", "--plain", "--no-legend", "airflow-*")
    assert [line for line in units.splitlines() if ".service" in line] == []
    home = fleet.on(
        "af4", "find", "/home/airflow", "-name", "airflow.cfg", "-o", "-name", "*deploy_key", "-o", "-name", ".venv"
    )
    assert home == ""
    assert "nothing to do: af4 was retired at" in fleet.fab("retire", "af4").stdout
    assert "left behind" not in fleet.fab("plan").stdout


def test_a_new_host_gets_the_release_of_the_others(fleet, people):
    """`--only` a host that is new: not the branch's newest commit, which nobody has deployed yet; it takes tasks."""
    running = fleet.commits("af1")["af1"]
    newest = people.push("not deployed yet")
    fleet.edit(lambda value: value["hosts"].update(af4={"address": fleet.machines["af4"].address, **ROLES["af4"]}))
    fleet.fab("bootstrap", "--only", "af4")
    assert fleet.commits()["af4"] == running != newest
    assert fleet.fab("plan").stdout.startswith("in order")
    assert fleet.ended_well(fleet.start_both())


def test_a_host_is_retired_with_all_that_it_had(fleet):
    """`--purge` while the inventory still has it: the account is gone too; the host with Redis is never retired."""
    assert "the only host with the role redis" in fleet.fab("retire", "af1", rc=8).stderr
    said = fleet.fab("retire", "af4", "--purge").stdout
    assert "now delete hosts.af4" in said
    assert fleet.on("af4", "getent", "passwd", "airflow", check=False) == ""
    assert fleet.on("af4", "find", "/home/airflow", "/opt/airfleet", "/var/log/airfleet", check=False) == ""
    assert "nothing of airfleet is there" in fleet.fab("retire", "af4", "--purge").stdout
