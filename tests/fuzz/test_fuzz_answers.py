"""Whatever a host answers: it is read or refused in words, and it does not steer the operator's terminal."""

from __future__ import annotations

import contextlib
import io
import json
import unicodedata
from pathlib import Path

import pytest
from fuzzing import HELD, TEXT, VALUES, spoiled, tried
from hypothesis import given
from hypothesis import strategies as st

from airfleet import answer_shapes, answers, board, channel, chronicle, crew, history, people
from airfleet.checkup import Checkup
from airfleet.doctor import report
from airfleet.doctor.diagnosis import diagnose
from airfleet.errors import FleetError, HostUnreachable
from airfleet.host_errors import CLASSES
from airfleet.inventory import parse
from tasks import screen

pytestmark = HELD
SEEN = json.loads((Path(__file__).parents[1] / "pure" / "data" / "checkup-healthy.json").read_text())
INVENTORY = parse(
    """\
airflow: {version: 2.11.2}
database: {host: 10.77.0.2}
dags: {repository: "https://git.internal/dags.git"}
hosts:
  af1: {address: 10.77.0.11, roles: [redis, webserver, scheduler, triggerer, worker, flower]}
  af2: {address: 10.77.0.12, roles: [worker]}
""",
    Path("inventory.yaml"),
)
FAILED = {"t": "failed", "kind": "file", "key": "/x", "error": "no", "class": "changed", "remedy": "look", "tail": ""}
ANSWERS = [
    FAILED,
    {"t": "seen", "kind": "file", "key": "/x", "state": {"mode": "0644"}, "detail": {"text": "x"}},
    {"t": "progress", "kind": "", "key": "x", "text": "busy"},
    {"t": "answer", "words": {"held_by": {"who": "me", "doing": "deploy"}}},
    {"t": "done", "kind": "file", "key": "/x", "told": {}},
]
WORKER = {
    "instance": 1,
    "node": "worker1@af1",
    "active": "active",
    "enabled": True,
    "answers": True,
    "queues": ["default"],
    "unnamed": 0,
    "reserved": 0,
    "gaps": [{"queue": "q", "waiting": 1, "running": 0}],
    "running": [
        {"dag": "d", "task": "t", "run": "r", "try": 1, "retries_left": 0, "elapsed_s": 1.5, "usual_s": None},
    ],
}
PERSON = {
    "name": "ops",
    "firstname": "O",
    "lastname": "P",
    "email": "o@x",
    "active": True,
    "roles": ["Admin"],
    "logins": 1,
    "last_login": None,
}
LOG = {"entries": [[1764000000000000, "airflow-worker@1.service", 6, "hello"]]}
STEERS = {"Cc", "Cs", "Zl", "Zp"}


def read(words, op="x"):
    """Return the answer, or None where it was refused in words that nothing can steer a terminal by."""
    try:
        return answers.read(json.dumps(words).encode(), op, "af1")
    except HostUnreachable as e:
        assert harmless(e.problem)
        return None


def harmless(text):
    """Tell whether a text steers no terminal and can be printed."""
    text.encode("utf-8", "surrogatepass")
    return not any(
        unicodedata.category(each) in STEERS or each in "\u202e\u2066" for each in text if each not in "\n\t"
    )


@tried(100)
@given(st.binary(max_size=200) | TEXT.map(lambda text: text.encode("utf-8", "replace")) | st.just(b"[" * 100_000))
def test_any_line(line):
    """A line that is no answer is refused, with the host's name, as unreachable: exit 3."""
    try:
        answers.read(line, "look", "af1")
    except HostUnreachable as e:
        assert (e.place, e.exit_code) == ("af1", 3)


@tried(150)
@given(st.sampled_from(ANSWERS).flatmap(spoiled) | VALUES)
def test_any_answer(words):
    """What is read has the words of its kind, of their types; a failure can be told whatever stands in it."""
    answer = read(words, "lock")
    if answer and answer["t"] == "failed":
        kind = CLASSES.get(answer["class"], FleetError)
        assert harmless(answers.printable(str(kind(answer["error"], remedy=answer["remedy"]))))
    if answer and answer["t"] == "answer":
        held = answer["words"]["held_by"]
        assert held is None or isinstance(held["who"], str)


@tried(100)
@given(spoiled(SEEN["hosts"]["af1"]), spoiled(SEEN["crew"]), st.booleans())
def test_any_vitals(vitals, seen, both):
    """Status and doctor show what was accepted of a host and of the workers, each thing on a line of its own."""
    host, workers = read({"t": "answer", "words": vitals}, "vitals"), read({"t": "answer", "words": seen}, "crew")
    hosts = {"af1": host["words"] if host else SEEN["hosts"]["af1"], "af2": SEEN["hosts"]["af2"]}
    checkup = Checkup(INVENTORY, hosts if both else dict(list(hosts.items())[:1]), crew=workers and workers["words"])
    diagnosis = diagnose(checkup)
    assert all(harmless(line) and "\n" not in line for line in board.lines(checkup, diagnosis))
    json.dumps(board.as_json(checkup, diagnosis))
    assert all(harmless(answers.printable(line)) for line, _ in report.lines(diagnosis, 1.0, verbose=True))


@tried(100)
@given(spoiled(WORKER), spoiled(PERSON), spoiled(LOG))
def test_any_worker_user_and_line_of_a_log(worker, person, log):
    """What is accepted of them is what the commands show them from."""
    if answer := read({"t": "answer", "words": {"workers": [worker]}}, "workers_look"):
        for each in crew.make_workers("af1", answer["words"]):
            assert list(crew.explain(each, 60, kill_after_wait=True))
    if answer := read({"t": "answer", "words": {"users": [person], "roles": ["Admin"]}}, "users"):
        (one,) = people.make_people(answer["words"]).persons
        assert harmless(answers.printable(str(one)))
    if answer := read({"t": "part", "words": log}, "logs"):
        write = chronicle.Lines({"af1": ["airflow-worker@1.service"]}, None, colours=False)
        for entry in chronicle.make_entries("af1", answer["words"]) if "entries" in answer["words"] else ():
            assert all(harmless(line) for line in write(entry))
            json.loads(chronicle.json_line(entry))


@tried(100)
@given(
    st.lists(
        st.dictionaries(TEXT | st.sampled_from(["id", "began", "hosts", "members", "retired"]), VALUES), max_size=3
    )
)
def test_any_history(entries):
    """Entries of the history are put in order, shown and searched whatever stands in them."""
    answer = read({"t": "answer", "words": {"entries": entries}}, "history")
    merged = history.merged([answer["words"]["entries"]] if answer else [])
    assert all(harmless(answers.printable(history.line_of(entry))) for entry in merged)
    assert history.previous(merged, "x") != "x"


@tried(100)
@given(TEXT)
def test_nothing_that_is_shown_steers_a_terminal(text):
    """Text from a host is shown with what would steer visible; what is none of it stays, and JSON stays JSON."""
    shown = answers.printable(text)
    assert harmless(shown)
    assert harmless(answers.one_line(text))
    assert "\n" not in answers.one_line(text)
    if harmless(text):
        assert shown == text
    shown = [printed(screen.json, {"name": text}), printed(screen.line, text), printed(screen.Screen().say, text)]
    assert all(map(harmless, shown))
    assert set(json.loads(shown[0])) == {"name"}


def printed(write, value):
    """Return what is printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        write(value)
    return out.getvalue()


def test_what_real_hosts_have_answered_has_its_form():
    """The forms are of what the agent really answers; so does each test of the agent compare them (its conftest)."""
    assert all(read({"t": "answer", "words": host}, "vitals") for host in SEEN["hosts"].values())
    assert read({"t": "answer", "words": SEEN["crew"]}, "crew")


def test_a_screen_can_not_be_forged():
    """A password question, a green line and a name that is written backwards come out as what they are."""
    forged = "ok\r\x1b[2K[sudo] password for ops: \x1b]0;x\x07 \u202egnp.exe\x9b1A"
    assert answers.printable(forged) == (
        "ok\\x0d[sudo] password for ops: \\x1b]0;x\\x07 \\u202egnp.exe\\u009b1A".replace("\\x0d[", "\\x0d\\x1b[2K[")
    )


def test_an_answer_without_an_end_is_given_up(monkeypatch):
    """A host that sends no line break fills no memory: the connection counts as lost."""

    class Endless:
        def settimeout(self, _):
            """Nothing to wait for."""

        def recv_stderr_ready(self):
            return False

        def recv(self, size):
            return b"x" * size

    monkeypatch.setattr(channel, "LONGEST", 10**6)
    with pytest.raises(EOFError, match="without an end"):
        list(channel.lines(Endless(), bytearray()))


@pytest.mark.parametrize("name", sorted({*answer_shapes.ANSWERS, *answer_shapes.PARTS}))
def test_a_form_is_of_a_call(name):
    """Each form belongs to a call or a stream of the agent's."""
    from airfleet.agent import main

    assert name in {*main.CALLS, *main.STREAMS, *main.TAKES}
