"""The backup that a host makes by itself: the installed program as its service starts it, with a real PostgreSQL."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest
from agent_services import POSTGRES, free_port
from backup_rig import KEY, PASSWORD, Rig
from bucket_rig import BUCKET, FOLDER, PATIENCE_S, PLACE, storage

from airfleet import bundle, schedule
from airfleet.agent import scheduled

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")


class Nightly:
    """The files that bootstrap puts on a host, in a folder of the test's own."""

    def __init__(self, rig, folder):
        self.rig, self.folder = rig, folder
        self.sources, self.program, self.file = (folder / name for name in ("sources", "program.py", "words.json"))
        self.sources.write_text(bundle.sources_of(schedule.PARTS))
        self.program.write_text(bundle.LAUNCHER)
        self.record = folder / "var" / "backup.json"
        url = f"postgresql+psycopg2://airflow:{urllib.parse.quote(PASSWORD, safe='')}@127.0.0.1:{rig.port}/airflow"
        config = f"[core]\nfernet_key = {KEY}\n[database]\nsql_alchemy_conn = {url.replace('%', '%%')}\n"
        rig.config.write_text(config)
        keys = ("account", "venv", "config", "fernet", "current", "folder", "environment", "reserve")
        dsn = {key: value for key, value in rig.words["dsn"].items() if key != "password"}
        self.words = {
            **{key: rig.words[key] for key in keys},
            "dsn": dsn,
            "database_url": ["database", "sql_alchemy_conn"],
            "bucket": None,
            "keep": 2,
            "keep_days": None,
            "record": str(self.record),
            "lock": str(folder / "lock"),
            "lock_wait_s": 1,
        }

    def start(self, **more):
        self.file.write_text(json.dumps({**self.words, **more}))
        argv = [sys.executable, "-I", "-S", self.program, self.sources, self.file]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, **more):
        """Make a backup; return (exit status, what was remembered, what was printed)."""
        child = self.start(**more)
        out, errors = child.communicate(timeout=120)
        return child.returncode, json.loads(self.record.read_text()), out + errors


@pytest.fixture
def nightly(agent, server, account, tmp_path):
    return Nightly(Rig(agent, server, account, tmp_path), tmp_path)


def test_it_makes_one_that_can_be_put_back_and_keeps_so_many(nightly):
    """By the password of airflow.cfg; the oldest goes once the new one is there, and another environment's stays."""
    for day in (1, 2):
        nightly.rig.create(f"production-2026110{day}T000000Z", at=f"2026-11-0{day}T00:00:00Z")
    nightly.rig.create("staging-20261101T000000Z", environment="staging", at="2026-11-01T00:00:00Z")
    status, record, printed = nightly.run()
    assert (status, record["ok"], record["problem"]) == (0, True, ""), printed
    assert record["removed"] == ["production-20261101T000000Z"]
    listed = {each["name"]: each for each in nightly.rig.ask("backup_list")["words"]["backups"]}
    assert set(listed) == {record["name"], "production-20261102T000000Z", "staging-20261101T000000Z"}
    made = listed[record["name"]]
    assert made["who"].startswith("the timer of ")
    made.pop("lost")
    assert nightly.rig.call("backup_verify", made)["words"]["ok"] is True
    assert PASSWORD not in printed + nightly.file.read_text() + nightly.record.read_text()
    assert (record["name"] in printed, nightly.record.stat().st_mode & 0o777) == (True, 0o640)


def test_into_a_bucket_by_the_same_program(nightly, account, tmp_path):
    """What is kept is counted there."""
    environment = tmp_path / "environment"
    bucket = {"place": PLACE, "bucket": BUCKET, "prefix": FOLDER, "venv": sys.prefix, "account": account}
    bucket |= {"environment": str(environment), "patience_s": PATIENCE_S}
    with storage() as (way, there):
        environment.write_text(f"STORAGE_EMULATOR_HOST={way.url}\n")
        names = []
        for keep in (1, 1):
            status, record, printed = nightly.run(bucket=bucket, keep=keep)
            assert status == 0, printed
            names.append(record["name"])
            time.sleep(1.1 - time.time() % 1 if len(names) == 1 else 0)  # a name of its own for each second
        assert record["removed"] == names[:1]
        assert there.names() == [f"{FOLDER}/{names[1]}.dump", f"{FOLDER}/{names[1]}.json"]
        way.answers = {"^GET": (403, '{"error": {"message": "no storage.objects.list"}}')}
        status, record, printed = nightly.run(bucket=bucket)
    assert (status, record["ok"], "permission denied" in record["problem"]) == (1, False, True)
    assert "no storage.objects.list" in printed
    assert nightly.rig.names() == []


def test_a_failure_is_remembered_and_removes_nothing(nightly):
    """The database is away; the exit status is what systemd tells."""
    nightly.rig.create("production-20261101T000000Z", at="2026-11-01T00:00:00Z")
    before = nightly.rig.names()
    status, record, printed = nightly.run(dsn={**nightly.words["dsn"], "port": free_port()}, keep=1)
    assert (status, record["ok"], record["name"], record["removed"]) == (1, False, "", [])
    assert "Connection refused" in printed
    assert nightly.rig.names() == before


def test_it_waits_for_who_has_the_lock_and_holds_it_itself(nightly):
    """Whoever deploys on this host is not disturbed, and is told by whom they are."""
    path = Path(nightly.words["lock"])
    with path.open("w") as f:
        f.write('{"who": "ann@desk", "doing": "upgrade"}')
        f.flush()
        fcntl.flock(f, fcntl.LOCK_EX)
        status, record, _ = nightly.run()
    assert (status, record["problem"]) == (1, "ann@desk was at work for 1 s: upgrade")
    assert nightly.rig.names() == []
    assert nightly.run()[0] == 0
    assert json.loads(path.read_text())["who"].startswith("the timer of ")


def test_one_that_is_told_to_stop_leaves_nothing_half(nightly):
    """As systemd tells it: SIGTERM to the main process alone."""
    row = "(select string_agg(md5(n::text || m), '') from generate_series(1, 1000) m)"
    nightly.rig.own(f"insert into dag_run (dag_id, said) select 'dag1', {row} from generate_series(1, 600) n")
    child = nightly.start()
    deadline = time.monotonic() + 30
    while not [path for path in nightly.rig.folder.glob(".*") if path.stat().st_size > 100_000]:
        assert (child.poll(), time.monotonic() < deadline) == (None, True)
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGTERM)
    child.communicate(timeout=45)
    assert (child.returncode, nightly.rig.names(), nightly.record.exists()) == (70, [], False)


SHOWN = """\
LoadState=loaded
ActiveState=active
Result=success
LastTriggerUSec={last}
NextElapseUSecRealtime={next}

LoadState=loaded
ActiveState=failed
Result=oom-kill
"""


def test_what_systemd_and_the_record_tell(tmp_path, monkeypatch):
    """Moments as systemd shows them; none where it shows none; nothing is asked where nothing is scheduled."""
    now = time.time()

    def at(shift):
        return time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(now + shift))

    shown = [SHOWN.format(last=at(-3600), next=at(7200)), SHOWN.format(last="", next="n/a")]
    monkeypatch.setattr(scheduled.run, "run", lambda argv, **_: shown.pop(0))
    asked = {**schedule.look_words(), "record": str(tmp_path / "backup.json")}
    seen = scheduled.look({"backup": asked})
    assert abs(seen["triggered_s"] - 3600) < 5
    assert abs(seen["next_s"] - 7200) < 5
    assert (seen["timer"], seen["service"], seen["result"], seen["last"]) == ("active", "failed", "oom-kill", None)
    (tmp_path / "backup.json").write_text(json.dumps({"began": now - 60, "ok": True}))
    seen = scheduled.look({"backup": asked})
    assert (seen["triggered_s"], seen["next_s"], seen["last"]["ok"]) == (None, None, True)
    assert 55 < seen["last"]["ago_s"] < 70
    assert scheduled.look({"backup": None}) is None
