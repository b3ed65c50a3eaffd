"""From two bare machines to a working installation, and how it is kept so. Everything here is real."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import time

import pytest
import yaml

from airfleet.generations import generation_of
from tests.live.conftest import TWO, wait_for
from tests.live.web import Browser

pytestmark = [pytest.mark.live, pytest.mark.timeout(2400)]

NODES = {"worker1@af1", "worker2@af1", "worker1@af2", "worker2@af2"}


def units(installation):
    """Return the names of all that runs on af1."""
    services = generation_of(installation.airflow).services
    names = [service.unit(number) for service in services for number in ((1, 2) if service.instances else (0,))]
    return [name.removeprefix("airflow-").removesuffix(".service") for name in names]


def started_at(installation, host, unit):
    return installation.on(host, "systemctl", "show", "--value", "-p", "ActiveEnterTimestampMonotonic", unit).strip()


def test_the_plan_of_a_bare_host_shows_all_and_changes_nothing(first):
    """`fab plan` works before anything is installed, with diffs, and no secret in them."""
    for words in ("+ account airflow", "+ unit airflow-worker@1.service", "+executor = CeleryExecutor"):
        assert words in first.plan
    assert "+fernet_key = <secret>" in first.plan
    for name, value in first.installation.secret_values().items():
        assert value.strip() not in first.plan, name


@pytest.mark.both
def test_bootstrap_ends_with_a_login_that_works_and_shows_the_dag(first):
    """The password that was shown once logs in over HTTP on port 80, and the DAG of the repository is there."""
    airflow, web = first.installation.airflow, first.installation.web
    browser = Browser(web, airflow)
    assert "/login" not in browser.login("admin", first.password)
    assert "hello" in browser.dags()
    assert "/login" in Browser(web, airflow).login("admin", "wrong")


def test_the_password_is_shown_once(first):
    """It is in the first run's output one time, and nowhere on the hosts."""
    assert first.output.count(first.password) == 1
    assert first.password not in first.installation.fab("bootstrap").stdout


@pytest.mark.both
def test_tasks_run_on_every_worker_under_unique_names(first):
    """Runs of the six-task DAG go through Celery, until each of the four instances on two hosts has run tasks."""
    api = first.api
    seen = set()
    for _ in range(15):
        run = api.trigger("hello")
        path = f"/dags/hello/dagRuns/{run}"
        wait_for(lambda p=path: api.ask(p)["state"] in ("success", "failed"), f"the end of {run}", 180)
        assert api.ask(path)["state"] == "success"
        for number in range(1, 7):
            value = api.ask(f"{path}/taskInstances/hello_{number}/xcomEntries/return_value")["value"]
            seen.add(re.search(r"worker\d@[\w-]+", str(value))[0])
        if seen == NODES:
            break
    assert seen == NODES


@pytest.mark.both
def test_a_tasks_log_can_be_read_from_the_web_page(first):
    """The log of a task is served from the host that ran it, by the log server beside the workers."""
    api = first.api
    runs = api.ask("/dags/hello/dagRuns?state=success")["dag_runs"]
    path = f"/dags/hello/dagRuns/{runs[0]['dag_run_id']}/taskInstances/hello_1/logs/1?full_content=true"
    assert "hello from worker" in str(api.ask(path)["content"])


@pytest.mark.both
def test_no_secret_shows_in_a_process_an_output_a_journal_or_an_open_file(first):
    """Sampled during the whole bootstrap: no argv, no environment; afterwards: no output, journal or readable file."""
    assert first.watch.samples > 20
    assert first.watch.found == set()
    secrets = {n: v.strip() for n, v in first.installation.secret_values().items() if n != "deploy_key"}
    for value in secrets.values():
        assert value not in first.output
    for host in ("af1", "af2"):
        journal = first.installation.on(host, "journalctl", "--no-pager", "--output", "cat")
        assert [name for name, value in secrets.items() if value in journal] == []
        assert first.password not in journal
        patterns = "\n".join([*secrets.values(), first.password]) + "\n"
        readable = first.installation.on(
            host,
            *("find", "/etc", "/home", "/opt", "/run", "/tmp", "/var/tmp", "-xdev", "-type", "f", "-perm", "/004"),
            *("-size", "-1024k", "-exec", "grep", "-l", "-F", "-f", "/dev/stdin", "{}", "+"),
            stdin=patterns,
            check=False,
        )
        assert readable == ""


@pytest.mark.both
def test_pyenv_really_built_the_python(first):
    """The interpreter was configured for its place, and has what Airflow needs."""
    if first.installation.airflow == TWO:
        pytest.skip("it has the distribution's Python")
    program = (
        "import ssl, sqlite3, bz2, lzma, readline, ctypes, zlib, sysconfig, sys; "
        "print(sysconfig.get_config_var('prefix'), sys.version.split()[0])"
    )
    for host in ("af1", "af2"):
        said = first.installation.on(host, "/home/airflow/.pyenv/versions/3.11.2/bin/python3", "-c", program).split()
        assert said == ["/home/airflow/.pyenv/versions/3.11.2", "3.11.2"]
        link = first.installation.on(host, "readlink", "/home/airflow/.pyenv/versions/.venv").strip()
        assert re.fullmatch(r"airflow-[0-9a-f]{12}", link)


@pytest.mark.both
def test_a_second_bootstrap_finds_all_in_order(installation):
    """Nothing is changed, restarted or reinstalled, and it takes about a second."""
    before = [started_at(installation, "af1", f"airflow-{unit}.service") for unit in units(installation)]
    began = time.monotonic()
    done = installation.fab("bootstrap")
    assert "in order: af1, af2" in done.stdout
    assert time.monotonic() - began < 20
    assert before == [started_at(installation, "af1", f"airflow-{unit}.service") for unit in units(installation)]
    assert installation.fab("plan").stdout.startswith("in order")


@pytest.mark.both
def test_every_unit_is_hardened(installation):
    """systemd-analyze gives each unit an exposure of at most 4.0 (the units of the note: 9.5)."""
    for unit in units(installation):
        name = f"airflow-{unit}.service"
        said = installation.on("af1", "systemd-analyze", "security", "--no-pager", name, check=False)
        exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", said)[1])
        assert exposure <= 4.0, unit


def test_the_webserver_has_port_80_as_a_plain_user(installation):
    """It listens on port 80 and runs as airflow, not as root."""
    unit = generation_of(installation.airflow).web.unit_file
    pid = installation.on("af1", "systemctl", "show", "--value", "-p", "MainPID", unit).strip()
    assert installation.on("af1", "stat", "-c", "%U", f"/proc/{pid}").strip() == "airflow"
    listening = installation.on("af1", "ss", "-ltnH", "sport = :80")
    assert ":80" in listening


def test_redis_and_flower_let_nobody_in_without_a_password(installation):
    """Redis answers NOAUTH; Flower is bound to loopback and answers 401."""
    address = installation.machines["af1"].address
    said = installation.on("af1", "redis-cli", "-h", address, "PING", check=False)
    assert "NOAUTH" in said
    code = installation.on("af1", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:5555/")
    assert code == "401"
    assert "127.0.0.1:5555" in installation.on("af1", "ss", "-ltnH", "sport = :5555")


def test_the_host_keeps_nothing_of_airfleet_running(installation):
    """No agent stays behind, and the lock is free."""
    assert "airfleet" not in installation.on("af1", "ps", "-eo", "args").replace("/opt/airfleet", "")
    installation.on("af1", "flock", "--nonblock", "/run/airfleet.lock", "true")


BROKEN = {
    "a unit edited by hand": (
        ["sed", "-i", "s/RestartSec=5s/RestartSec=9s/", "/etc/systemd/system/airflow-scheduler.service"],
        "~ file /etc/systemd/system/airflow-scheduler.service: content",
    ),
    "an airflow.cfg edited by hand": (
        ["sed", "-i", "s/^load_examples = False/load_examples = True/", "/home/airflow/airflow/airflow.cfg"],
        "-load_examples = True",
    ),
    "a removed package": (["dpkg", "--remove", "--force-all", "curl"], "curl is missing"),
    "a stopped service": (
        ["systemctl", "stop", "airflow-triggerer.service"],
        "unit airflow-triggerer.service: is inactive",
    ),
    "a disabled service": (["systemctl", "disable", "airflow-logs.service"], "unit airflow-logs.service: enabled"),
    "a mode opened to the world": (["chmod", "0644", "/home/airflow/airflow/environment"], "mode 0644 → 0600"),
    "a DAG edited in place": (
        ["sh", "-c", "echo '# by hand' >> /home/airflow/dags/current/dags/hello.py"],
        "release /home/airflow/dags/releases: edited",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_was_changed_by_hand_is_shown_and_healed(installation, case):
    """`fab plan` names it with exit 10; `fab bootstrap` mends it; then all is in order again."""
    command, shown = BROKEN[case]
    installation.on("af1", *command)
    assert shown in installation.fab("plan", rc=10).stdout
    installation.fab("bootstrap")
    assert installation.fab("plan").stdout.startswith("in order")


def test_a_config_that_a_process_has_not_read_restarts_it(installation):
    """The operator dies by SIGKILL between the file and the restart; the next run restarts what runs on old files."""
    old = installation.on("af1", "sha256sum", "/home/airflow/airflow/airflow.cfg").split()[0]
    installation.edit(lambda value: value["airflow"].update({"config": {"core": {"parallelism": 17}}}))
    operator = installation.start("bootstrap")
    changed = lambda: installation.on("af1", "sha256sum", "/home/airflow/airflow/airflow.cfg").split()[0] != old  # noqa: E731
    wait_for(changed, "the new airflow.cfg")
    os.killpg(operator.pid, signal.SIGKILL)
    operator.wait()
    wait_for(lambda: installation.fab("plan", rc=None).returncode == 10, "a plan after the kill")
    plan = installation.fab("plan", rc=10).stdout
    assert "unit airflow-scheduler.service: its process started with an older airflow.cfg" in plan
    before = started_at(installation, "af1", "airflow-scheduler.service")
    installation.fab("bootstrap")
    assert installation.fab("plan").stdout.startswith("in order")
    assert before != started_at(installation, "af1", "airflow-scheduler.service")
    installation.edit(lambda value: value["airflow"].pop("config"))
    installation.fab("bootstrap")


def test_a_role_that_a_host_loses(installation):
    """Its services stop there, workers too, and their units are gone; given back, all is as it was."""
    lost = ["flower", "worker"]
    units = ("systemctl", "list-units", "--all", "--plain", "--no-legend", "airflow-flower*", "airflow-worker@*")
    files = ("sh", "-c", "ls /etc/systemd/system | grep -E '^airflow-(flower|worker@|logs)' || true")
    installation.edit(lambda value: [value["hosts"]["af1"]["roles"].remove(role) for role in lost])
    try:
        shown = installation.fab("plan", rc=10).stdout
        assert "airflow-worker@.service" in shown
        installation.fab("bootstrap")
        assert installation.on("af1", *units).strip() == ""
        assert installation.on("af1", *files).strip() == ""
        assert installation.fab("plan").stdout.startswith("in order")
    finally:
        installation.edit(lambda value: value["hosts"]["af1"]["roles"].extend(lost))
        installation.fab("bootstrap")
    assert "airflow-worker@2.service loaded active running" in re.sub(" +", " ", installation.on("af1", *units))


def test_two_bootstraps_at_once(installation):
    """The second gets exit 6 and is told who is at work, from where, since when and doing what."""
    installation.on("af1", "systemctl", "stop", "airflow-flower.service")
    holder = installation.start("bootstrap")
    wait_for(installation.locked, "the first operator's lock")
    os.killpg(holder.pid, signal.SIGSTOP)
    try:
        installation.on("af1", "systemctl", "stop", "airflow-triggerer.service")
        second = installation.fab("bootstrap", rc=6)
    finally:
        os.killpg(holder.pid, signal.SIGCONT)
    assert re.search(r"\S+@\S+ is at work here: bootstrap, since 20\d\d-", second.stderr)
    holder.wait(timeout=300)
    installation.fab("bootstrap")


def test_a_wrong_host_key_is_refused_before_anything_is_sent(installation, site):
    """Exit 3, and the host's sshd saw no session."""
    known = site.root / "wrong_known_hosts"
    right = site.known_hosts.read_text()
    keys = {line.split()[0].split(",")[0]: line.split()[2] for line in right.splitlines()}
    one, two = installation.machines["af1"].address, installation.machines["af2"].address
    known.write_text(right.replace(keys[one], "SWAP").replace(keys[two], keys[one]).replace("SWAP", keys[two]))
    installation.edit(lambda value: value["ssh"].update({"known_hosts": str(known)}))
    count = ["journalctl", "--unit", "ssh", "--output", "cat", "--grep", "Accepted publickey"]
    before = installation.on("af1", *count, check=False).count("Accepted")
    try:
        done = installation.fab("bootstrap", rc=3)
        assert "is not the one that is trusted" in done.stderr
        known.write_text("")
        assert "is unknown" in installation.fab("plan", rc=3).stderr
        assert before == installation.on("af1", *count, check=False).count("Accepted")
    finally:
        installation.edit(lambda value: value["ssh"].update({"known_hosts": str(site.known_hosts)}))


def test_a_setting_that_airflow_would_ignore_is_refused(installation):
    """The linter asks the installed Airflow: exit 8, the right name is told, no configuration is pushed."""
    wrong = {"logging": {"remote_log_folder": "gs://b/logs"}, "celery": {"task_time_limit": 5}}
    installation.edit(lambda value: value["airflow"].update({"config": wrong}))
    before = installation.on("af1", "sha256sum", "/home/airflow/airflow/airflow.cfg")
    try:
        said = installation.fab("bootstrap", rc=8).stderr
    finally:
        installation.edit(lambda value: value["airflow"].pop("config"))
    assert "logging.remote_log_folder" in said
    assert "remote_base_log_folder" in said
    assert "celery.task_time_limit" in said
    assert before == installation.on("af1", "sha256sum", "/home/airflow/airflow/airflow.cfg")
    assert installation.fab("plan").stdout.startswith("in order")


def test_secrets_that_are_lost_are_not_replaced(installation):
    """Without its secrets file a bootstrap refuses to invent another Fernet key for hosts that have one: exit 8."""
    kept = installation.secrets.read_text()
    try:
        value = yaml.safe_load(kept)
        value.pop("fernet_key")
        installation.secrets.write_text(yaml.safe_dump(value))
        assert "fernet_key" in installation.fab("bootstrap", rc=8).stderr
    finally:
        installation.secrets.write_text(kept)
    assert stat.S_IMODE(installation.secrets.stat().st_mode) == 0o600


def test_the_database_is_migrated_once_and_verified(installation):
    """The schema is at the head that the installed Airflow has, and a missing table is seen."""
    assert json.loads(json.dumps(installation.secret_values()))["fernet_key"]
    sql = "alter table slot_pool rename to slot_pool_gone"
    installation.on("svc", "runuser", "-u", "postgres", "--", "psql", "-d", "airflow", "-c", sql)
    try:
        assert "schema metadata: tables" in installation.fab("plan", rc=10).stdout
    finally:
        back = "alter table slot_pool_gone rename to slot_pool"
        installation.on("svc", "runuser", "-u", "postgres", "--", "psql", "-d", "airflow", "-c", back)
    assert installation.fab("plan").stdout.startswith("in order")
