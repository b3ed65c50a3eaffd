"""Backups in a bucket, with a real PostgreSQL and a real fake-gcs-server: made, cut, refused, listed, put back."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agent_services import POSTGRES
from backup_rig import Rig
from bucket_rig import BUCKET, FOLDER, PATIENCE_S, PLACE, storage

from airfleet.agent import backup_bucket, run

NAME = "production-20261126T100000Z"
MANIFEST = {"name": NAME, "format": 1}
MIB = 1024 * 1024
SESSION = r"^POST .*uploadType=resumable"
needs_postgres = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")


@pytest.fixture(scope="module")
def gcs():
    with storage() as found:
        yield found


@pytest.fixture
def way(gcs):
    gcs[0].forget()
    gcs[0].listen()
    return gcs[0]


@pytest.fixture
def bucket(gcs, way):
    """The server's own view of the bucket, empty."""
    gcs[1].empty()
    return gcs[1]


@pytest.fixture
def words(way, account, tmp_path):
    """The words for the place in the bucket; the program runs in the environment of these tests."""
    environment = tmp_path / "environment"
    environment.write_text(f"STORAGE_EMULATOR_HOST={way.url}\n")
    return {
        "place": PLACE,
        "bucket": BUCKET,
        "prefix": FOLDER,
        "venv": sys.prefix,
        "account": account,
        "environment": str(environment),
        "patience_s": PATIENCE_S,
    }


@pytest.fixture
def rig(agent, server, account, tmp_path, words):
    made = Rig(agent, server, account, tmp_path)
    made.words["bucket"] = words
    return made


def of_some_size(rig):
    """Have some 12 MiB of dump: what is not to be compressed well."""
    row = "(select string_agg(md5(n::text || m), '') from generate_series(1, 1000) m)"
    rig.own(f"insert into dag_run (dag_id, said) select 'dag1', {row} from generate_series(1, 600) n")


def upload(words, size, cut=None):
    """Send so many bytes as pg_dump would, and return (what they were, the refusal or None)."""
    digest = hashlib.sha256()
    sending = backup_bucket.Upload(words, NAME)
    try:
        for _ in range(size // (256 * 1024)):
            data = os.urandom(256 * 1024)
            digest.update(data)
            sending.write(data)
        sending.keep(MANIFEST)
    except run.Refused as e:
        return digest.hexdigest(), e
    finally:
        sending.remove()
    return digest.hexdigest(), None


@needs_postgres
def test_a_backup_is_an_object_and_its_manifest(rig, bucket, way):
    """What pg_dump wrote, by its checksum; nothing of it on the host; each object is made where there was none."""
    manifest = rig.create()
    assert bucket.names() == [f"{FOLDER}/{NAME}.dump", f"{FOLDER}/{NAME}.json"]
    content = bucket.content(f"{NAME}.dump")
    assert (manifest["size"], manifest["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert content[:5] == b"PGDMP"
    assert json.loads(bucket.content(f"{NAME}.json")) == manifest
    assert manifest["tables"]["dag_run"] == 2000
    assert rig.names() == []
    made = way.asked(r"^POST .*/o\b")
    assert [("ifGenerationMatch=0" in line, "resumable" in line) for line in made] == [(True, True), (True, False)]
    assert way.asked("^DELETE") == []


@needs_postgres
def test_it_is_listed_fetched_tried_noted_put_back_and_removed(rig, bucket):
    """All that can be done with one in a folder; the file that it passes through is gone afterwards."""
    before = rig.printed()
    manifest = rig.create()
    listed = rig.ask("bucket_list")["words"]
    assert listed == {"backups": [{**manifest, "lost": ""}], "strays": []}
    path = rig.ask("bucket_fetch", name=NAME, size=manifest["size"])["words"]["path"]
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert rig.ask("backup_verify", path=path, manifest=manifest)["words"]["ok"] is True
    rig.own("delete from dag_run; insert into dag values ('new')")
    assert rig.ask("backup_restore", path=path, manifest=manifest)["t"] == "answer"
    assert rig.printed() == before
    note = {"name": NAME, "verified": {"ok": True}, "sha256": manifest["sha256"]}
    assert rig.ask("bucket_note", **note)["t"] == "answer"
    assert rig.ask("bucket_note", **{**note, "sha256": "other"})["class"] == "changed"
    assert rig.ask("bucket_list")["words"]["backups"][0]["verified"] == {"ok": True}
    rig.ask("backup_clear")
    assert rig.ask("bucket_remove", names=[NAME, NAME])["t"] == "answer"
    assert (rig.names(), bucket.names()) == ([], [])
    assert rig.ask("bucket_remove", names=["../x"])["t"] == "failed"


@needs_postgres
def test_what_is_not_as_it_was_is_told(rig, bucket):
    """A shorter dump, one that is missing, one without a manifest; one of the same length by its checksum."""
    manifest = rig.create()
    content = bucket.content(f"{NAME}.dump")
    bucket.put(f"{NAME}.dump", bytes([content[0] ^ 1]) + content[1:])
    path = rig.ask("bucket_fetch", name=NAME, size=manifest["size"])["words"]["path"]
    said = rig.ask("backup_verify", path=path, manifest=manifest)["words"]
    assert (said["ok"], "checksum" in said["problem"]) == (False, True)
    bucket.put(f"{NAME}.dump", content[:100])
    bucket.put("production-20261127T100000Z.dump", b"half")
    listed = rig.ask("bucket_list")["words"]
    assert [each["lost"] for each in listed["backups"]] == [f"the file has 100 bytes, not {len(content)}"]
    assert listed["strays"] == ["production-20261127T100000Z.dump"]
    rig.ask("bucket_remove", names=["production-20261127T100000Z"])
    assert rig.ask("bucket_list")["words"]["strays"] == []
    refused = rig.ask("bucket_fetch", name="production-20261127T100000Z", size=4)
    assert (refused["class"], "is not there" in refused["error"], rig.names()) == ("damaged", True, [])


@needs_postgres
def test_a_killed_pg_dump_cancels_the_upload(rig, bucket, way):
    """No object and no manifest: the session is told to end."""
    of_some_size(rig)
    child = rig.agent.start("backup_create", words={**rig.words, "name": NAME})
    wait(lambda: way.asked("^PUT"))
    done = subprocess.run(["pgrep", "-f", "pg_dump.*--snapshot"], capture_output=True, text=True)
    for pid in done.stdout.split():
        if str(rig.port).encode() in Path(f"/proc/{pid}/environ").read_bytes():
            os.kill(int(pid), signal.SIGKILL)
    lines = [json.loads(line) for line in child.stdout]
    child.stdin.close()
    child.wait(timeout=45)
    assert (lines[-1]["t"], "pg_dump was ended by signal 9" in lines[-1]["error"]) == ("failed", True)
    assert (bucket.names(), len(way.asked("^DELETE .*upload"))) == ([], 1)


@needs_postgres
@pytest.mark.parametrize("how", ["lost", "killed"])
def test_a_lost_operator_and_a_killed_agent_cancel_the_upload(rig, bucket, way, how):
    """The program that uploads ends by itself: nobody has told it that this is all."""
    of_some_size(rig)
    child = rig.agent.start("backup_create", words={**rig.words, "name": NAME})
    wait(lambda: way.asked("^PUT"))
    child.stdin.close() if how == "lost" else child.kill()
    child.wait(timeout=45)
    wait(lambda: way.asked("^DELETE .*upload"))
    assert bucket.names() == []


def wait(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_connection_that_is_cut_once_is_taken_up_again(words, bucket, way):
    """In the middle of a part: the object is what was sent all the same."""
    way.most, way.cuts = 12 * MIB, 1
    sha256, refused = upload(words, 40 * MIB)
    assert (refused, way.cuts) == (None, 0)
    assert hashlib.sha256(bucket.content(f"{NAME}.dump")).hexdigest() == sha256


def test_a_connection_that_dies_leaves_neither_object_nor_manifest(words, bucket, way):
    """It is said after the time for which it is tried again; an upload without its end is no object."""
    way.most, way.cuts, way.dies = 20 * MIB, 1, True
    _, refused = upload(words, 40 * MIB)
    assert (refused.kind, "can't be reached" in refused.what) == ("away", True)
    assert bucket.names() == []


def test_an_upload_whose_last_answer_is_lost_takes_its_object_back(words, bucket, way):
    """The service has the object, and whoever sent it does not know: it is known by what is in it."""
    way.after = {"^PUT": (400, "{}")}
    assert upload(words, MIB)[1] is not None
    assert bucket.names() == []
    assert [line for line in way.asked("^DELETE") if "ifGenerationMatch=" in line and "%2F" in line]


def test_an_object_that_is_there_already_is_not_written_over(words, bucket, way):
    """As the service answers a condition that does not hold; the fake server does not look at that of a session."""
    way.answers = {SESSION: (412, "{}")}
    _, refused = upload(words, MIB)
    assert (refused.kind, "nothing was overwritten" in refused.what) == ("changed", True)
    assert (bucket.names(), way.asked("^DELETE .*/o/")) == ([], [])


def test_a_manifest_that_can_not_be_written_takes_its_dump_with_it(words, bucket, way):
    """Nothing is there of it: neither is half a backup."""
    way.answers = {r"^POST .*uploadType=multipart": (403, '{"error": {"message": "no storage.objects.create"}}')}
    _, refused = upload(words, MIB)
    assert (refused.kind, "storage.objects.create" in refused.tail) == ("refused", True)
    assert bucket.names() == []


def test_an_object_that_is_not_what_was_sent_is_no_backup(words, bucket, way):
    """Its checksum is asked for when it is whole; another one takes it away again."""
    told = {"name": f"{FOLDER}/{NAME}.dump", "bucket": BUCKET, "size": str(MIB), "crc32c": "AAAAAA==", "md5Hash": "x"}
    way.answers = {rf"^GET .*/o/{FOLDER}%2F{NAME}.dump": (200, json.dumps({**told, "generation": "7"}))}
    _, refused = upload(words, MIB)
    assert "is not what was sent: its crc32c is AAAAAA==, not" in refused.what
    assert (bucket.names(), "ifGenerationMatch=7" in way.asked("^DELETE")[0]) == ([], True)


DENIED = '{"error": {"message": "sa@x does not have storage.objects.list access to the Google Cloud Storage bucket."}}'


@pytest.mark.parametrize(
    ("status", "text", "kind", "says"),
    [
        (403, DENIED, "refused", "permission denied"),
        (401, "{}", "refused", "credentials of this host are not accepted"),
        (404, "{}", "refused", "the bucket is not there"),
        (503, "{}", "away", "can't be reached"),
    ],
)
def test_what_the_service_refuses_is_said(agent, words, way, status, text, kind, says):
    """Each with what to do about it, and with the service's own words."""
    way.answers = {"^GET": (status, text)}
    refused = agent.call("bucket_list", bucket=words)
    assert (refused["class"], says in refused["error"], bool(refused["remedy"])) == (kind, True, True), refused
    assert PLACE in refused["error"]
    if status == 403:
        assert "sa@x does not have storage.objects.list" in refused["tail"]
        assert "roles/storage.objectUser" in refused["remedy"]


def test_a_bucket_that_is_not_there_is_said_by_the_real_server(agent, words):
    """Not taken for an empty one."""
    refused = agent.call("bucket_list", bucket={**words, "bucket": "nowhere"})
    assert (refused["class"], "the bucket is not there" in refused["error"]) == ("refused", True), refused


def test_a_server_that_can_not_be_reached_is_said(agent, words, way):
    """Nothing listens."""
    way.end()
    refused = agent.call("bucket_list", bucket=words)
    assert (refused["class"], "can't be reached" in refused["error"]) == ("away", True), refused


def test_a_host_without_credentials_is_told_what_it_needs(agent, words, tmp_path):
    """No emulator, no file, no metadata server."""
    Path(words["environment"]).write_text(f"NO_GCE_CHECK=true\nHOME={tmp_path}\n")
    refused = agent.call("bucket_list", bucket=words)
    assert (refused["class"], "no credentials" in refused["error"]) == ("refused", True), refused
    assert "service account" in refused["remedy"]


def test_an_environment_without_the_library_names_the_extra(agent, words, tmp_path):
    """So that it can be installed by what installs everything there."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    refused = agent.call("bucket_list", bucket={**words, "venv": str(tmp_path / "venv")})
    assert (refused["class"], "no google-cloud-storage" in refused["error"]) == ("missing", True), refused
    assert "airflow.extras" in refused["remedy"]
    assert "`google`" in refused["remedy"]


def test_memory_does_not_grow_with_what_is_streamed(words, bucket):
    """Four times as much takes as little: what the program itself says of its peak."""
    peaks = []
    for size in (24 * MIB, 96 * MIB):
        bucket.empty()
        sending = backup_bucket.Upload(words, NAME)
        data = os.urandom(256 * 1024)
        for _ in range(size // len(data)):
            sending.write(data)
        peaks.append(sending.keep(MANIFEST)["peak_mib"])
    assert peaks[1] - peaks[0] < 16, peaks
    assert max(peaks) < 160, peaks
