"""Programs whose output is handed on as it comes: whole, in order, and ended in their own way when nobody listens."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airfleet.agent import run, stream

LOST = 70
WATCHED = """\
import sys, threading
from airfleet.agent import main, run, stream
threading.Thread(target=main._watch, args=(sys.stdin.buffer,), daemon=True).start()
argv = ["sh", "-c", {script!r}]
stream.stream(argv, lambda data: None, lambda data: None, patience_s={patience_s})
"""


def streamed(script, *, stop=lambda data: False, **more):
    """Return (exit status, stdout, stderr, how many handfuls came) of a shell script."""
    out, err, handfuls = [], [], []

    def take(data):
        handfuls.append(len(data))
        out.append(data)
        return stop(data)

    status = stream.stream(["sh", "-c", script], take, err.append, **more)
    return status, b"".join(out), b"".join(err), len(handfuls)


def test_both_outputs_come_apart_and_the_status_is_told():
    """Neither is mixed into the other."""
    assert streamed("echo a; echo b >&2; echo c; exit 3")[:3] == (3, b"a\nc\n", b"b\n")


def test_lines_come_as_they_are_printed():
    """The first one is handed on while the program still runs."""
    began, times = time.monotonic(), []
    streamed("echo 1; sleep 1; echo 2", stop=lambda data: times.append(time.monotonic() - began))
    assert (times[0] < 0.8, times[1] >= 0.9) == (True, True)


def test_no_line_is_cut_and_the_last_one_needs_no_end():
    """Letters of several bytes come whole, however the program writes them."""
    whole = []
    script = "printf '\\355\\225'; sleep 0.3; printf '\\234 a\\nb'"
    streamed(script, stop=lambda data: whole.append(data) and False)
    assert ["한 a\n".encode(), b"b"] == whole


def test_much_output_takes_no_time_and_loses_nothing():
    """A hundred thousand lines come in handfuls, in order."""
    began = time.monotonic()
    status, out, _, handfuls = streamed("seq 100000")
    assert (status, out.splitlines()) == (0, [b"%d" % n for n in range(1, 100001)])
    assert handfuls < 1000
    assert time.monotonic() - began < 10


def test_one_very_long_line_is_one_line():
    """Five megabytes of JSON without a break."""
    _, out, _, handfuls = streamed("head -c 5000000 /dev/zero | tr '\\0' x")
    assert (len(out), handfuls) == (5_000_000, 1)


def test_enough_is_enough():
    """A true answer ends the program and all that it started."""
    began = time.monotonic()
    status, out, _, _ = streamed("echo 1; sleep 1000 & wait", stop=lambda data: True)
    assert (status < 0, out, time.monotonic() - began < 10) == (True, b"1\n", True)


def test_it_reads_what_it_is_given_and_otherwise_nothing():
    """No program waits for a terminal that is not there."""
    assert streamed("cat", stdin=b"given")[1] == b"given"
    assert streamed("cat; echo end")[1] == b"end\n"


def test_a_program_that_is_not_there_is_named():
    """As by everything that the agent runs."""
    with pytest.raises(run.Refused) as e:
        stream.stream(["no-such-program"], print, print)
    assert "no program no-such-program" in e.value.what


@pytest.mark.parametrize(
    ("script", "patience_s", "expected"),
    [
        ('trap "echo asked >> {mark}; exit" INT; echo up >> {mark}; while :; do sleep 0.1; done', 20, ["up", "asked"]),
        ('trap "echo asked >> {mark}" INT; echo up >> {mark}; while :; do sleep 0.1; done', 1, ["up", "asked"]),
        ('trap "echo asked >> {mark}" INT; echo up >> {mark}; while :; do sleep 0.1; done', 0, ["up"]),
    ],
)
def test_a_lost_operator_ends_it_in_its_own_way_first(tmp_path, script, patience_s, expected):
    """With patience it is asked, as by Ctrl-C, and killed when it goes on; without, it is killed at once."""
    mark = tmp_path / "mark"
    text = WATCHED.format(script=f"echo $$ > {tmp_path}/pid; " + script.format(mark=mark), patience_s=patience_s)
    child = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not mark.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.stdin.close()
    assert child.wait(20) == LOST
    assert expected == mark.read_text().split()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


AIRFLOW = """\
#!{python}
import json, os, sys
if sys.argv[1] == "kill":
    os.kill(os.getpid(), 15)
told = dict(os.environ)
print(json.dumps([sys.argv[1:], told, os.getcwd(), sys.stdin.read()]))
sys.stdout.flush()
os.write(2, b"not utf-8: \\xff\\n")
sys.exit(3)
"""


@pytest.fixture
def installed(tmp_path, account):
    """A virtual environment whose `airflow` tells how it was called, and the environment of its units."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    program = tmp_path / "venv" / "bin" / "airflow"
    program.write_text(AIRFLOW.format(python=sys.executable))
    program.chmod(0o755)
    environment = tmp_path / "environment"
    environment.write_text("# ours\nAIRFLOW_HOME=/home/x\nODD='it'\"'\"'s $HOME'\n")
    return {"venv": str(tmp_path / "venv"), "environment": str(environment), "account": account}


def airflow(agent, installed, *words):
    answers = agent("airflow", words={**installed, "words": list(words)})
    parts = [each["words"] for each in answers if each["t"] == "part"]
    said = {name: "".join(part.get(name, "") for part in parts) for name in ("out", "err")}
    return answers[-2], said


def test_airflow_runs_with_the_words_as_they_are(agent, installed):
    """No shell sees them; the environment is the units'; stdin is empty; the exit status is told."""
    words = ["dags", "trigger", "--conf", '{"a": "$HOME `x` ; \n한"}', ""]
    answer, said = airflow(agent, installed, *words)
    assert answer == {"t": "answer", "words": {"rc": 3}}
    argv, env, folder, stdin = json.loads(said["out"])
    assert (argv, stdin, folder) == (words, "", str(Path.home()))
    assert (env["AIRFLOW_HOME"], env["ODD"]) == ("/home/x", "it's $HOME")


def test_bytes_that_are_no_text_come_back_as_they_were(agent, installed):
    """What is written to a file from here is what it would be there."""
    _, said = airflow(agent, installed, "x")
    assert said["err"].encode("utf-8", "surrogateescape") == b"not utf-8: \xff\n"


def test_an_end_by_a_signal_is_told_as_shells_tell_it(agent, installed):
    """128 and the signal's number."""
    assert airflow(agent, installed, "kill")[0]["words"] == {"rc": 143}


def test_without_the_units_environment_nothing_is_run(agent, installed, tmp_path):
    """A host that was not bootstrapped yet; and a link, which could lead root's hands elsewhere, is not followed."""
    link = tmp_path / "link"
    link.symlink_to(installed["environment"])
    for path in (tmp_path / "nothing", link):
        failed = agent("airflow", words={**installed, "environment": str(path), "words": ["x"]})[-1]
        assert (failed["t"], failed["class"], failed["remedy"]) == ("failed", "missing", "run: fab bootstrap")
