"""What programs and other people's files tell the agent: systemd, journald, Celery, git, marks, the history."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from fuzzing import HARD, HELD, TEXT, VALUES, spoiled, tried
from hypothesis import example, given
from hypothesis import strategies as st

from airfleet.agent import (
    chain,
    code,
    effective,
    history,
    inside,
    lock,
    logs,
    maintenance,
    owned,
    processes,
    releases,
    replies,
    run,
    signs,
    stores,
    unitfacts,
    units,
    vitals,
)

pytestmark = HELD
ORDINARY = run.run
NAMES = unitfacts.PROPERTIES
SHOWN = st.lists(st.tuples(st.sampled_from(NAMES), TEXT | st.integers().map(str)), max_size=12).map(
    lambda pairs: "\n".join(f"{name}={value}" for name, value in pairs)
)
ENTRY = {
    "__REALTIME_TIMESTAMP": "1764000000000000",
    "__CURSOR": "s=1",
    "MESSAGE": "No space left on device",
    "PRIORITY": "3",
    "_SYSTEMD_UNIT": "airflow-worker@1.service",
    "UNIT": "airflow-worker@1.service",
}
LINES = st.lists(
    spoiled(ENTRY).map(lambda entry: json.dumps(entry).encode()) | st.binary(max_size=40) | st.just(b"{" * 5000),
    max_size=4,
).map(b"\n".join)
QUEUES = [{"name": "default", "exchange": {"name": "default"}}, {"name": "gpu"}]
TASKS = [{"id": "1", "args": ["secret"], "delivery_info": {"routing_key": "default"}}]
STATS = {"pool": {"max-concurrency": 8}, "total": {"a.task": 3}}
COMMIT = "a" * 40
HISTORY = {"id": 1, "began": "t", "doing": "retire", "result": "done", "retired": ["b"], "hosts": {"a": "x"}}
HISTORY["members"] = {"a": {"address": "1"}}
MARKS = {
    "tree": "x",
    "made_at": 1.0,
    "subject": "s",
    "url": "u",
    "tag": "t",
    "version": "1",
    "digest": "d",
    "packages": ["a-1"],
}


@pytest.fixture(autouse=True)
def printed(monkeypatch):
    """Let programs print what a test says, instead of being run."""
    said = {"text": ""}
    monkeypatch.setattr(run, "run", lambda *_, **__: said["text"])
    return said


@tried()
@example(["MainPID=1\nControlGroup=/a\0"])
@given(st.lists(SHOWN | TEXT, max_size=3))
def test_any_properties_of_units(printed, blocks):
    """`systemctl show` with any values: facts, or a refusal; what is no number is 0."""
    printed["text"] = "\n\n".join(blocks)
    for count in (1, len(blocks)):
        try:
            seen = unitfacts.look({"units": [f"u{n}.service" for n in range(count)]})
        except run.Refused:
            continue
        for facts in seen.values():
            assert isinstance(facts["restarts"], int)
            assert facts["stop_timeout_s"] is None or facts["stop_timeout_s"] >= 0
    try:
        units.look_units([("u", {"stamp": ""})])
    except run.Refused as e:
        assert "systemd" in str(e)


def test_a_week_is_a_week():
    """A unit that may take 8 days to stop has 691,200 s for it, as systemd writes that."""
    assert (
        unitfacts.facts({**dict.fromkeys(NAMES, ""), "TimeoutStopUSec": "1w 1d", "Id": "x"})["stop_timeout_s"] == 691200
    )


@tried()
@given(st.lists(TEXT.map("Environment={}".format) | TEXT, max_size=3))
def test_any_environment_of_units(paragraphs):
    """Any variables: those of Airflow's settings, or a ValueError, which is told."""
    try:
        found = effective.declared("\n\n".join(paragraphs), ["a", "b"])
    except ValueError:
        return
    assert set(found) <= {"a", "b"}


@tried()
@given(LINES)
def test_any_lines_of_journalctl(lines):
    """Each entry that is told has its four words; what is cut or strange is left out."""
    for entry in logs.entries_of(lines):
        at, unit, priority, message = logs.words_of(entry)
        assert (type(at), type(unit), type(message)) == (int, str, str)
        assert priority is None or isinstance(priority, int)


@tried()
@given(spoiled(ENTRY))
def test_signs_in_any_entry(printed, entry):
    """A sign is found in an entry whatever its other fields are."""
    printed["text"] = json.dumps(entry)
    assert all(sign["count"] == 1 for sign in signs._signs(1.0, "@0").values())


@tried()
@given(VALUES | spoiled(QUEUES), VALUES | spoiled(TASKS), VALUES | spoiled(STATS), VALUES)
def test_any_replies_of_workers(queues, tasks, stats, whole):
    """Names, ids and whole numbers come out of any reply, and nothing of what a task was given."""
    assert all(isinstance(name, str) for name in replies.queues(queues, "hidden"))
    found = replies.tasks(tasks)
    assert all(isinstance(each, str) for each in found)
    assert "secret" not in json.dumps(found) or "secret" in json.dumps(tasks).replace('"args"', "")
    assert all(value is None or type(value) is int for value in (replies.slots(stats), replies.done(stats)))
    assert replies.count(whole) is None or replies.count(whole) >= 0
    assert all(isinstance(name, str) for name in (*replies.by_node(whole), *replies.pongs(whole)))


@tried()
@given(TEXT, TEXT)
def test_any_output_of_git(monkeypatch, said, ref):
    """Whatever git prints, a commit is 40 or 64 digits or is not there; a ref's commit has all its words."""
    monkeypatch.setattr(code, "git", lambda words, **_: COMMIT if "rev-parse" in words and said != ref else said)
    monkeypatch.setattr(owned, "read_mark", lambda *_, **__: {"url": "u"})
    try:
        told = code.resolve({"mirror": "/m", "ref": ref, "account": "a", "requirements": "r.txt"}, None)
    except run.Refused as e:
        assert e.kind == "ref"
        return
    assert told["commit"] == COMMIT
    assert all(isinstance(told[name], str) for name in ("subject", "author", "date", "requirements"))


@tried()
@given(st.lists(spoiled(HISTORY).map(json.dumps) | TEXT, max_size=4), VALUES)
def test_any_lines_of_the_history(tmp_path, lines, head):
    """Hosts and entries are told from what can be read, and the chain's faults from the rest."""
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(lines), errors="surrogatepass")
    words = {"path": str(path), "limit": 5}
    seen = history.members(words)
    assert all(isinstance(name, str) for name in (*seen["members"], *seen["retired"]))
    assert len(history.history(words, None)["entries"]) <= 5
    (tmp_path / "history.jsonl.head").write_text(json.dumps(head))
    assert history.verify_history(words, None)["lines"] >= 0
    assert isinstance(chain.faults("\n".join(lines), head), tuple)


@tried()
@given((VALUES | spoiled(MARKS)).map(json.dumps) | TEXT, st.sampled_from(sorted(MARKS)))
def test_any_mark(tmp_path, text, name):
    """A mark has the words that are wanted, of their kinds, or there is none."""
    (tmp_path / "mark").write_text(text, errors="surrogatepass")
    kind = type(MARKS[name])
    mark = owned.read_mark(str(tmp_path / "mark"), **{name: kind})
    assert mark is None or isinstance(mark[name], kind)
    folder = tmp_path / "releases"
    (folder / COMMIT).mkdir(parents=True, exist_ok=True)
    (folder / f".{COMMIT}.json").write_text(text, errors="surrogatepass")
    assert all(each["commit"] == COMMIT for each in releases.releases({"releases": str(folder)}, None)["releases"])
    state, _ = code.look_release(str(folder), {"commit": COMMIT})
    assert state is None or state["commit"] == COMMIT


@tried()
@given(VALUES.map(json.dumps) | TEXT)
def test_any_record_lock_and_answer_of_a_program(tmp_path, text):
    """A file of ours that is something else is refused in words; so is a program's answer that is none."""
    path = tmp_path / "record"
    path.write_text(text, errors="surrogatepass")
    try:
        record = maintenance.record({"path": str(path)})
        assert record is None or {"id", "dags"} <= record.keys()
    except run.Refused as e:
        assert str(path) in str(e)
    assert isinstance(lock._words(text), dict)
    try:
        assert isinstance(inside._answered(inside._said(f"\x1e{text}"), "no answer", ""), dict)
    except run.Refused as e:
        assert e.words()["error"]


@tried()
@given(st.lists(TEXT.map("used_memory:{}\r\n".format) | TEXT, max_size=3), st.lists(TEXT, max_size=3))
def test_any_info_of_redis_and_sizes_of_folders(printed, lines, folders):
    """Numbers where there are some, text otherwise; a folder's name may have anything in it but a NUL."""

    class Redis:
        def ask(self, *_):
            return "".join(lines)

    assert set(stores._info(Redis())) <= set(stores.SHOWN)
    names = [name.replace("\0", "") for name in folders]
    printed["text"] = "".join(f"7\t{name}\0" for name in names)
    assert sorted(path for _, path in vitals._eaters("/none")) == sorted(names)


@tried(60)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_any_stamp_and_pid_file(pairs):
    """What a process left, or somebody in its place, is read line by line; a pid that is none is 0."""
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join(f"{value}  {name}" for value, name in pairs)
        Path(folder, "stamp").write_text(text, errors="surrogatepass")
        Path(folder, "x.pid").write_text(pairs[0][0] if pairs else "", errors="surrogatepass")
        assert all(name.startswith(units.NAME_OF_STAMP) for name in units.read_stamp(f"{folder}/stamp"))
        (seen,) = processes.pidfiles({"home": folder})
        assert isinstance(seen["pid"], int)


@tried(40)
@given((HARD | st.text()).filter(lambda text: "\0" not in text))
def test_no_argument_is_read_by_a_shell(text):
    """A program gets each word as it is."""
    plain = text.encode("utf-8", "replace").decode().replace("\r", "")
    assert ORDINARY(["/usr/bin/printf", "%s", plain[:2000]]) == plain[:2000]
