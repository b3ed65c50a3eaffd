"""What the agent finds of an installation and removes. `systemctl` is a script here; the real one is in tests/live."""

from __future__ import annotations

import getpass
import json

import pytest

from airfleet.agent import history, retire, run

SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> {folder}/called
case "$1" in
    list-units) cat {folder}/loaded ;;
    list-unit-files) cat {folder}/enabled ;;
    disable) : > {folder}/enabled ;;
    stop) : > {folder}/loaded ;;
    show) [ "$3" = Job ] || printf 'Id=x\\nActiveState=inactive\\nSubState=dead\\n' ;;
esac
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A folder with an installation in it, and the words that name it."""
    monkeypatch.setattr(run, "PATH", f"{tmp_path}:{run.PATH}")
    (tmp_path / "systemctl").write_text(SYSTEMCTL.format(folder=tmp_path))
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "loaded").write_text(
        "airflow-worker@1.service loaded active running x\nairflow-logs.service loaded failed\n"
    )
    (tmp_path / "enabled").write_text("airflow-worker@.service enabled x\nairflow-logs.service enabled x\n")
    root = tmp_path / "root"
    for path in ("units/airflow-logs.service", "home/airflow.cfg", "home/logs/task.log", "versions/airflow-1/x"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("secret")
    (root / "versions" / ".venv").symlink_to("airflow-1")
    words = {
        "units": ["airflow-logs.service", "airflow-worker@*.service"],
        "unit_files": [f"{root}/units/airflow-logs.service", f"{root}/units/airflow-worker@.service"],
        "own": [f"{root}/home/airflow.cfg", f"{root}/versions/airflow-*", f"{root}/versions/.venv"],
        "root": [f"{root}/opt"],
        "account": getpass.getuser(),
        "purge": False,
        "stop_timeout_s": 2,
    }
    return root, words


def silent(text):
    """Tell nobody."""


def test_what_is_there_is_told_before_anything_is_removed(host):
    """Units that run or are enabled, workers first; files by their patterns; what is not there is not named."""
    root, words = host
    there = retire.remains(words, silent)
    assert there == {
        "units": ["airflow-worker@1.service", "airflow-logs.service"],
        "paths": sorted(
            str(root / path)
            for path in ("units/airflow-logs.service", "home/airflow.cfg", "versions/airflow-1", "versions/.venv")
        ),
        "account": None,
    }
    assert (root / "home" / "airflow.cfg").exists()


def test_clearing_leaves_nothing_of_it_and_all_else(host, tmp_path):
    """Stopped and disabled before its files go; the logs stay; the second time there is nothing to do."""
    root, words = host
    retire.clear(words, silent)
    assert not any(retire.remains(words, silent).values())
    assert (root / "home" / "logs" / "task.log").exists()
    assert not (root / "versions" / ".venv").is_symlink()
    called = (tmp_path / "called").read_text()
    assert called.index("disable airflow-worker@1.service") < called.index("stop --no-block airflow-worker@1.service")
    assert not any(retire.clear(words, silent).values())


def test_a_link_of_the_accounts_own_leads_nobody_elsewhere(host, tmp_path):
    """A folder that was replaced by a link: the link is removed, not what it leads to."""
    root, words = host
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("kept")
    (root / "versions" / "airflow-2").symlink_to(tmp_path / "elsewhere")
    retire.clear(words, silent)
    assert not (root / "versions" / "airflow-2").is_symlink()
    assert (tmp_path / "elsewhere" / "kept").read_text() == "kept"


def test_the_history_remembers_hosts_and_forgets_none_that_was_not_retired(tmp_path):
    """By their parts of the inventory, where it has them; a later word wins; a retired one is told with its time."""
    path = tmp_path / "history.jsonl"
    entries = [
        {"id": 1, "began": "t1", "doing": "deploy", "hosts": {"a": "x", "b": "x"}},
        {"id": 2, "began": "t2", "doing": "bootstrap", "hosts": {"a": "x"}, "members": {"a": {"address": "1"}}},
        {"id": 3, "began": "t3", "doing": "deploy", "hosts": {"a": "x"}},
        {"id": 4, "began": "t4", "doing": "retire", "retired": ["b"], "result": "done"},
        {"id": 5, "began": "t5", "doing": "retire", "retired": ["a"], "result": "stopped"},
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert history.members({"path": str(path)}) == {
        "members": {"a": ["t3", {"address": "1"}], "b": ["t1", {}]},
        "retired": {"b": "t4"},
    }
    assert history.members({"path": str(tmp_path / "none")}) == {"members": {}, "retired": {}}
