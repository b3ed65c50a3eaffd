"""Maintenance on booted machines: DAGs paused, workers drained, and exactly what was before, whatever was killed."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.live.conftest import wait_for
from tests.live.serving import serving
from tests.live.sleeper import Sleeper
from tests.live.team import DAG

pytestmark = [pytest.mark.live, pytest.mark.timeout(1500)]

RECORD = "/var/lib/airfleet/maintenance.json"
MARKS = "ls /run/airflow-worker@*/drained"
CALM = ("calm_a", "calm_b")
WRITE = "import sys; open('told.jsonl', 'a').write(sys.stdin.read() + '\\n')"
HOLD = "begin; select dag_id from dag order by dag_id for update; select pg_sleep(600)"
END = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()"


class Dags:
    """The DAGs as Airflow's API has them."""

    def __init__(self, api):
        self.api = api

    def all(self):
        """Return {DAG: whether it is paused}."""
        return {each["dag_id"]: each["is_paused"] for each in self.api.ask("/dags?limit=100")["dags"]}

    def pause(self, dag, *, paused):
        self.api.ask(f"/dags/{dag}?update_mask=is_paused", {"is_paused": paused}, method="PATCH")


class Told(ThreadingHTTPServer):
    """A web server of the team's that remembers what was posted to it."""

    daemon_threads = True

    def __init__(self):
        self.posted = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def told(first):
    """The inventory names a program, and an address of this computer."""
    installation = first.installation
    with Told() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        entries = [{"command": [sys.executable, "-c", WRITE]}, {"webhook": url, "on": ["deploy", "maintenance"]}]
        before = installation.inventory.read_text()
        installation.edit(lambda value: value.update(notify=entries))
        yield server
        installation.inventory.write_text(before)
        (installation.site.root / "told.jsonl").unlink(missing_ok=True)
        server.shutdown()


@pytest.fixture(scope="module")
def sleeper(first):
    return Sleeper(first)


@pytest.fixture(scope="module")
def dags(told, team, sleeper, first):
    """Two more DAGs than the repository has, by a deploy that is told to others."""
    team.push("calm", **{dag: DAG.format(dag=dag, queue="default") for dag in CALM})
    first.installation.fab("deploy", "--restart", "changed")
    made = Dags(sleeper.api)
    wait_for(lambda: set(CALM) <= set(made.all()), "the new DAGs", 120)
    return made


@pytest.fixture
def before(installation, dags):
    """What every test finds and leaves: DAGs, consumers, and no record."""
    found = dags.all(), serving(installation)
    assert not any(found[0].values())
    yield found
    installation.fab("maintenance.off")
    for dag, paused in dags.all().items():
        if paused:
            dags.pause(dag, paused=False)
    if any(installation.on(name, "sh", "-c", MARKS, check=False) for name in ("af1", "af2")):
        installation.fab("restart-workers")


def record(installation):
    text = installation.on("af1", "cat", RECORD, check=False)
    return json.loads(text) if text else None


def in_order(installation):
    return installation.fab("plan").stdout.startswith("in order")


def kill(operator):
    os.killpg(operator.pid, signal.SIGKILL)
    operator.wait()


def test_a_deploy_is_told_to_a_program_and_to_an_address(installation, dags, told):
    """The same event on stdin and by POST: who, which commit, what became of each host."""
    events = [json.loads(line) for line in (installation.site.root / "told.jsonl").read_text().splitlines()]
    assert events[-1] == told.posted[-1]
    event = events[-1]
    assert [event[name] for name in ("event", "result", "environment", "ref")] == ["deploy", "done", "live", "main"]
    assert event["hosts"] == dict.fromkeys(("af1", "af2"), event["commit"][:12])
    assert re.fullmatch(r"[0-9a-f]{40}", event["before"])


def test_nothing_runs_and_then_all_is_as_before(installation, dags, sleeper, before, told):
    """A running task ends in peace; whoever paused by hand has the last word; the plan is empty."""
    dags.pause("hello", paused=True)
    run = sleeper.started(12)
    said = installation.fab("maintenance.on", "--reason", "kernel update").stdout
    assert sleeper.ended(run)[:2] == ("success", 1)
    assert set(dags.all().values()) == {True}
    assert set(map(tuple, serving(installation).values())) == {()}
    assert "done: maintenance is on: 3 DAGs paused" in said
    assert installation.on("af1", "stat", "-c", "%U %G %a", RECORD).strip() == "root root 640"

    status = json.loads(installation.fab("maintenance.status", "--json").stdout)
    assert [status[name] for name in ("on", "reason", "paused")] == [True, "kernel update", [*CALM, "sleeper"]]
    assert "kernel update" in installation.fab("maintenance.on", rc=8).stderr
    plan = installation.fab("plan", rc=10).stdout
    assert "hello" not in plan
    assert all("drained without a restart" in line for line in plan.splitlines() if "~" in line)

    for paused in (False, True):
        dags.pause("calm_a", paused=paused)
    dags.pause("calm_b", paused=False)
    waiting = sleeper.start(0)
    said = installation.fab("maintenance.off").stdout
    assert re.search(r"calm_a: paused meanwhile by admin \((api\.)?patch_dag", said)
    assert "calm_b: unpaused meanwhile by admin" in said
    assert dags.all() == {"hello": True, "calm_a": True, "calm_b": False, "sleeper": False}
    assert sleeper.ended(waiting)[:2] == ("success", 1)
    assert serving(installation) == before[1]
    assert in_order(installation)
    assert record(installation) is None
    assert "maintenance is off" in installation.fab("maintenance.off").stdout
    assert [event["event"] for event in told.posted[-2:]] == ["maintenance.on", "maintenance.off"]
    audit = json.dumps(sleeper.api.ask("/eventLogs?dag_id=sleeper&order_by=-event_log_id&limit=10"))
    assert "airfleet_maintenance_on" in audit
    assert "kernel update" in audit


def test_a_task_that_holds_out_puts_everything_back(installation, dags, sleeper, before):
    """Exit 7 names it; DAGs, consumers and record are as before, and the task ends with its first try."""
    run = sleeper.started(25)
    said = installation.fab("maintenance.on", "--max-wait", "3", rc=7)
    assert f"sleeper.sleep ({run})" in said.stderr
    assert "everything is as it was" in said.stderr
    assert (dags.all(), serving(installation), record(installation)) == (*before, None)
    assert sleeper.ended(run)[:2] == ("success", 1)


def test_killed_while_tasks_are_waited_for(installation, dags, sleeper, before):
    """The operator dies by SIGKILL in the drain: `on` is half on, typed again it goes on, and `off` restores."""
    run = sleeper.started(25)
    operator = installation.start("maintenance.on")
    wait_for(lambda: [] in serving(installation).values(), "a drained worker", 60)
    kill(operator)
    assert set(dags.all().values()) == {True}
    assert record(installation)["phase"] == "begun"
    assert "half on" in installation.fab("maintenance.status").stdout
    wait_for(lambda: installation.fab("maintenance.on", rc=None).returncode == 0, "an `on` that goes on", 120)
    assert sleeper.ended(run)[:2] == ("success", 1)
    installation.fab("maintenance.off")
    assert (dags.all(), serving(installation), record(installation)) == (*before, None)
    assert in_order(installation)


def test_killed_between_the_record_and_the_pause(installation, dags, before):
    """Somebody holds the DAGs' rows: the pause waits, the operator dies, and it is never committed."""
    holder = installation.stream("svc", "runuser", "-u", "postgres", "--", "psql", "-d", "airflow", "-c", HOLD)
    waiting = "select count(*) from pg_stat_activity where application_name = 'airfleet' and wait_event_type = 'Lock'"
    ask = ["runuser", "-u", "postgres", "--", "psql", "-d", "airflow", "-Atc"]
    try:
        operator = installation.start("maintenance.on")
        wait_for(lambda: installation.on("svc", *ask, waiting).strip() == "1", "a pause that waits", 60)
        kill(operator)
        assert record(installation)["dags"] == [*CALM, "hello", "sleeper"]
    finally:
        installation.on("svc", *ask, END)
        holder.wait(timeout=30)
    installation.fab("maintenance.off")
    assert (dags.all(), serving(installation), record(installation)) == (*before, None)
    assert in_order(installation)


def test_killed_while_everything_is_put_back(installation, dags, before):
    """The operator dies by SIGKILL in the restarts of `off`: the DAGs are still paused, and the next `off` finishes."""
    installation.fab("maintenance.on")
    operator = installation.start("maintenance.off")
    wait_for(lambda: record(installation)["phase"] == "ending", "the beginning of the end", 60)
    kill(operator)
    assert "half off" in installation.fab("maintenance.on", rc=8).stderr
    installation.fab("maintenance.off")
    assert (dags.all(), serving(installation), record(installation)) == (*before, None)
    assert in_order(installation)


def test_a_deploy_and_a_bootstrap_work_meanwhile(installation, dags, team, before):
    """New code comes, stale and drained workers restart as ever, DAGs stay paused; `off` leaves such workers alone."""
    installation.fab("maintenance.on")
    commit = team.push("meanwhile")
    installation.fab("deploy", "--restart", "changed")
    assert installation.on("af2", "readlink", "/home/airflow/dags/current").strip().endswith(commit)
    installation.fab("bootstrap")
    assert set(dags.all().values()) == {True}
    assert "worker1@af1 takes tasks already" in installation.fab("maintenance.off").stdout
    assert (dags.all(), serving(installation), record(installation)) == (*before, None)
    assert in_order(installation)
