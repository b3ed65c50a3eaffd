"""The gate's question to the database: with a real PostgreSQL, and an Airflow that only parses nothing."""

from __future__ import annotations

import shutil

import pytest
from agent_services import POSTGRES

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")

DAGBAG = """\
class DagBag:
    def __init__(self, *words, **more):
        self.dags, self.import_errors = {}, {}
    def process_file(self, path, **more):
        pass
"""
ACTIVE = "not d.is_stale"


@pytest.fixture
def words(drivers, account, server, tmp_path):
    """What the gate is asked: of one file, in an environment whose Airflow finds no DAG in it."""
    venv = tmp_path / "venv"
    shutil.copytree(drivers, venv, symlinks=True)
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "airflow" / "utils").mkdir(parents=True)
    (site / "airflow" / "utils" / "file.py").write_text(
        "import pathlib\ndef list_py_file_paths(folder):\n    return pathlib.Path(folder).glob('*.py')\n"
    )
    (site / "stand_in_dagbag.py").write_text(DAGBAG)
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "hello.py").write_text("")
    release = {"venv": str(venv), "folder": str(folder), "plugins": ""}
    dsn = {"host": "127.0.0.1", "port": server, "name": "postgres", "user": "postgres", "password": "sup"}
    more = {"account": account, "env": {}, "timeout_s": 60, "dsn": dsn}
    return {**more, "candidate": release, "current": None, "dagbag": "stand_in_dagbag", "active_dag": ACTIVE}


def test_a_database_that_can_not_be_asked_is_no_fault_of_a_dag_file(agent, words):
    """The schema of another generation, a wrong password: in words of the database, not of the file parsed last."""
    answer = agent.call("gate", **words)
    assert answer["error"] == "the database does not tell which DAGs have runs under way"
    assert "fab upgrade" in answer["remedy"]
    assert 'relation "dag" does not exist' in answer["tail"]
    words["dsn"]["password"] = "wrong"
    assert "the database refused the password of postgres" in agent.call("gate", **words)["error"]


def test_without_the_question_the_file_is_parsed(agent, words):
    """The same release where the database is not asked."""
    answer = agent.call("gate", **{**words, "dsn": None})
    assert answer["words"]["files"] == 1
    assert not answer["words"]["ended"]
