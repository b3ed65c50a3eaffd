"""The agent's life: it ends when its operator does, with everything that it started, and its lock with it."""

import ast
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from airfleet import sending
from airfleet.agent import main, packages


def hold(agent, path, **words):
    child = agent.start("lock", words={"path": str(path), **words})
    return child, json.loads(child.stdout.readline())["words"]


def wait_until_free(agent, path):
    deadline = time.monotonic() + 10
    while True:
        child, answer = hold(agent, path)
        end(child)
        if answer["held_by"] is None:
            return
        assert time.monotonic() < deadline, "the lock outlived its holder"


def end(child):
    child.stdin.close()
    child.wait(10)


def test_a_lock_is_taken_once_and_names_its_holder(agent, tmp_path):
    """The second one is told who has it, since when, doing what."""
    path = tmp_path / "lock"
    words = {"who": "ana@laptop", "doing": "bootstrap", "since": "2026-11-23T10:00:00+00:00"}
    first, answer = hold(agent, path, **words)
    assert answer == {"held_by": None}
    second, answer = hold(agent, path, who="bo@laptop")
    assert answer == {"held_by": words}
    end(second)
    end(first)
    wait_until_free(agent, path)


def test_a_lock_goes_with_its_holder_however_that_ends(agent, tmp_path):
    """Killed without a word: nothing has to be removed."""
    path = tmp_path / "lock"
    first, _ = hold(agent, path, who="ana")
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_until_free(agent, path)


def alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_programs_end_with_the_connection(tmp_path):
    """When the operator is gone, a long program and all that it started are ended, not left running."""
    mark = tmp_path / "pid"
    program = (
        "import threading, sys\n"
        "from airfleet.agent import main, run\n"
        "threading.Thread(target=main._watch, args=(sys.stdin.buffer,), daemon=True).start()\n"
        f"run.run(['sh', '-c', 'sleep 1000 & echo $! > {mark}; wait'])\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 10
    while not mark.exists() or not mark.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    sleeper = int(mark.read_text())
    child.stdin.close()
    assert child.wait(10) == 70
    while alive(sleeper):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_word_before_the_program_is_passed_over(tmp_path):
    """A password that sudo did not need may be left on stdin: the loader looks for the program."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", sending.LOADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdin.write(b"not needed\n" + sending.program() + sending.request({"op": "look", "resources": []}))
    child.stdin.flush()
    assert json.loads(child.stdout.readline()) == {"t": "end"}
    end(child)


def test_the_holder_of_a_lock_file_is_named(tmp_path):
    """Whoever keeps apt locked is found by its name and pid."""
    path = tmp_path / "lock-frontend"
    path.touch()
    program = (
        f"import fcntl, time; f = open({str(path)!r}, 'r+b'); "
        "fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        assert packages._is_locked(str(path))
        assert f"pid {holder.pid}" in packages._holder(str(path))
    finally:
        holder.kill()
        holder.wait()
    assert not packages._is_locked(str(path))


def test_only_the_standard_library_of_an_old_python(tmp_path):
    """Every module of the agent compiles as Python 3.9."""
    for path in sorted((Path(main.__file__).parent).glob("*.py")):
        ast.parse(path.read_text(), feature_version=(3, 9))
