"""Times deploys and a worker's restart on four machines with Airflow, beside what systemd and git need alone."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import statistics
import subprocess
import time
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.firstrun import ENV, watched, write_system_python
from benchmarks.measure import BenchmarkFailed, wait_for_quiet
from benchmarks.state import FOLDER
from benchmarks.tools import FAB, environment
from sandbox import fleet
from sandbox.machine import run_in
from sandbox.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORKERS = 3
ROUNDS = 5
HOME = "/home/airflow"
WORKER = "airflow-worker@1.service"
READY_S = 120
# Nothing that runs has read what a commit to the DAGs changes, so nothing is restarted: what is timed is the deploy.
DEPLOY = ["deploy", "--restart", "changed"]


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Bootstrap four machines on a site of their own, and return the medians of what is done to them, in seconds."""
    site = Site(root=FOLDER / "deploys", state=FOLDER / "deploys" / "state", tag="d")
    fleet.down(site=site, say=say)
    try:
        fleet.up(WORKERS, site=site, say=say)
        write_system_python(site)
        env = environment(AIRFLEET_ROOT=str(site.root))
        watched([str(FAB), "bootstrap", *ENV], env, say)
        team = _clone(site)
        runs: dict[str, list[float]] = {}
        for number in range(ROUNDS):
            for name, seconds in _round(site, env, team, number).items():
                runs.setdefault(name, []).append(seconds)
            say(", ".join(f"{name} {values[-1]:.2f} s" for name, values in runs.items()))
    finally:
        fleet.down(site=site, say=say)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return {"date": today, "rounds": ROUNDS, **{name: statistics.median(values) for name, values in runs.items()}}


def _round(site: Site, env: dict[str, str], team: Path, number: int) -> dict[str, float]:
    _, bootstrap = _timed(["bootstrap"], env, "in order")
    _, nothing = _timed(DEPLOY, env, "nothing to deploy")
    (team / "dags" / "note.txt").write_text(f"{number}\n")
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.com", "-C", str(team)]
    for words in (["add", "--all"], ["commit", "--quiet", "--message", str(number)], ["push", "--quiet"]):
        subprocess.run([*git, *words], check=True, env=_git_env(site))
    fetch = _fetch(site)
    said, deploy = _timed(DEPLOY, env, "done: every host runs")
    parse = float(_found(r"DAGs parsed in ([\d.]+) s", said))
    alone = _restart_alone(site)
    said, _ = _timed(["restart-workers", "--only", "af1", "--count", "1"], env, "done: 1 workers")
    return {
        "bootstrap, nothing to do": bootstrap,
        "deploy, nothing new": nothing,
        "deploy of a commit": deploy,
        "its fetch": fetch,
        "its parse": parse,
        "worker restarted by systemd, until it is ready": alone,
        "worker drained, restarted, seen to run a task": float(_found(r"drained in [\d.]+ s, ([\d.]+) s in all", said)),
    }


def _timed(words: list[str], env: dict[str, str], expected: str) -> tuple[str, float]:
    wait_for_quiet()
    return watched([str(FAB), *words, *ENV], env, lambda _: None, expected)


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if not found:
        raise BenchmarkFailed(f"no {pattern!r} in:\n{text[-2000:]}")
    return found[1]


def _fetch(site: Site) -> float:
    """Return how long git alone takes to ask its server for the new commit, on the host and as the account."""
    ssh = f"ssh -i {HOME}/.ssh/airfleet_deploy_key -o IdentitiesOnly=yes"
    ssh += f" -o UserKnownHostsFile={HOME}/.ssh/airfleet_known_hosts"
    words = ["runuser", "-u", "airflow", "--", "env", f"GIT_SSH_COMMAND={ssh}", "git", "-C", f"{HOME}/dags/mirror.git"]
    began = time.perf_counter()
    run_in("af1", [*words, "fetch", "--quiet", "--dry-run", "origin"], site=site)
    return time.perf_counter() - began


def _restart_alone(site: Site) -> float:
    """Return how long the unit takes by itself: until Celery says in its journal that it is ready."""
    wait_for_quiet()
    since, began = time.time(), time.perf_counter()
    run_in("af1", ["systemctl", "restart", WORKER], site=site, timeout_s=READY_S)
    pid = run_in("af1", ["systemctl", "show", "--value", "--property=MainPID", WORKER], site=site).stdout.strip()
    words = ["journalctl", "--output=cat", f"--since=@{since:.3f}", f"_PID={pid}", "--no-pager"]
    while " ready." not in run_in("af1", words, site=site, check=False).stdout:
        if time.perf_counter() - began > READY_S:
            raise BenchmarkFailed(f"{WORKER} did not become ready in {READY_S} s")
        time.sleep(0.05)
    return time.perf_counter() - began


def _clone(site: Site) -> Path:
    url = yaml.safe_load(site.inventory.read_text())["dags"]["repository"]
    folder = site.root / "team"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", url, str(folder)], check=True, env=_git_env(site))
    return folder


def _git_env(site: Site) -> dict[str, str]:
    ssh = f"ssh -i {site.deploy_key} -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"
    return {**os.environ, "GIT_SSH_COMMAND": f"{ssh} -o LogLevel=ERROR"}
