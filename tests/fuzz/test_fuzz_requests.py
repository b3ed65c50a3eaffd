"""Whatever the agent is asked, it answers in whole lines and ends: also when the request itself is none."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import HELD, TEXT, VALUES, tried
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airfleet import answers, sending
from airfleet.agent import main

pytestmark = HELD
ROOM = 1024**3  # bytes beside what the tests themselves take: nothing that is asked may fill a host's memory
# Looks at files alone, whatever the key: the others start programs.
KINDS = st.sampled_from(
    ["file", "directory", "link", "disk", "release", "mirror", "leftovers", "account", "instances", "venv"]
)
CALLS = st.sampled_from(
    ["history", "verify_history", "members", "holder", "releases", "backup_list", "maintenance_marks"]
)
KNOWN = {*main.CALLS, *main.STREAMS, *main.TAKES}
KEYS = (
    TEXT
    | st.lists(TEXT, max_size=3).map("/".join)
    | st.lists(TEXT, max_size=3).map(lambda names: "/tmp/" + "/".join(names))
)
ASKS = st.dictionaries(
    st.sampled_from(["commit", "requirements", "sha256", "free_mb", "files", "beyond"]), VALUES, max_size=3
)
WORDS = st.dictionaries(
    st.sampled_from(["path", "limit", "lock", "releases", "folder", "units"]), VALUES | KEYS, max_size=4
)


@pytest.fixture(autouse=True)
def small():
    """Have a host with little memory left."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """Keep what the agent says."""
    said = []
    monkeypatch.setattr(main, "say", lambda answer: said.append(json.loads(json.dumps(answer))))
    return said


def whole(said):
    """Tell whether each answer has the form that the operator's side wants, and none is a surprise."""
    for answer in said:
        read = answers.parse(json.dumps(answer).encode())
        assert read["t"] != "failed" or read["error"]
        assert "MemoryError" not in read.get("error", "")
    return said


@tried()
@given(st.lists(st.tuples(KINDS, KEYS, ASKS), max_size=3))
def test_any_look(told, resources):
    """Each resource is seen or failed, whatever its key is and whatever is asked of it."""
    told.clear()
    main.look([list(each) for each in resources])
    assert {(a["kind"]) for a in whole(told)} == {kind for kind, _, _ in resources}


@tried()
@given(CALLS, WORDS)
@example("backup_list", {"folder": "a"})
@example("history", {"path": 0, "limit": 1})
@example("history", {"path": "/dev/zero", "limit": 1})
@example("holder", {"lock": "/dev/zero"})
@example("holder", {"lock": True})
def test_any_call(told, name, words):
    """A call answers, or what it stumbled over is told."""
    told.clear()
    main.answer({"op": name, "words": words}, None)
    assert whole(told)[-1]["t"] in ("end", "failed")


@tried()
@given(VALUES | st.fixed_dictionaries({"op": TEXT | st.sampled_from(["look", "apply"])}, optional={"words": VALUES}))
def test_any_request(told, request_):
    """What is no request is told as such."""
    assume(not isinstance(request_, dict) or request_.get("op") not in KNOWN)  # done for real it would change this host
    told.clear()
    main.answer(request_, None)
    assert whole(told)[-1]["t"] == "failed"


@tried(3, 100)
@given(
    st.sampled_from([b"x\n{}", b"2\n{}", b"-1\n", b"5\n[[[[[", b"", b"\n", b'12\n{"op": "nil"}'])
    | st.binary(max_size=30)
)
def test_any_bytes_to_the_program(sent):
    """The program itself, by its real start: it ends, and at once, whatever follows its own text."""
    argv = [sys.executable, "-I", "-c", sending.LOADER]
    done = subprocess.run(argv, input=sending.program() + sent, capture_output=True, timeout=60)
    for line in done.stdout.splitlines():
        answers.parse(line)
    assert b"Traceback" not in done.stderr
