"""Which try of a task is meant, asked of a real PostgreSQL; how its log is read is seen on live machines."""

from __future__ import annotations

import getpass
import json
import subprocess

import pytest
from agent_services import POSTGRES, postgres

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")

COLUMNS = (
    "dag_id text, task_id text, run_id text, map_index int default -1, try_number int, state text, hostname text,"
    " start_date timestamptz"
)
RUNS = [
    ("etl", "r1", "success"),
    ("etl", "r2", "failed"),
    ("etl", "r3", "running"),
    ("fan", "r1", "failed"),
]
# dag, task, run, map index, try, state, host, minute of its start (None: it has not begun)
NOW = [
    ("etl", "load", "r1", -1, 1, "success", "10.0.0.1", 10),
    ("etl", "load", "r2", -1, 3, None, "10.0.0.1", 30),
    ("etl", "load", "r3", -1, 1, "queued", "", None),
    ("etl", "later", "r3", -1, 0, None, "", None),
    ("fan", "each", "r1", 0, 1, "success", "10.0.0.1", 5),
    ("fan", "each", "r1", 1, 2, "failed", "10.0.0.2", 6),
    ("fan", "each", "r1", 2, 1, "failed", "10.0.0.2", 6),
]
BEFORE = [
    ("etl", "load", "r2", -1, 1, "failed", "10.0.0.2", 20),
    ("etl", "load", "r2", -1, 2, "failed", "10.0.0.1", 25),
    ("etl", "load", "r2", -1, 3, "failed", "10.0.0.1", 30),
    ("fan", "each", "r1", 1, 1, "failed", "10.0.0.1", 5),
]
FILL = """\
import json, sys, psycopg2
asked = json.load(sys.stdin)
c = psycopg2.connect(asked["dsn"])
c.autocommit = True
q = c.cursor()
for statement, rows in asked["statements"]:
    for row in rows:
        q.execute(statement, row)
"""


@pytest.fixture(scope="module")
def words(drivers, tmp_path_factory):
    """The agent's words for a database with these runs; the environment has its driver, and no Airflow."""
    with postgres() as port:
        dsn = {"host": "127.0.0.1", "port": port, "name": "postgres", "user": "postgres", "password": "sup"}
        row = "%s, %s, %s, %s, %s, %s, %s, timestamptz '2026-01-01' + %s * interval '1 minute'"
        statements = [
            ("create table dag (dag_id text)", [()]),
            ("create table dag_run (id serial, dag_id text, run_id text, state text)", [()]),
            (f"create table task_instance ({COLUMNS})", [()]),
            (f"create table task_instance_history ({COLUMNS})", [()]),
            ("insert into dag values (%s)", [("etl",), ("fan",), ("fresh",)]),
            ("insert into dag_run (dag_id, run_id, state) values (%s, %s, %s)", RUNS),
            (f"insert into task_instance values ({row})", NOW),
            (f"insert into task_instance_history values ({row})", BEFORE),
        ]
        asked = {
            "dsn": f"host=127.0.0.1 port={port} dbname=postgres user=postgres password=sup",
            "statements": statements,
        }
        subprocess.run([drivers / "bin" / "python", "-c", FILL], input=json.dumps(asked), text=True, check=True)
        environment = tmp_path_factory.mktemp("units") / "environment"
        environment.write_text("ODD='a b'\n")
        yield {
            "program": "inside_tasklog",
            "venv": str(drivers),
            "environment": str(environment),
            "account": getpass.getuser(),
            "dsn": dsn,
            "run": "",
            "try": 0,
            "map_index": None,
        }


def found(agent, words, dag, task, **more):
    """Return which try was found."""
    answers = agent("task_log", words={**words, "dag": dag, "task": task, **more})
    assert answers[0]["t"] == "part", answers
    return answers[0]["words"]["found"]


def refused(agent, words, dag, task, **more):
    """Return what the operator is told: what is wrong, and what to do."""
    (answer,) = agent("task_log", words={**words, "dag": dag, "task": task, **more})
    assert (answer["t"], answer["class"]) == ("failed", "usage"), answer
    return answer["error"], answer["remedy"]


def test_the_latest_try_of_the_latest_run_is_meant(agent, words):
    """A run whose task has not begun yet has no log; a try that was cleared is told as it ended."""
    assert {
        "dag": "etl",
        "task": "load",
        "run": "r2",
        "map_index": -1,
        "try": 3,
        "tries": 3,
        "state": "failed",
        "hostname": "10.0.0.1",
    } == found(agent, words, "etl", "load")


def test_an_earlier_try_is_told_where_it_ran(agent, words):
    """Each try may have run on another host."""
    earlier = found(agent, words, "etl", "load", run="r2", **{"try": 1})
    assert (earlier["try"], earlier["tries"], earlier["hostname"]) == (1, 3, "10.0.0.2")
    assert found(agent, words, "etl", "load", run="r1")["state"] == "success"


def test_a_mapped_task_needs_an_index(agent, words):
    """And says which there are, the failed ones first of all."""
    what, remedy = refused(agent, words, "fan", "each")
    assert (what, remedy) == ("fan.each (r1): which one? it is mapped", "--map-index: 0 to 2; failed: 1, 2")
    assert found(agent, words, "fan", "each", map_index=1)["try"] == 2
    assert "there is no map index 9" in refused(agent, words, "fan", "each", map_index=9)[0]
    assert refused(agent, words, "etl", "load", map_index=0)[1] == "leave --map-index away"


@pytest.mark.parametrize(
    ("dag", "task", "more", "what", "remedy"),
    [
        ("elt", "load", {}, "there is no DAG elt", "did you mean etl?"),
        ("zzz", "load", {}, "there is no DAG zzz", 'fab airflow "dags list"'),
        ("etl", "laod", {}, "DAG etl has no task laod", "did you mean load?"),
        ("etl", "zzz", {}, "DAG etl has no task zzz", "its tasks: later, load"),
        ("etl", "load", {"run": "r9"}, "DAG etl has no run r9", "r3 (running), r2 (failed), r1 (success)"),
        ("etl", "load", {"run": "r3"}, "etl.load has not run yet in r3", "r3 (running), r2 (failed), r1 (success)"),
        ("etl", "later", {}, "etl.later has not run yet", "r3 (running)"),
        ("etl", "load", {"try": 4}, "etl.load (r2) has no try 4", "--try: 1, 2, 3"),
        ("fresh", "x", {}, "DAG fresh has never run", "dags trigger fresh"),
        ("it's %s", "x", {}, "there is no DAG it's %s", "dags list"),
    ],
)
def test_a_wrong_name_is_told_what_there_is(agent, words, dag, task, more, what, remedy):
    """Exit 2 on the operator's side, and no Airflow was started for it."""
    said = refused(agent, words, dag, task, **more)
    assert what == said[0]
    assert remedy in said[1]


def test_a_database_that_does_not_answer_is_told(agent, words):
    """Not well, rather than a wrong name."""
    failed = agent("task_log", words={**words, "dag": "d", "task": "t", "dsn": {**words["dsn"], "port": 1}})[-1]
    assert (failed["t"], failed["class"]) == ("failed", "database")
