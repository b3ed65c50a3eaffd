"""What the agent tells of a host: against real Redis and PostgreSQL, real processes and a real airflow.cfg."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.parse

import pytest
from agent_services import POSTGRES, REDIS, free_port, postgres, redis

PASSWORD = "p@:/%w 한글"
needs_redis = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed here")
needs_postgres = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")
SETTINGS = {
    "fernet_key": ["core", "fernet_key"],
    "broker_url": ["celery", "broker_url"],
    "result_backend": ["celery", "result_backend"],
    "database_url": ["database", "sql_alchemy_conn"],
}


def config(path, **values):
    """Write an airflow.cfg as airfleet does: `%` doubled."""
    sections = {}
    for name, value in values.items():
        section, key = SETTINGS[name]
        sections.setdefault(section, []).append(f"{key} = {value.replace('%', '%%')}")
    path.write_text("\n".join(f"[{name}]\n" + "\n".join(lines) for name, lines in sections.items()) + "\n")
    return str(path)


@pytest.fixture
def vitals(agent, account, tmp_path):
    def asked(**more):
        words = {
            "units": [],
            "folders": [str(tmp_path)],
            "current": str(tmp_path / "current"),
            "venv": str(tmp_path / "venv"),
            "config": str(tmp_path / "airflow.cfg"),
            "environment": str(tmp_path / "environment"),
            "home": str(tmp_path),
            "logs": str(tmp_path / "logs"),
            "account": account,
            "settings": SETTINGS,
            "packages": ["celery"],
            "ports": [],
            "page": "",
            "log_port": 0,
            "certificate": "",
            "database": "",
            "tables": {"active_dag": "is_active", "silent": "0", "silent_join": ""},
            "deep": False,
            "salt": "salt",
            "now": 0.0,
            "since_s": 3600,
            **more,
        }
        return agent.call("vitals", **words)["words"]

    return asked


def broker(port, password=PASSWORD):
    return f"redis://:{urllib.parse.quote(password, safe='')}@127.0.0.1:{port}/0"


def test_a_host_tells_what_it_is_and_which_release_it_has(vitals, tmp_path):
    """Disks, memory, clock, links; what is not there is None."""
    (tmp_path / "current").symlink_to("releases/abc")
    seen = vitals()
    assert 0 < seen["host"]["memory"]["available_mb"] <= seen["host"]["memory"]["total_mb"]
    assert 0 <= seen["host"]["disks"][str(tmp_path)]["percent"] <= 100
    assert seen["release"] == {"current": "abc", "venv": None}
    assert seen["web"] is None


@needs_redis
def test_redis_is_tried_with_what_airflow_would_use(vitals, tmp_path):
    """A new connection with the password of airflow.cfg, odd characters and all; a write; its memory."""
    with redis(tmp_path, "--requirepass", PASSWORD, "--maxmemory", "100mb") as port:
        config(tmp_path / "airflow.cfg", broker_url=broker(port))
        seen = vitals()["stores"]["redis"]["airflow.cfg"]
        assert (seen["ok"], seen["reason"], seen["info"]["maxmemory"]) == (True, "", 100 * 2**20)


@needs_redis
@pytest.mark.parametrize(
    ("url", "words", "reason"),
    [
        (lambda port: broker(port, "other"), ["--requirepass", PASSWORD], "password"),
        (
            lambda port: f"redis://{PASSWORD.split('@', maxsplit=1)[0]}@127.0.0.1:{port}/0",
            ["--requirepass", "p"],
            "password",
        ),
        (broker, ["--requirepass", PASSWORD, "--maxmemory", "1", "--maxmemory-policy", "noeviction"], "oom"),
        (lambda port: f"redis://127.0.0.1:{port}/0", ["--requirepass", PASSWORD], "password"),
    ],
    ids=["wrong password", "password in the user's place", "full", "no password given"],
)
def test_what_redis_refuses_is_told_apart(vitals, tmp_path, url, words, reason):
    """Each has a word of its own, by which the doctor goes."""
    with redis(tmp_path, *words) as port:
        config(tmp_path / "airflow.cfg", broker_url=url(port))
        seen = vitals()["stores"]["redis"]["airflow.cfg"]
        assert (seen["ok"], seen["reason"]) == (False, reason)


def test_a_redis_that_is_not_there(vitals, tmp_path):
    """Nothing listens."""
    config(tmp_path / "airflow.cfg", broker_url=broker(free_port()))
    assert vitals()["stores"]["redis"]["airflow.cfg"]["reason"] == "refused"


@needs_postgres
def test_the_database_is_tried_with_a_new_connection(vitals, drivers, tmp_path):
    """Let in, refused for its password, unknown, or not there: each has a word of its own."""
    with postgres() as there:

        def seen(user="postgres", password="sup", port=there, name="postgres"):
            url = f"postgresql+psycopg2://{user}:{password}@127.0.0.1:{port}/{name}"
            config(tmp_path / "airflow.cfg", database_url=url)
            found = vitals(venv=str(drivers), database="login")["stores"]["database"]["airflow.cfg"]
            return found["ok"], found["reason"]

        assert seen() == (True, "")
        assert seen(password="other") == (False, "password")
        assert seen(name="nosuch") == (False, "missing")
        assert seen(port=free_port()) == (False, "refused")


def test_secrets_leave_a_host_as_digests_alone(vitals, tmp_path):
    """The same salt makes equal keys equal; the values stand nowhere in the answer."""
    config(tmp_path / "airflow.cfg", fernet_key="one-secret-key")
    first = vitals(deep=True)
    again = vitals(deep=True)
    config(tmp_path / "airflow.cfg", fernet_key="another-key")
    other = vitals(deep=True)
    salted = vitals(deep=True, salt="pepper")

    def of(seen):
        return seen["effective"]["digests"]["airflow.cfg"]["fernet_key"]

    assert of(first) == of(again)
    assert of(first) != of(other) != of(salted)
    assert "one-secret-key" not in str(first)


def test_a_stale_pid_file_and_a_foreign_log_are_found(vitals, tmp_path):
    """A pid file of a process that is gone; a folder of logs that the account owns has nothing foreign."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (tmp_path / "airflow-webserver.pid").write_text(ended.stdout)
    (tmp_path / "logs").mkdir()
    seen = vitals(deep=True)
    assert [each["alive"] for each in seen["pidfiles"]] == [False]
    assert seen["logs"] == {"foreign": None}


def test_a_listener_is_named_with_its_process(vitals):
    """Who holds a port: its name and its process id."""
    port = free_port()
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    child = subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        seen = {}
        for _ in range(50):
            seen = vitals(deep=True, ports=[str(port)])["ports"]
            if seen:
                break
        assert seen[str(port)]["pid"] == child.pid
    finally:
        child.terminate()
        child.wait()


def test_a_process_that_was_stopped_is_told_from_one_that_waits():
    """The kernel's own letter, which `active (running)` hides."""
    from airfleet.agent import processes

    child = subprocess.Popen(["sleep", "60"])
    try:
        assert processes.state(child.pid) in ("S", "R", "D")
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        assert processes.state(child.pid) == "T"
    finally:
        child.kill()
        child.wait()
    assert processes.state(child.pid) is None


@pytest.mark.parametrize("group", ["", "/..", "/system.slice/../..", "system.slice", "/a\0"])
def test_what_is_no_name_of_a_control_group_has_no_processes(group):
    """Systemd's word for where a unit's processes are leads nowhere else."""
    from airfleet.agent import processes

    assert processes.members(group) == set()


def test_what_cannot_be_found_out_is_none_and_says_why(vitals, tmp_path):
    """A configuration that can't be read is no reason for silence on the rest."""
    (tmp_path / "airflow.cfg").write_text("no section = here\n")
    seen = vitals()
    assert seen["stores"] is None
    assert "can't be read as a configuration" in seen["unknown"]["stores"]
    assert seen["host"]["cpus"] > 0


def test_what_a_drop_in_sets_is_read_from_systemd():
    """Celery and gunicorn write their titles over the environment of their process: it stands there no longer."""
    from airfleet.agent.effective import declared

    first = 'Environment=A=1 "AIRFLOW__CORE__FERNET_KEY=x y=" AIRFLOW__CORE__PARALLELISM=3'
    text = f"{first}\n\nEnvironment=\n\nEnvironment=B=2\n"
    assert declared(text, ["a.service", "b.service", "c.service"]) == {
        "a.service": {"AIRFLOW__CORE__FERNET_KEY": "x y=", "AIRFLOW__CORE__PARALLELISM": "3"},
        "b.service": {},
        "c.service": {},
    }
    assert declared("Environment=AIRFLOW__A__B=1\n", ["a.service"]) == {"a.service": {"AIRFLOW__A__B": "1"}}
