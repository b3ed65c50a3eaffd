"""Eyes and hands on real hosts: journals as one, logs of tasks, Airflow's commands, a shell. Nothing stays behind."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass

import pytest

from sandbox.site import REPOSITORY
from tests.live.conftest import wait_for

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

UNIT = "airflow-worker@1.service"
# One entry about a unit, as a program of root's may write it (systemd.journal-fields(7), OBJECT_PID).
WRITE = """\
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for text in sys.argv[2:]:
    message = text.encode()
    about = b"OBJECT_PID=" + sys.argv[1].encode()
    entry = b"MESSAGE\\n" + len(message).to_bytes(8, "little") + message + b"\\n" + about + b"\\n"
    s.sendto(entry, "/run/systemd/journal/socket")
"""
TRIES = {"latest": (), "first": ("--try", "1")}
APPEND = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"


def write(installation, host, *texts):
    """Write entries into a worker's journal."""
    pid = installation.on(host, "systemctl", "show", "--property=MainPID", "--value", UNIT).strip()
    installation.on(host, "python3", "-c", WRITE, pid, *texts)


def followers(installation, host):
    """Return the journals that are being followed on a machine."""
    return installation.on(host, "pgrep", "-f", "journalctl .*--follow", check=False).split()


def marks(text, word):
    return re.findall(rf"{word}-\d+", text)


@pytest.fixture
def word(request):
    """A word of this test's own, to be found again among all that is written."""
    return re.sub(r"\W", "", request.node.name) + str(time.monotonic_ns())


@dataclass
class Ran:
    """A run of `hello` that has ended, with tasks on both hosts: {task: address}."""

    api: object
    run: str
    hosts: dict[str, str]


@pytest.fixture(scope="module")
def ran(first):
    api = first.api

    def run_hello():
        run = api.trigger("hello")
        wait_for(lambda: api.ask(f"/dags/hello/dagRuns/{run}")["state"] == "success", f"the end of {run}", 180)
        found = api.ask(f"/dags/hello/dagRuns/{run}/taskInstances")["task_instances"]
        hosts = {each["task_id"]: each["hostname"] for each in found}
        return Ran(api, run, hosts) if len(set(hosts.values())) == 2 else None

    return wait_for(run_hello, "a run with tasks on both hosts", 360)


def test_two_hosts_are_one_journal(installation, word):
    """Entries written in turn on two machines come back in the order in which they were written."""
    for n in range(8):
        write(installation, ("af1", "af2")[n % 2], f"{word}-{n}")
    said = installation.fab("logs", "--service", "worker@1", "--since", "10min", "--grep", word).stdout
    assert [f"{word}-{n}" for n in range(8)] == marks(said, word)
    assert re.search(rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}} af2 +worker@1 +\| {word}-1$", said, re.MULTILINE)
    last = installation.fab("logs", "--since", "10min", "--grep", word, "--lines", "3").stdout
    assert [f"{word}-{n}" for n in (5, 6, 7)] == marks(last, word)
    assert word not in installation.fab("logs", "--service", "scheduler", "--lines", "0").stdout


def test_messages_come_whole_and_without_secrets(installation, word):
    """Several lines, colours, letters of any script; every secret of the installation is hidden, in JSON too."""
    secrets = {n: v for n, v in installation.secret_values().items() if n != "deploy_key"}
    write(installation, "af1", f"{word} first\n\x1b[31msecond 한글\x1b[0m", *(f"{word} {v}" for v in secrets.values()))
    said = installation.fab("logs", "--only", "af1", "--grep", word)
    assert f"| {word} first\n" in said.stdout
    assert "| second 한글\n" in said.stdout
    as_json = installation.fab("logs", "--only", "af1", "--grep", word, "--json")
    told = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert told[0]["message"] == f"{word} first\n\x1b[31msecond 한글\x1b[0m"
    assert [f"{word} <secret>"] * len(secrets) == [each["message"] for each in told[1:]]
    assert [] == [name for name, value in secrets.items() if value in said.stdout + as_json.stdout]


def test_wrong_words_are_exit_2(installation):
    """A service, a pattern, a time: each is told what would be right; a time that only the hosts can judge as well."""
    assert "did you mean 'scheduler'" in installation.fab("logs", "--service", "schedular", rc=2).stderr
    assert "nothing was contacted" in installation.fab("logs", "--grep", "[", rc=2).stderr
    assert "nothing was contacted" in installation.fab("logs", "--since", "soon", rc=2).stderr
    assert "journalctl knows no such time" in installation.fab("logs", "--since", "12 bananas", rc=2).stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_following_shows_what_is_written_and_leaves_nothing_behind(installation, word, how):
    """However the operator ends: every entry came, in order, and no journalctl stays on a machine."""
    operator = installation.start("logs", "--follow", "--lines", "1", "--grep", word)
    wait_for(lambda: all(followers(installation, host) for host in ("af1", "af2")), "the journals to be followed", 60)
    for n in range(6):
        write(installation, ("af1", "af2")[n % 2], f"{word}-{n}")
    said = b""
    os.set_blocking(operator.stdout.fileno(), False)

    def all_came():
        nonlocal said
        said += operator.stdout.buffer.read() or b""
        return len(marks(said.decode(), word)) >= 6

    wait_for(all_came, "six entries", 30)
    os.kill(operator.pid, how)
    assert operator.wait(timeout=60) == (0 if how == signal.SIGINT else -how)
    assert [f"{word}-{n}" for n in range(6)] == marks(said.decode(), word)
    wait_for(lambda: not any(followers(installation, host) for host in ("af1", "af2")), "journalctl to be gone", 30)


def test_a_host_whose_connection_is_cut_is_followed_again(installation, word):
    """Its sshd ends the connection: that is said, it is asked again, and what was written meanwhile comes, once."""
    operator = installation.start("logs", "--follow", "--only", "af2", "--lines", "1", "--grep", word)
    try:
        wait_for(lambda: followers(installation, "af2"), "the journal to be followed", 60)
        write(installation, "af2", f"{word}-0")
        said = b""
        os.set_blocking(operator.stdout.fileno(), False)

        def has(count):
            nonlocal said
            said += operator.stdout.buffer.read() or b""
            return len(marks(said.decode(), word)) >= count

        wait_for(lambda: has(1), "the first entry", 30)
        installation.on("af2", "pkill", "-KILL", "-f", "sshd.*@notty")
        write(installation, "af2", f"{word}-1")
        wait_for(lambda: has(2), "the entry that was written meanwhile", 60)
        write(installation, "af2", f"{word}-2")
        wait_for(lambda: has(3), "an entry that was written afterwards", 30)
    finally:
        os.kill(operator.pid, signal.SIGINT)
        assert operator.wait(timeout=60) == 0
    assert [f"{word}-{n}" for n in range(3)] == marks(said.decode(), word)
    assert "af2: the connection was lost" in said.decode()
    assert "af2: is there again" in said.decode()
    wait_for(lambda: not followers(installation, "af2"), "journalctl to be gone", 30)


def test_ten_thousand_lines_take_seconds(installation, word):
    """Of two hosts together: none is missing, none is out of place."""
    for host in ("af1", "af2"):
        for begin in range(0, 5000, 1000):
            write(installation, host, *(f"{word}-{n}" for n in range(begin, begin + 1000)))
    began = time.monotonic()
    said = installation.fab("logs", "--service", "worker@1", "--grep", word, "--lines", "0").stdout
    assert time.monotonic() - began < 20
    for host in ("af1", "af2"):
        mine = "\n".join(line for line in said.splitlines() if line.split()[2] == host)
        assert [f"{word}-{n}" for n in range(5000)] == marks(mine, word)
    stamps = [line[:23] for line in said.splitlines()]
    assert sorted(stamps) == stamps


def test_the_log_of_a_task_comes_from_wherever_it_ran(installation, ran):
    """Its own printed line is in it; the line beside it says which try that is."""
    for address, task in {address: task for task, address in ran.hosts.items()}.items():
        done = installation.fab("task-log", "hello", task)
        assert f"hello.{task} ({ran.run}) try 1 of 1: success on {address}" in done.stderr
        assert re.search(r"hello from worker\d@af\d", done.stdout)
        assert re.search("Task exited with return code 0|Done. Returned value was", done.stdout)


def test_a_long_log_comes_whole_and_without_secrets(installation, ran):
    """Thousands of lines in their order, with a secret that a task printed hidden."""
    task, address = next(iter(ran.hosts.items()))
    host = next(name for name in ("af1", "af2") if installation.machines[name].address == address)
    name = re.search(rf"/logs?/(\S*{task}\S*\.log)", installation.fab("task-log", "hello", task).stdout)[1]
    secret = installation.secret_values()["redis_password"]
    text = "".join(f"line {n} 한\n" for n in range(20_000)) + f"the key is {secret}\n"
    installation.on(host, "python3", "-c", APPEND, f"/home/airflow/airflow/logs/{name}", stdin=text)
    said = installation.fab("task-log", "hello", task, "--run", ran.run).stdout
    assert [f"line {n} 한" for n in range(20_000)] == [line for line in said.splitlines() if line.startswith("line ")]
    assert "the key is <secret>" in said


def test_each_try_has_its_log(installation, ran):
    """The latest by default, an earlier one by its number; what does not exist is told what does."""
    again = {"dry_run": False, "dag_run_id": ran.run, "task_ids": ["hello_1"], "only_failed": False}
    again["reset_dag_runs"] = True
    ran.api.ask("/dags/hello/clearTaskInstances", again)
    path = f"/dags/hello/dagRuns/{ran.run}/taskInstances/hello_1"
    wait_for(
        lambda: (task := ran.api.ask(path))["try_number"] == 2 and task["state"] == "success", "the second try", 180
    )
    said = {n: installation.fab("task-log", "hello", "hello_1", *words).stdout for n, words in TRIES.items()}
    attempts = {n: re.findall(r"Starting attempt (\d)|attempt=(\d)\.log", text) for n, text in said.items()}
    attempts = {n: ["".join(each) for each in found] for n, found in attempts.items()}
    assert attempts == {"latest": ["2"], "first": ["1"]}
    assert "--try: 1, 2" in installation.fab("task-log", "hello", "hello_1", "--try", "3", rc=2).stderr


def test_a_wrong_name_is_told_the_right_ones(installation, ran):
    """DAG, task and run, each exit 2."""
    assert "did you mean hello?" in installation.fab("task-log", "helo", "hello_1", rc=2).stderr
    assert "did you mean hello_1" in installation.fab("task-log", "hello", "hello1", rc=2).stderr
    assert ran.run in installation.fab("task-log", "hello", "hello_1", "--run", "r", rc=2).stderr


def test_airflows_commands_run_as_on_the_host(installation):
    """What it prints on stdout is there to be read by a machine; its exit code is fab's; secrets are hidden."""
    said = installation.fab("airflow", "dags list -o json")
    assert {"hello", "sleeper"} <= {each["dag_id"] for each in json.loads(said.stdout.splitlines()[-1])}
    failed = installation.fab("airflow", "dags show nosuch", rc=1)
    assert "nosuch" in failed.stderr
    assert installation.airflow in installation.fab("airflow", "version", "--host", "af2").stdout
    assert "<secret>" in installation.fab("airflow", "config get-value core fernet_key").stdout
    config = installation.fab("airflow", "config list").stdout
    values = {n: v for n, v in installation.secret_values().items() if n != "deploy_key"}
    assert [] == [name for name, value in values.items() if value in config]


def test_a_password_does_not_get_into_a_process_list(installation):
    """Refused, with the command that does it without."""
    said = installation.fab("airflow", "users create --username x --role Op --password hunter22", rc=2).stderr
    assert "fab users.create" in said
    assert "hunter22" not in said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_command_ends_on_the_host(installation, how):
    """Asked first, as by Ctrl-C in a terminal there."""
    operator = installation.start("airflow", "celery flower --port 5999")

    def running():
        return installation.on("af1", "pgrep", "-f", "celery flower --port 5999", check=False).split()

    wait_for(running, "the command", 60)
    os.kill(operator.pid, how)
    said = operator.communicate(timeout=60)[0]
    wait_for(lambda: not running(), "its end", 30)
    if how == signal.SIGINT:
        assert operator.returncode == 7
        assert "what it has done by then is done" in said


def test_the_printed_ssh_command_logs_in(installation):
    """It can be used in scripts: as the account, with its Airflow and its environment."""
    command = shlex.split(installation.fab("shell", "af1", "--print").stdout)
    told = shlex.quote("id -un; airflow version 2>/dev/null | tail -1; echo $AIRFLOW_HOME; type -p python; exit 4")
    done = subprocess.run([*command, "-c", told], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout.split()) == (
        4,
        ["airflow", installation.airflow, "/home/airflow/airflow", "/home/airflow/.pyenv/versions/.venv/bin/python"],
    )
    assert [] == [name for name, value in installation.secret_values().items() if value in " ".join(command)]
    root = shlex.split(installation.fab("shell", "af1", "--root", "--print").stdout)
    done = subprocess.run([*root, "-c", "'id -un'"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.stdout == "root\n"


def test_a_shell_in_a_terminal(installation):
    """A prompt, a terminal of its own on the host, and the shell's exit code as fab's."""
    command, environment = installation.command("shell", "af2"), installation.environment()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(REPOSITORY)
        os.execve(command[0], command, environment)
    said = b""

    def read(until):
        nonlocal said
        if select.select([terminal], [], [], 0.1)[0]:
            said += os.read(terminal, 65536)
        return re.search(until, said)

    wait_for(lambda: read(rb"airflow@af2"), "the prompt", 60)
    os.write(terminal, b"test -t 0 && echo user=$(id -un) && exit 6\n")
    wait_for(lambda: read(rb"user=airflow"), "the answer", 30)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    os.close(terminal)
    assert "one of: af1, af2" in installation.fab("shell", "af9", rc=2).stderr
