"""The history's copy in a bucket, by the agent's own program and a real fake-gcs-server."""

from __future__ import annotations

import json
import sys

import pytest
from bucket_rig import BUCKET, FOLDER, storage

from airfleet.agent import audit, history, run

PLACE = f"gs://{BUCKET}/{FOLDER}/audit/test/af1"
HERE = f"{FOLDER}/audit/test/af1/"
OPS = {
    "audit_copy": audit.audit_copy,
    "audit_compare": audit.audit_compare,
    "verify_history": history.verify_history,
}


@pytest.fixture(scope="module")
def gcs():
    with storage() as found:
        yield found


class Host:
    """A host with a history, and what it can be asked."""

    def __init__(self, words, path):
        self.words, self.path = words, path

    def record(self, *numbers):
        for number in numbers:
            began = f"2026-11-26T10:00:{number:02}"
            entry = {"id": f"e{number}", "doing": "deploy", "who": "ann@desk", "began": began}
            history.record({"entry": entry, "path": str(self.path)}, None)

    def ask(self, op):
        try:
            return OPS[op]({"bucket": self.words, "path": str(self.path)}, None)
        except run.Refused as e:
            return e.words()

    def edit(self, change):
        lines = self.path.read_text().splitlines()
        change(lines)
        self.path.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def host(gcs, account, tmp_path):
    way, bucket = gcs
    way.forget()
    way.listen()
    bucket.empty()
    environment = tmp_path / "environment"
    environment.write_text(f"STORAGE_EMULATOR_HOST={way.url}\n")
    words = {"place": PLACE, "bucket": BUCKET, "prefix": HERE.rstrip("/"), "venv": sys.prefix, "account": account}
    more = {"environment": str(environment), "patience_s": 1}
    return Host({**words, **more}, tmp_path / "log" / "history.jsonl")


def test_what_is_new_is_copied_once_and_byte_for_byte(host, gcs, agent):
    """An object for each copy, named by the numbers of its lines and a digest; made only where there is none."""
    way, bucket = gcs
    host.record(1, 2)
    assert [{"copied": 2}, {"copied": 0}] == [host.ask("audit_copy") for _ in range(2)]
    host.record(3)
    assert {"copied": 1} == host.ask("audit_copy")
    first, second = bucket.names()
    assert (first[: len(HERE) + 18], second[: len(HERE) + 18]) == (
        f"{HERE}00000001-00000002-",
        f"{HERE}00000003-00000003-",
    )
    parts = [bucket.content(name.removeprefix(f"{FOLDER}/").replace("/", "%2F")) for name in (first, second)]
    assert host.path.read_bytes() == b"".join(parts)
    assert all("ifGenerationMatch=0" in line for line in way.asked("^POST"))
    answer = agent.call("audit_compare", bucket=host.words, path=str(host.path))
    assert {"there": 3, "lost": [], "more": 0} == answer["words"]


def test_a_lost_mark_writes_nothing_over(host, gcs):
    """All is copied once more, beside; the same object made twice is no trouble."""
    host.record(1, 2)
    host.ask("audit_copy")
    host.path.with_name("history.jsonl.copied").unlink()
    assert {"copied": 2} == host.ask("audit_copy")
    assert 1 == len(gcs[1].names())
    host.path.with_name("history.jsonl.copied").write_text("half a ma")
    host.record(3)
    assert {"copied": 3} == host.ask("audit_copy")
    assert 2 == len(gcs[1].names())


@pytest.mark.parametrize("keeps_chain", [False, True])
def test_a_removed_and_a_changed_line_are_named(host, keeps_chain):
    """Also where somebody has made the whole chain anew, head and all: the bucket has the old one."""
    host.record(1, 2, 3)
    host.ask("audit_copy")
    if keeps_chain:
        for file in host.path.parent.iterdir():
            if not file.name.endswith(".copied"):
                file.unlink()
        host.record(1, 9, 3)
        assert [] == host.ask("verify_history")["faults"]
        gone = [2, 3]
    else:
        host.edit(lambda lines: lines.__setitem__(1, lines[1].replace("deploy", "nothing")))
        gone = [2]
    answer = host.ask("audit_compare")
    assert gone == [each["line"] for each in answer["lost"]]
    assert "is not there any more (deploy by ann@desk, 2026-11-26T10:00:02): " + PLACE in answer["lost"][0]["what"]
    assert 3 - len(gone) == answer["there"]


def test_what_comes_after_a_loss_is_copied(host):
    """The mark is beyond the end then: everything goes beside what is there, and the loss stays visible."""
    host.record(1, 2, 3)
    host.ask("audit_copy")
    host.edit(lambda lines: lines.__delitem__(slice(1, 3)))
    host.record(4)
    assert {"copied": 2} == host.ask("audit_copy")
    assert [2, 3] == [each["line"] for each in host.ask("audit_compare")["lost"]]


def test_many_lost_lines_are_counted(host):
    """Twenty are named."""
    host.path.parent.mkdir()
    host.path.write_text("".join(json.dumps({"id": n}) + "\n" for n in range(30)))
    host.ask("audit_copy")
    host.path.unlink()
    answer = host.ask("audit_compare")
    assert (20, 10) == (len(answer["lost"]), answer["more"])


def test_what_is_refused_is_told_and_copied_later(host, gcs):
    """The role, the bucket, the way to it; an object that is something else is not written over."""
    way, bucket = gcs
    host.record(1)
    way.answers = {"^POST": (403, '{"error": {"message": "no storage.objects.create access"}}')}
    answer = host.ask("audit_copy")
    assert "permission denied" in answer["error"]
    assert "roles/storage.objectUser" in answer["remedy"]
    way.forget()
    assert {"copied": 1} == host.ask("audit_copy")
    (name,) = bucket.names()
    bucket.put(name.removeprefix(f"{FOLDER}/").replace("/", "%2F"), b"another")
    host.path.with_name("history.jsonl.copied").unlink()
    assert "was not written over" in host.ask("audit_copy")["error"]
    way.end()
    host.record(2)
    assert "can't be reached from this host" in host.ask("audit_copy")["error"]


def test_without_an_environment_there_is_nobody_to_copy(host):
    """A first bootstrap that fails early: no error on top of it; the next entry takes this one along."""
    host.record(1)
    host.words["venv"] = "/nowhere"
    assert {"copied": 0} == host.ask("audit_copy")
