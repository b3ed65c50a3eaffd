"""Task logs in Cloud Storage, by the emulator on svc: they land there and are read back; what goes wrong is named.

AIRFLEET_GOOGLE=all (`make google`) waits longer, for scheduled backups into the bucket by a real timer.
Afterwards the installation is put back: its logs stay on the hosts, as the others expect.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse

import pytest

from sandbox import storage
from tests.live.conftest import wait_for
from tests.live.drill import look, named

pytestmark = [pytest.mark.live, pytest.mark.timeout(1200)]

gated = pytest.mark.skipif(os.environ.get("AIRFLEET_GOOGLE") != "all", reason="only `make google` waits so long")
PLACE = f"gs://{storage.BUCKET}/backups"
RECORD = "/var/lib/airfleet/backup.json"
TIMER = "airfleet-backup.timer"
LOGS = "/home/airflow/airflow/logs"
DENY = "/run/storage-denied"
STAMP = "/run/airfleet-stamp"
HISTORY = "/var/log/airfleet/history.jsonl"


def begin(installation):
    """Leave a file on each host that is older than any log from now on."""
    for name in ("af1", "af2"):
        installation.on(name, "touch", STAMP)


def files_of_hello(installation):
    """Return the paths of logs of the DAG hello on the hosts' own disks, of what ran since; not those of hello.py."""
    argv = ["find", LOGS, "-type", "f", "-path", "*hello/*", "-newer", STAMP, "-not", "-size", "0"]
    return [line for name in ("af1", "af2") for line in installation.on(name, *argv).splitlines()]


@pytest.fixture(scope="module")
def bucket(first):
    """The installation with its task logs in the bucket: what the bootstrap said, and a function that lists objects."""
    installation = first.installation
    url = storage.storage_url(installation.machines["svc"])

    def put(value):
        value["logging"] = {"bucket": storage.BUCKET, "prefix": "logs", "emulator": url}

    kept = installation.inventory.read_text()
    installation.edit(put)
    said = installation.fab("bootstrap").stdout

    def objects():
        argv = ["find", f"/{storage.BUCKETS}/{storage.BUCKET}", "-type", "f"]
        return installation.on("svc", *argv).splitlines()

    yield said, objects
    installation.inventory.write_text(kept)
    installation.fab("bootstrap")


def test_every_host_tried_the_bucket_before_it_was_told_of_it(bucket):
    """And left nothing behind."""
    said, objects = bucket
    for name in ("af1", "af2"):
        assert f"{name}: gs://airflow-logs/logs: written, read, listed, deleted, as nobody: an emulator" in said
    assert [path for path in objects() if "airfleet-" in path] == []


def test_a_log_lands_in_the_bucket_and_is_read_back(first, bucket):
    """Its local copy is gone; `fab task-log` has it from there, as Airflow's web pages do."""
    installation, (_, objects) = first.installation, bucket
    begin(installation)
    said = installation.fab("verify-logs", "--dag", "hello", "--task", "hello_1").stdout
    assert re.search(r"success; Airflow reads its log from gs://airflow-logs/logs/\S*hello", said), said
    assert [path for path in objects() if "hello" in path]
    wait_for(lambda: not files_of_hello(installation), "the end of the local copies", 60)
    text = installation.fab("task-log", "hello", "hello_1").stdout
    assert "hello from worker" in text
    assert "gs://airflow-logs/logs/" in text


def test_the_history_is_in_the_bucket_and_what_a_host_lost_is_named(first, bucket):
    """Each host has copied all of its own; a host's last line, which no chain misses, is missed by the copy, exit 9."""
    installation, (_, objects) = first.installation, bucket
    checked = json.loads(installation.fab("history", "--verify", "--json").stdout)["hosts"]
    there = list(map(urllib.parse.unquote, objects()))
    for name in ("af1", "af2"):
        copy, lines = checked[name]["bucket"], checked[name]["lines"]
        assert copy == {"place": f"gs://{storage.BUCKET}/audit/live/{name}", "there": lines, "lost": [], "more": 0}
        assert [path for path in there if f"/audit/live/{name}/" in path]
    kept, lines = installation.on("af2", "cat", HISTORY), checked["af2"]["lines"]
    installation.on("af2", "sed", "-i", "$ d", HISTORY)
    try:
        refused = installation.fab("history", "--verify", rc=9).stderr
    finally:
        installation.on("af2", "tee", HISTORY, stdin=kept)
    assert f"af2: line {lines} is not there any more (bootstrap by " in refused, refused
    assert f"gs://{storage.BUCKET}/audit/live/af2/" in refused
    installation.fab("history", "--verify")


def test_a_denied_bucket_costs_no_task_and_is_named(first, bucket):
    """The task succeeds, its log stays on the host; the doctor names it; a look from the host says which role."""
    installation, (_, objects) = first.installation, bucket
    before = len(objects())
    begin(installation)
    installation.on("svc", "touch", DENY)
    try:
        refused = installation.fab("verify-logs", rc=8).stderr
        assert "may not write in gs://airflow-logs" in refused
        assert "does not have storage.objects.create access" in refused
        assert "roles/storage.objectUser" in refused
        run = first.api.trigger("hello")
        wait_for(lambda: first.api.ask(f"/dags/hello/dagRuns/{run}")["state"] == "success", "the run's success", 120)
        wait_for(lambda: "gcs-denied" in named(look(installation)), "the doctor", 90)
        assert len(objects()) == before
        assert files_of_hello(installation)
    finally:
        installation.on("svc", "rm", "-f", DENY)


def test_an_emulator_that_is_away_and_a_bucket_that_is_not_there(first, bucket):
    """Each its own words, exit 8; nothing is pushed to a host that can't use what it is to use."""
    installation = first.installation
    installation.on("svc", "systemctl", "stop", "storage")
    try:
        assert "could not be asked to write" in installation.fab("verify-logs", rc=8).stderr
    finally:
        installation.on("svc", "systemctl", "start", "storage")
    kept = installation.inventory.read_text()
    try:
        installation.edit(lambda value: value["logging"].update(bucket="absent-bucket"))
        refused = installation.fab("bootstrap", rc=8).stderr
        assert "there is no gs://absent-bucket" in refused
        assert "absent-bucket" not in installation.on("af1", "cat", "/home/airflow/airflow/airflow.cfg")
    finally:
        installation.inventory.write_text(kept)


def last_backup(installation):
    """Return what the host remembers of its last scheduled backup; {} before the first."""
    return json.loads(installation.on("af1", "cat", RECORD, check=False) or "{}")


@pytest.fixture
def every_minute(first, bucket):
    """A backup each minute, by a timer of the host's own, into the bucket."""
    installation = first.installation
    kept = installation.inventory.read_text()
    installation.on("af1", "rm", "-f", RECORD)
    installation.edit(lambda value: value.update(backup={"place": PLACE, "schedule": "*-*-* *:*:00", "keep": 2}))
    try:
        patiently(installation, "bootstrap")
        yield
    finally:
        installation.inventory.write_text(kept)
        patiently(installation, "bootstrap")
    assert installation.on("af1", "systemctl", "is-active", TIMER, check=False).strip() != "active"


def patiently(installation, *words):
    """Run a command between two backups: each holds the lock, and is over in a moment."""

    def tried():
        done = installation.fab(*words, rc=None)
        assert done.returncode in {0, 6}, f"rc {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.returncode == 0

    wait_for(tried, f"fab {' '.join(words)} between two backups", 600)


@gated
def test_a_timer_of_the_hosts_own_makes_backups_into_the_bucket(first, bucket, every_minute):
    """One after the other, with nobody at work; listed, restored on trial, no more than are kept; the doctor agrees."""
    installation, (_, objects) = first.installation, bucket
    made = []

    def another():
        last = last_backup(installation)
        assert last.get("ok", True), last
        if last and last["name"] not in made:
            made.append(last["name"])
        return len(made) > 2

    wait_for(another, "three backups by the timer", 420)
    assert last_backup(installation)["place"] == PLACE
    listed = [each["name"] for each in json.loads(installation.fab("backup.list", "--json").stdout)]
    assert made[-1] in listed
    dumps = [path for path in map(urllib.parse.unquote, objects()) if path.endswith(".dump")]
    assert [path for path in dumps if made[0] in path] == []
    assert len(listed) <= 3  # two are kept; a third is there while the next one is made
    installation.fab("backup.verify", "latest", "--lock-wait", "300")
    assert re.search(r"restored on trial \d+ s ago", installation.fab("backup.list").stdout)
    assert installation.on("af1", "systemctl", "is-active", TIMER).strip() == "active"
    assert "backup-missed" not in named(look(installation))
    assert f"{made[-1]} in {PLACE}" in installation.on("af1", "journalctl", "-u", "airfleet-backup", "-o", "cat")
