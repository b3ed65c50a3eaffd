"""The record of a maintenance, and the pauses in a real PostgreSQL: who has the last word, killed in the middle."""

from __future__ import annotations

import json
import stat
import subprocess
import time

import pytest
from agent_services import POSTGRES

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")

SCHEMA = """
create table if not exists dag (dag_id varchar(250) primary key, is_paused boolean, is_active boolean);
create table if not exists log (id serial primary key, dttm timestamptz, dag_id varchar(250), event varchar(60),
    owner varchar(500), owner_display_name varchar(500), extra text);
truncate dag;
truncate log;
insert into dag values ('b', false, true), ('a', false, true), ('paused before', true, true), ('gone', false, false);
insert into log (event, dag_id, owner) values ('paused', 'a', 'long ago');
"""
SQL = """\
import json, os, sys, psycopg2
connection = psycopg2.connect(os.environ["TEST_DSN"])
connection.autocommit = "--hold" not in sys.argv
cursor = connection.cursor()
cursor.execute(sys.argv[1])
print(json.dumps(cursor.fetchall() if cursor.description else None, default=str), flush=True)
if "--hold" in sys.argv:
    sys.stdin.read()
"""
ID = "1"


class Rig:
    """A database with DAGs, the folder of the record, and the agent's words for both."""

    def __init__(self, agent, words, python, env, folder):
        self.agent, self.words, self.python, self.env = agent, words, python, env
        self.record = folder / "airfleet" / "maintenance.json"
        self.words = {**words, "path": str(self.record)}

    def sql(self, text):
        argv = [self.python, "-c", SQL, text]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def hold(self, text):
        """Return a process that has done this in a transaction which lasts until its stdin is closed."""
        argv = [self.python, "-c", SQL, text, "--hold"]
        child = subprocess.Popen(argv, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout.readline()
        return child

    def paused(self):
        return {dag for (dag,) in self.sql("select dag_id from dag where is_paused")}

    def begin(self, **record):
        given = {"id": ID, "who": "ann@desk", "since": "now", "reason": "kernel", "workers": {}, **record}
        return self.agent.call("maintenance_begin", **self.words, record=given)

    def unpause(self):
        return self.agent.call("maintenance_unpause", **self.words, id=ID, who="bob@desk")["words"]

    def by_hand(self, dag, *, paused, event="paused"):
        self.sql(f"insert into log (event, dag_id, owner, dttm) values ('{event}', '{dag}', 'eve', now())")
        self.sql(f"update dag set is_paused = {paused} where dag_id = '{dag}'")


@pytest.fixture
def rig(server, agent, account, drivers, tmp_path):
    dsn = {"host": "127.0.0.1", "port": server, "name": "postgres", "user": "postgres", "password": "sup"}
    words = {
        "dsn": dsn,
        "venv": str(drivers),
        "account": account,
        "active_dag": "is_active",
        "pause_events": ["paused", "cli_dag_pause"],
    }
    env = {"TEST_DSN": f"host=127.0.0.1 port={server} dbname=postgres user=postgres password=sup"}
    made = Rig(agent, words, drivers / "bin" / "python", env, tmp_path)
    made.sql(SCHEMA)
    return made


def wait(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_exactly_what_is_paused_is_recorded_and_told_to_airflow(rig):
    """The DAGs that are active and not paused, in a file that only root can write; each has a line in the audit log."""
    answer = rig.begin(workers={"af1": {"worker1@af1": ["default"]}})["words"]
    assert answer["paused"] == ["a", "b"]
    assert rig.paused() == {"a", "b", "paused before"}
    record = json.loads(rig.record.read_text())
    assert record == answer["record"]
    assert (record["dags"], record["phase"], record["who"]) == (["a", "b"], "begun", "ann@desk")
    modes = [oct(stat.S_IMODE(path.stat().st_mode)) for path in (rig.record, rig.record.parent)]
    assert modes == ["0o640", "0o750"]
    assert [path.name for path in rig.record.parent.iterdir()] == ["maintenance.json"]
    said = rig.sql("select dag_id, event, owner, extra from log where event like 'airfleet%' order by dag_id")
    assert [line[:3] for line in said] == [[dag, "airfleet_maintenance_on", "ann@desk"] for dag in ("a", "b")]
    assert json.loads(said[0][3]) == {"is_paused": True, "maintenance": ID, "reason": "kernel"}


def test_the_way_back_is_exactly_the_way_there(rig):
    """Unpaused is what was paused, and told to Airflow; then the record goes, and there is nothing to go back to."""
    rig.begin()
    assert rig.unpause()["unpaused"] == ["a", "b"]
    assert rig.paused() == {"paused before"}
    said = rig.sql("select dag_id, owner from log where event = 'airfleet_maintenance_off' order by dag_id")
    assert said == [["a", "bob@desk"], ["b", "bob@desk"]]
    rig.agent.call("maintenance_forget", **rig.words, id=ID)
    assert not rig.record.exists()
    assert rig.agent.call("maintenance_forget", **rig.words, id=ID)["class"] == "changed"
    assert rig.agent.call("maintenance_look", **rig.words)["words"] == {
        "record": None,
        "active": ["a", "b"],
        "dags": {},
    }


def test_whoever_pauses_by_hand_meanwhile_has_the_last_word(rig):
    """Unpaused and paused again by hand, or paused by the scheduler: it stays so, and who did it is known."""
    rig.begin()
    rig.by_hand("a", paused=False)
    rig.by_hand("a", paused=True)
    seen = rig.agent.call("maintenance_look", **rig.words)["words"]["dags"]
    assert (seen["a"]["by"], seen["a"]["event"], seen["b"]["by"]) == ("eve", "paused", None)
    answer = rig.unpause()
    assert answer["unpaused"] == ["b"]
    assert rig.paused() == {"a", "paused before"}


def test_what_is_no_pause_is_no_last_word(rig):
    """Somebody who triggers a DAG, or who paused it before, has not spoken about this pause."""
    rig.begin()
    rig.by_hand("a", paused=True, event="trigger")
    assert rig.unpause()["unpaused"] == ["a", "b"]


def test_what_was_unpaused_or_deleted_meanwhile_is_left_alone(rig):
    """A deleted DAG is no error; one whose file is gone for a while comes back as it was."""
    rig.begin()
    rig.by_hand("a", paused=False)
    rig.sql("delete from dag where dag_id = 'b'")
    answer = rig.unpause()
    assert (answer["unpaused"], list(answer["dags"]), answer["dags"]["a"]["by"]) == ([], ["a"], "eve")
    rig.sql("insert into dag values ('b', true, false)")
    assert rig.unpause()["unpaused"] == ["b"]


def test_an_unpause_twice_touches_nobody(rig):
    """An `off` that was cut before the record was removed is done again: what was paused since stays so."""
    rig.begin()
    rig.unpause()
    rig.by_hand("b", paused=True)
    assert rig.unpause()["unpaused"] == []
    assert rig.paused() == {"b", "paused before"}


def test_one_that_was_begun_goes_on_and_one_that_is_on_is_refused(rig):
    """Begun: what was recorded first stays, with the queues that workers had then. On: refused with who and since."""
    rig.begin(workers={"af1": {"worker1@af1": ["default"]}})
    rig.sql("insert into dag values ('new', false, true)")
    rig.by_hand("a", paused=False)
    more = {"af1": {"worker1@af1": []}, "af2": {"worker1@af2": ["heavy"]}}
    again = rig.begin(id="2", who="bob@desk", workers=more)["words"]
    record = again["record"]
    assert again["paused"] == ["a", "new"]
    assert (record["id"], record["who"], record["dags"]) == (ID, "ann@desk", ["a", "b", "new"])
    assert record["workers"] == {"af1": {"worker1@af1": ["default"]}, "af2": {"worker1@af2": ["heavy"]}}
    rig.agent.call("maintenance_note", **rig.words, id=ID, phase="on")
    refused = rig.begin(id="3")
    assert (refused["t"], refused["class"]) == ("failed", "refused")
    assert "by ann@desk since now" in refused["error"]
    assert rig.unpause()["unpaused"] == ["a", "b", "new"]


def test_an_operator_lost_between_record_and_pause_leaves_what_restores(rig):
    """The pause that was waiting is never committed, not even later; the way back finds nothing to undo."""
    holder = rig.hold("select 1 from dag where dag_id = 'b' for update")
    given = {"id": ID, "who": "ann@desk", "since": "now", "reason": "", "workers": {}}
    child = rig.agent.start("maintenance_begin", words={**rig.words, "record": given})
    waiting = "select count(*) from pg_stat_activity where application_name = 'airfleet' and wait_event_type = 'Lock'"
    wait(lambda: rig.sql(waiting) == [[1]])
    child.stdin.close()
    assert child.wait(timeout=45) == 70
    holder.communicate()
    wait(lambda: rig.sql("select count(*) from pg_stat_activity where application_name = 'airfleet'") == [[0]])
    assert json.loads(rig.record.read_text())["dags"] == ["a", "b"]
    assert rig.paused() == {"paused before"}
    answer = rig.unpause()
    assert (answer["unpaused"], answer["dags"]["a"]["by"]) == ([], None)  # what was said before is no word on this
    assert rig.paused() == {"paused before"}


def test_a_row_that_somebody_holds_is_waited_for(rig):
    """Longer than one statement may take: it is tried again, and told."""
    holder = rig.hold("select 1 from dag where dag_id = 'b' for update")
    given = {"id": ID, "who": "ann@desk", "since": "now", "reason": "", "workers": {}}
    child = rig.agent.start("maintenance_begin", words={**rig.words, "record": given})
    told = json.loads(child.stdout.readline())
    assert "trying again" in told["text"]
    holder.communicate()
    answers = [json.loads(line) for line in child.stdout]
    assert [answer["words"]["paused"] for answer in answers if answer["t"] == "answer"] == [["a", "b"]]
    child.stdin.close()


def test_a_record_that_is_none_is_named(rig):
    """A file that somebody put there is not taken for "off"."""
    rig.begin()
    rig.record.write_text("{")
    answer = rig.agent.call("maintenance_look", **rig.words)
    assert answer["t"] == "failed"
    assert str(rig.record) in answer["error"]


def test_a_missing_right_is_the_databases_word(rig):
    """What the driver says is in the answer, and nothing was paused."""
    rig.sql("alter table log rename to log_away")
    try:
        answer = rig.begin()
    finally:
        rig.sql("alter table log_away rename to log")
    assert (answer["t"], answer["class"]) == ("failed", "database")
    assert 'relation "log" does not exist' in answer["tail"]
    assert not rig.record.exists()


def test_what_cannot_be_told_to_airflow_is_not_done(rig):
    """Pause and audit log are one transaction: without the line no DAG is paused, and the record is there to tell."""
    rig.sql("alter table log add constraint nothing_of_ours check (event not like 'airfleet%')")
    try:
        answer = rig.begin()
    finally:
        rig.sql("alter table log drop constraint nothing_of_ours")
    assert (answer["t"], answer["class"]) == ("failed", "database")
    assert rig.paused() == {"paused before"}
    assert json.loads(rig.record.read_text())["dags"] == ["a", "b"]
