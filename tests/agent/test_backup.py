"""Backups made with a real PostgreSQL: what is in them, what is refused, and what is left when one is cut."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from agent_services import POSTGRES, free_port
from backup_rig import KEY, OTHER_KEY, PASSWORD, Rig

from airfleet.agent import backup_folder, run

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")


@pytest.fixture
def rig(agent, server, account, tmp_path):
    return Rig(agent, server, account, tmp_path)


def test_a_backup_is_a_file_and_its_manifest_for_root_alone(rig):
    """The folder 0700, the files 0600; size and checksum, versions, revisions and rows are as they are."""
    manifest = rig.create()
    dump = rig.folder / f"{manifest['name']}.dump"
    assert rig.names() == [dump.name, f"{manifest['name']}.json"]
    assert stat.S_IMODE(rig.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in rig.folder.iterdir()} == {0o600}
    content = dump.read_bytes()
    assert (manifest["size"], manifest["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert content[:5] == b"PGDMP"
    assert json.loads((rig.folder / f"{manifest['name']}.json").read_text()) == manifest
    assert manifest["tables"] == {
        "Odd; name": 1,
        "alembic_version": 1,
        "alembic_version_fab": 1,
        "dag": 50,
        "dag_run": 2000,
    }
    assert manifest["revisions"] == {"alembic_version": "abc123", "alembic_version_fab": "fab456"}
    assert (manifest["airflow"], manifest["release"], manifest["who"]) == ("2.11.2", "c0ffee", "ann@desk")
    assert manifest["postgres"].split(".")[0] == manifest["pg_dump"].split(".")[0]


def test_the_operator_gets_the_same_in_parts(rig):
    """Without a folder the data comes in parts, and nothing is left on the host."""
    answers = rig.agent("backup_create", words={**rig.words, "name": "n", "folder": None})
    data = b"".join(base64.b64decode(a["words"]["data"]) for a in answers if a["t"] == "part" and "data" in a["words"])
    manifest = next(a for a in answers if a["t"] == "answer")["words"]["manifest"]
    assert (manifest["size"], manifest["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert rig.names() == []


def test_rows_are_counted_in_the_snapshot_that_is_dumped(rig):
    """Airflow goes on writing while it is dumped: the counts are those of the dump all the same."""
    rig.own(
        "insert into dag_run (dag_id, said) select 'dag1', repeat(md5(n::text), 30) from generate_series(1, 20000) n"
    )
    child = rig.agent.start("backup_create", words={**rig.words, "name": "production-20261126T100000Z"})
    writing = 0
    while child.poll() is None and writing < 60:
        rig.own("insert into dag_run (dag_id, said) values ('dag2', 'meanwhile')")
        writing += 1
        if any(path.suffix == ".json" for path in rig.folder.glob("*")):
            break
    lines = [json.loads(line) for line in child.stdout]
    child.stdin.close()
    child.wait()
    manifest = next(a for a in lines if a["t"] == "answer")["words"]["manifest"]
    assert manifest["tables"]["dag_run"] >= 22000
    assert manifest["tables"]["dag_run"] < int(rig.own("select count(*) from dag_run"))
    assert rig.call("backup_verify", manifest)["words"]["ok"] is True


def test_the_key_is_known_by_a_mark_that_tells_nothing_of_it(rig):
    """Another salt each time: neither the key nor the same mark twice; a mark costs as much to guess as to make."""
    first, second = rig.create()["fernet"], rig.create("production-20261126T100001Z")["fernet"]
    assert first["keys"] != second["keys"]
    assert KEY not in json.dumps([first, second])
    assert hashlib.sha256(KEY.encode()).hexdigest() not in json.dumps(first)
    rig.keys(f"{OTHER_KEY},{KEY}")
    assert len(rig.create("production-20261126T100002Z")["fernet"]["keys"]) == 2


def test_no_password_stands_in_a_command_line_or_an_environment_or_on_a_disk(rig):
    """While pg_dump and psql run, and after them."""
    rig.own(
        "insert into dag_run (dag_id, said) select 'dag1', repeat(md5(n::text), 30) from generate_series(1, 20000) n"
    )
    child = rig.agent.start("backup_create", words={**rig.words, "name": "production-20261126T100000Z"})
    secret, seen = PASSWORD.encode(), set()
    while child.poll() is None and not _answered(child):
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (process / "cmdline").read_bytes()
                assert secret not in line
                environment = (process / "environ").read_bytes()
                if f"PGPORT={rig.port}\0".encode() in environment:
                    seen.add(line.split(b"\0")[0].rpartition(b"/")[2])
                    assert secret not in environment
    child.stdin.close()
    child.wait()
    assert seen >= {b"pg_dump", b"psql"}
    assert not [path for path in rig.folder.rglob("*") if secret in path.read_bytes()]


def _answered(child):
    os.set_blocking(child.stdout.fileno(), False)
    return b'"end"' in (child.stdout.read() or b"")


def cut(rig, how):
    """Begin a backup of some size, cut it in the middle, and return what is left in the folder."""
    rig.own(
        "insert into dag_run (dag_id, said) select 'dag1', repeat(md5(n::text), 99) from generate_series(1, 15000) n"
    )
    child = rig.agent.start("backup_create", words={**rig.words, "name": "production-20261126T100000Z"})
    deadline = time.monotonic() + 30
    while not [path for path in rig.folder.glob(".*") if path.stat().st_size > 100_000]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    how(child)
    lines = [json.loads(line) for line in child.stdout]
    child.stdin.close()
    child.wait(timeout=45)
    return lines


def test_a_killed_pg_dump_leaves_no_half_file(rig):
    """It is told how it ended; an older backup stays as it was."""
    rig.create("production-20261125T100000Z")
    before = rig.names()

    def kill(_):
        done = subprocess.run(["pgrep", "-f", "pg_dump.*--snapshot"], capture_output=True, text=True)
        for pid in done.stdout.split():
            if str(rig.port).encode() in Path(f"/proc/{pid}/environ").read_bytes():
                os.kill(int(pid), signal.SIGKILL)

    lines = cut(rig, kill)
    assert lines[-1]["t"] == "failed"
    assert "pg_dump was ended by signal 9" in lines[-1]["error"]
    assert rig.names() == before


def test_a_lost_operator_leaves_no_half_file_and_no_transaction(rig):
    """The host clears up by itself; PostgreSQL holds no snapshot any more."""
    cut(rig, lambda child: child.stdin.close())
    assert rig.names() == []
    open_ones = "select count(*) from pg_stat_activity where application_name = 'airfleet'"
    deadline = time.monotonic() + 20
    while rig.sql(open_ones).strip() != "0":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_a_killed_agent_left_goes_with_the_next_backup(rig):
    """`kill -9` of the agent itself leaves a file that no list shows."""
    cut(rig, lambda child: child.kill())
    assert [name[0] for name in rig.names()] == ["."]
    assert rig.ask("backup_list")["words"] == {"backups": [], "strays": []}
    manifest = rig.create()
    assert rig.names() == [f"{manifest['name']}.dump", f"{manifest['name']}.json"]


def test_a_disk_without_room_is_refused_before_and_while(rig):
    """Before: by what the tables hold. While: by what is free; nothing is left of it."""
    free = backup_folder.free_bytes(str(rig.config.parent))
    refused = rig.create(reserve=free)
    assert (refused["class"], "MiB free" in refused["error"], rig.names()) == ("room", True, [])
    part = backup_folder.Part(str(rig.folder / "part"), reserve=free * 2)
    with pytest.raises(run.Refused) as e:
        part.write(b"more")
    part.remove()
    assert (e.value.kind, "is filling up" in e.value.what, rig.names()) == ("room", True, [])


@pytest.mark.parametrize(
    ("breaks", "kind", "says"),
    [
        (
            "alter table dag_run owner to postgres; revoke all on dag_run from airflow",
            "refused",
            "may not read dag_run",
        ),
        ("drop table alembic_version", "missing", "no Airflow in the schema public"),
        ("revoke all on schema public from public; alter database airflow owner to postgres", "database", "no schema"),
    ],
)
def test_what_can_not_be_backed_up_is_said(rig, breaks, kind, says):
    """A table that Airflow's role can't read, a schema without Airflow, no schema at all."""
    rig.sql(*breaks.split("; "), database="airflow")
    refused = rig.create()
    assert (refused["t"], refused["class"], says in refused["error"]) == ("failed", kind, True), refused
    assert rig.names() == []


def test_a_database_that_is_not_there_is_said_with_the_databases_own_words(rig):
    """Nothing listens; the password is wrong."""
    refused = rig.create(dsn={**rig.words["dsn"], "port": free_port()})
    assert (refused["class"], "Connection refused" in refused["tail"]) == ("database", True), refused
    refused = rig.create(dsn={**rig.words["dsn"], "password": "wrong"})
    assert "password authentication failed" in refused["tail"], refused
    assert "wrong" not in json.dumps(refused)


def test_a_client_older_than_the_server_is_refused_with_what_to_install(rig, tmp_path):
    """By its major version; the nearest of those that can is taken, so that an older pg_restore may read it."""
    major = POSTGRES.parent.name
    old = tmp_path / "clients" / "9" / "bin"
    old.mkdir(parents=True)
    for name in ("pg_dump", "pg_restore", "psql"):
        (old / name).symlink_to(POSTGRES / name)
    refused = rig.create(programs=f"{tmp_path}/clients/*/bin")
    assert refused["class"] == "refused"
    assert f"the server is PostgreSQL {major}, and the newest client on this host is 9" in refused["error"]
    assert f"postgresql-client-{major}" in refused["remedy"]
    for newer in (int(major), 99):
        (tmp_path / "clients" / str(newer)).mkdir()
        (tmp_path / "clients" / str(newer) / "bin").symlink_to(POSTGRES if newer != 99 else old)
    assert rig.create(programs=f"{tmp_path}/clients/*/bin")["pg_dump"].startswith(major)


def test_without_a_client_bootstrap_is_named(rig, tmp_path):
    """It installs one."""
    refused = rig.create(programs=f"{tmp_path}/none/*/bin")
    assert (refused["class"], "fab bootstrap" in refused["remedy"]) == ("missing", True)


def test_a_folder_that_others_can_write_in_is_refused(rig):
    """So is one whose parent is not there: perhaps it was to be mounted."""
    rig.folder.mkdir()
    rig.folder.chmod(0o777)
    refused = rig.create()
    assert "nobody else can write in" in refused["error"]
    assert "nobody else can write in" in rig.ask("backup_remove", names=[])["error"]
    rig.folder.chmod(0o700)
    refused = rig.create(folder=f"{rig.folder}/link/x")
    assert "is not there" in refused["error"]
    (rig.folder / "link").symlink_to("/tmp")
    assert "must be a directory" in rig.create(folder=f"{rig.folder}/link/x")["error"]
    assert "mount" in rig.create(folder="/nowhere/at/all")["remedy"]


def test_backups_are_listed_noted_and_removed(rig):
    """One whose file is gone or shorter is told; a file without a manifest is none; a note is for that very backup."""
    first, second = rig.create("production-20261125T100000Z"), rig.create("production-20261126T100000Z")
    (rig.folder / "by hand.dump").touch()
    with (rig.folder / f"{first['name']}.dump").open("r+b") as f:
        f.truncate(100)
    listed = rig.ask("backup_list")["words"]
    assert [each["lost"] for each in listed["backups"]] == [f"the file has 100 bytes, not {first['size']}", ""]
    assert listed["strays"] == ["by hand.dump"]
    note = {"name": second["name"], "verified": {"ok": True}, "sha256": second["sha256"]}
    assert rig.ask("backup_note", **note)["t"] == "answer"
    assert rig.ask("backup_note", **{**note, "sha256": "other"})["class"] == "changed"
    assert rig.ask("backup_list")["words"]["backups"][1]["verified"] == {"ok": True}
    rig.ask("backup_remove", names=[first["name"]])
    assert rig.names() == ["by hand.dump", f"{second['name']}.dump", f"{second['name']}.json"]
    assert rig.ask("backup_remove", names=["../x"])["t"] == "failed"


@pytest.mark.parametrize("size", [0, 1, 99_999, 5_000_001])
def test_what_the_operator_sends_arrives_as_it_was(rig, size):
    """However it is cut, and whatever says in between that the operator is there."""
    data = os.urandom(size)
    answer = rig.receive(data, ping=b"\n\n")
    assert answer["words"]["sha256"] == hashlib.sha256(data).hexdigest()
    path = Path(answer["words"]["path"])
    assert (path.read_bytes() == data, stat.S_IMODE(path.stat().st_mode)) == (True, 0o600)
    rig.ask("backup_clear")
    assert rig.names() == []


def test_an_operator_lost_while_sending_leaves_nothing(rig):
    """The part that came is removed by the host itself."""
    child = rig.agent.start("backup_receive", words={**rig.words, "name": "production-20261126T100000Z", "size": 9})
    assert json.loads(child.stdout.readline())["t"] == "ready"
    child.stdin.write(base64.b64encode(b"half") + b".")
    child.stdin.close()
    assert child.wait(timeout=45) == 70
    assert rig.names() == []
