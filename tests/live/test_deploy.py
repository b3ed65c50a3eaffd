"""New DAG code on booted machines: what is refused, what is put back, what is healed. Everything here is real."""

from __future__ import annotations

import json
import os
import re
import signal
import time

import pytest

from tests.live.conftest import wait_for
from tests.live.team import CURRENT, DAG, both, currents

pytestmark = [pytest.mark.live, pytest.mark.timeout(1500)]


@pytest.mark.both
def test_a_pushed_commit_is_deployed_and_its_dag_appears(first, team):
    """Every host is on it, every service was restarted and is well, and Airflow knows the new DAG."""
    commit = team.push("a new DAG", new=DAG.format(dag="brand_new", queue="default"))
    said = first.installation.fab("deploy").stdout
    assert currents(first.installation) == both(commit)
    assert said.index("prepare") < said.index("gate") < said.index("switch:") < said.index("worker1@af2 ran a task")
    api = first.api
    wait_for(lambda: "brand_new" in str(api.ask("/dags")), "the new DAG in the web page", 120)
    assert first.installation.fab("plan").stdout.startswith("in order")


def test_nothing_new_is_said_quickly(installation, team):
    """A deploy of what runs takes about a second, and changes nothing."""
    installation.fab("deploy")
    began = time.monotonic()
    said = installation.fab("deploy").stdout
    assert said.startswith("nothing to deploy: af1, af2 run")
    assert time.monotonic() - began < 20


@pytest.mark.both
def test_a_bad_dag_is_refused_with_file_and_line(installation, team):
    """Exit 8: file, line and error of each, a DAG that is there twice, and nothing is switched."""
    before = currents(installation)
    bad = "import airflow  # a DAG file\n\n\nundefined_name  # dag\n"
    twin = DAG.format(dag="brand_new", queue="default")
    commit = team.push("bad", bad=bad, twin=twin, new=twin)
    said = installation.fab("deploy", rc=8).stderr
    assert "import-error:dags/bad.py: line 4: NameError: name 'undefined_name' is not defined" in said
    assert "duplicate:brand_new" in said
    assert currents(installation) == before
    assert commit not in before.values()
    team.push("mended", bad=None, twin=None)


def test_a_dag_that_takes_too_long_to_parse_is_refused(installation, team):
    """Exit 8, by name, within the time limit of a file."""
    before = currents(installation)
    team.push("slow", slow="import time  # airflow dag\n\ntime.sleep(900)\n")
    said = installation.fab("deploy", rc=8).stderr
    assert "parse-timeout:dags/slow.py: line 3" in said
    assert currents(installation) == before
    team.push("quick again", slow=None)


def test_a_queue_that_nobody_serves_is_refused_and_accepted_by_name(installation, team):
    """The finding names the tasks; `--accept` takes it by its name; `changed` restarts nothing for DAG files alone."""
    commit = team.push("gpu", gpu=DAG.format(dag="on_gpu", queue="gpu"))
    said = installation.fab("deploy", "--restart", "changed", rc=8).stderr
    assert "unserved-queue:gpu: no worker takes from it; tasks: on_gpu.only" in said
    started = installation.on("af1", "systemctl", "show", "--value", "-p", "MainPID", "airflow-worker@1.service")
    installation.fab("deploy", "--restart", "changed", "--accept", "unserved-queue:gpu")
    assert currents(installation) == both(commit)
    assert started == installation.on(
        "af1", "systemctl", "show", "--value", "-p", "MainPID", "airflow-worker@1.service"
    )
    assert installation.fab("plan").stdout.startswith("in order")
    team.push("no gpu", gpu=None)
    installation.fab("deploy", "--restart", "changed")


def test_a_failing_canary_is_put_back(installation, team):
    """A worker that does not start with the new release: exit 7, its journal, every host on the old one and well."""
    before = currents(installation)
    commit = team.push("one that the workers do not like")
    drop_in = "/etc/systemd/system/airflow-worker@.service.d"
    test = f"readlink {CURRENT} | grep -qv {commit} || {{ echo I do not like it; exit 1; }}"
    installation.on("af1", "mkdir", "-p", drop_in)
    installation.on("af1", "tee", f"{drop_in}/no.conf", stdin=f"[Service]\nExecStartPre=/bin/sh -c '{test}'\n")
    installation.on("af1", "systemctl", "daemon-reload")
    try:
        done = installation.fab("deploy", rc=7)
        assert "I do not like it" in done.stderr
        assert f"every host is back on {before['af1'][:12]}" in done.stderr
        assert "worker1@af2" not in done.stdout
        assert currents(installation) == before
    finally:
        installation.on("af1", "rm", "-r", drop_in)
        installation.on("af1", "systemctl", "daemon-reload")
    assert installation.fab("plan").stdout.startswith("in order")
    installation.fab("deploy", "--restart", "changed")
    assert currents(installation) == both(commit)


def test_two_hosts_on_different_commits_are_healed(installation, team):
    """The link of one host was flipped by hand: the next deploy brings it back, restarting nothing that need not."""
    other = team.git("rev-parse", "HEAD~1")
    now = currents(installation)["af1"]
    installation.on("af2", "ln", "-sfn", f"releases/{other}", CURRENT)
    said = installation.fab("deploy", "--restart", "changed").stdout
    assert f"releases/{other} → releases/{now}" in said
    assert currents(installation) == both(now)


def test_a_deploy_killed_between_switch_and_restart_is_finished_by_the_next(installation, team):
    """The operator dies by SIGKILL after the flip: the next deploy restarts what still runs on the old release."""
    commit = team.push("killed in the middle")
    operator = installation.start("deploy")
    wait_for(lambda: currents(installation) == both(commit), "the flip", 120)
    os.killpg(operator.pid, signal.SIGKILL)
    operator.wait()
    wait_for(lambda: installation.fab("deploy", "--dry-run", rc=None).returncode == 10, "a plan after the kill")
    assert "airflow-worker@2.service: its process started with an older current" in (
        installation.fab("deploy", "--dry-run", rc=10).stdout
    )
    installation.fab("deploy")
    assert "nothing to deploy" in installation.fab("deploy").stdout


def test_a_deploy_during_a_bootstrap_is_refused(installation, team):
    """Exit 6 names the holder of the lock; with `--lock-wait` it waits for its end."""
    installation.on("af1", "systemctl", "stop", "airflow-flower.service")
    holder = installation.start("bootstrap")
    wait_for(installation.locked, "the lock of the bootstrap")
    os.killpg(holder.pid, signal.SIGSTOP)
    try:
        said = installation.fab("deploy", rc=6).stderr
    finally:
        os.killpg(holder.pid, signal.SIGCONT)
    assert "is at work here: bootstrap" in said
    assert "nothing to deploy" in installation.fab("deploy", "--lock-wait", "300").stdout
    holder.wait(timeout=300)


def test_a_git_server_that_is_down_and_a_ref_that_is_unknown(installation, team):
    """Each its own error, nothing switched: exit 3 and exit 8."""
    before = currents(installation)
    assert "no branch, tag or commit nosuch" in installation.fab("deploy", "--ref", "nosuch", rc=8).stderr
    installation.on("svc", "systemctl", "stop", "ssh.service")
    try:
        said = installation.fab("deploy", rc=3).stderr
    finally:
        installation.on("svc", "systemctl", "start", "ssh.service")
    assert "the git server cannot be reached" in said
    assert "nothing was switched" in said
    assert currents(installation) == before


def test_a_forced_push_is_told_until_it_is_accepted(installation, team):
    """Exit 8 each time, though the refused try has fetched already."""
    team.push("goes away")
    installation.fab("deploy", "--restart", "changed")
    before = currents(installation)
    team.git("reset", "--quiet", "--hard", "HEAD~1")
    commit = team.push("comes instead", force=True)
    for _ in range(2):
        assert "forced-push: main was" in installation.fab("deploy", "--restart", "changed", rc=8).stderr
    assert currents(installation) == before
    installation.fab("deploy", "--restart", "changed", "--accept", "forced-push")
    assert currents(installation) == both(commit)


def test_a_rollback_brings_back_what_ran_before(installation, team):
    """Without the git server; and a release that nobody knows is refused: exit 8."""
    before = currents(installation)["af1"]
    team.push("to be taken back")
    installation.fab("deploy", "--restart", "changed")
    installation.on("svc", "systemctl", "stop", "ssh.service")
    try:
        installation.fab("rollback", "--restart", "changed")
    finally:
        installation.on("svc", "systemctl", "start", "ssh.service")
    assert currents(installation) == both(before)
    assert "is no release of this installation" in installation.fab("rollback", "--to", "f" * 12, rc=8).stderr
    installation.fab("rollback", "--to", before[:10])


def test_the_history_has_it_all_and_old_releases_are_gone(installation, team):
    """On every host, root's alone: deploys done, refused and put back, the rollback; old releases do not pile up."""
    entries = json.loads(installation.fab("history", "--json", "--limit", "100").stdout)
    results = {(entry["doing"], entry["result"]) for entry in entries}
    assert {("deploy", "done"), ("deploy", "refused"), ("deploy", "put back"), ("rollback", "done")} <= results
    assert all(re.fullmatch(r"\S+@\S+", entry["who"]) and entry["seconds"] >= 0 for entry in entries)
    for name in ("af1", "af2"):
        stat = installation.on(name, "stat", "-c", "%U %a", "/var/log/airfleet/history.jsonl").strip()
        assert stat == "root 640"
    assert "af2: " in installation.fab("history", "--verify").stdout
    path = "/var/log/airfleet/history.jsonl"
    kept = installation.on("af2", "cat", path)
    installation.on("af2", "sed", "-i", '2s/"who": "/"who": "x/', path)
    try:
        found = installation.fab("history", "--verify", rc=9).stderr
        assert "af2: line 2 was changed" in found
        assert "af1 and af2 tell it differently" in found
    finally:
        installation.on("af2", "tee", path, stdin=kept)
    there = json.loads(installation.fab("releases", "--json").stdout)
    assert [each["current"] for each in there if each["current"]] == [["af1", "af2"]]
    assert len(there) <= 8
