"""The releases of a host, those that nobody needs any more, and the history: on real files, with real git."""

from __future__ import annotations

import json
import os
import stat

import pytest

from airfleet.agent import code, units


@pytest.fixture
def made(repository, release):
    """Six releases, the newest last; `current` leads to the second."""
    commits = []
    for number in range(6):
        commits.append(repository.commit(f"number {number}", dags__hello=f"x = {number}\n"))
        assert release(commits[-1])["t"] == "done"
    return commits


@pytest.fixture
def prune(agent, dags, account):
    def asked(keep, count, stamps="/nowhere/*"):
        words = {"releases": str(dags / "releases"), "mirror": str(dags / "mirror.git"), "account": account}
        answer = agent.call("prune", **words, keep=keep, count=count, stamps=stamps)
        assert answer["t"] == "answer", answer
        return answer["words"]["removed"]

    return asked


def listed(agent, dags):
    return agent.call("releases", releases=str(dags / "releases"))["words"]["releases"]


def test_releases_are_told_the_newest_first_with_the_one_in_use(agent, dags, made):
    """Commit, subject, when, and whether `current` leads there."""
    (dags / "current").symlink_to(f"releases/{made[1]}")
    found = listed(agent, dags)
    assert [each["commit"] for each in found] == made[::-1]
    assert [each["commit"] for each in found if each["current"]] == [made[1]]
    assert found[0]["subject"] == "number 5"


def test_old_releases_go_and_those_in_use_never(agent, dags, made, prune, tmp_path):
    """The current one, those to be kept and those that a process started with stay, however old; the rest by age."""
    (dags / "current").symlink_to(f"releases/{made[1]}")
    stamps = tmp_path / "run" / "airflow-scheduler"
    stamps.mkdir(parents=True)
    (stamps / "stamp").write_text(f"{'d' * 64}  /etc/x\nreleases/{made[0]}  /home/airflow/dags/current\n")
    assert prune([made[2]], 4, f"{tmp_path}/run/airflow-*/stamp") == [made[4], made[3]]
    left = {each["commit"] for each in listed(agent, dags)}
    assert left == {made[0], made[1], made[2], made[5]}
    refs = os.popen(f"git --git-dir {dags}/mirror.git for-each-ref refs/airfleet/").read()
    assert made[3] not in refs
    assert made[5] in refs
    assert sorted(name for name in os.listdir(dags / "releases") if made[3] in name) == []


def test_nothing_is_removed_where_there_is_room(made, prune):
    """Six releases, ten may stay."""
    assert prune([], 10) == []


def test_a_release_is_known_without_the_git_server(agent, dags, made, account, repository):
    """What is in the mirror is not fetched: a rollback works while the server is away."""
    repository.path.rename(repository.path.with_name("away"))
    words = {"mirror": str(dags / "mirror.git"), "account": account, "ssh": {}, "requirements": "dags/hello"}
    answer = agent.call("release_of", **words, commit=made[0])["words"]
    assert answer == {"commit": made[0], "subject": "number 0", "requirements": "x = 0\n"}


def test_a_forced_push_stays_one_until_it_is_accepted(agent, dags, repository, account, resolve):
    """A refused deploy has fetched already: the next one must see the forced push all the same."""
    repository.commit("a", dags__hello="a = 1\n")
    assert not resolve("main")["words"]["forced"]
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    repository.commit("b", dags__hello="b = 1\n")
    assert resolve("main")["words"]["forced"]
    assert resolve("main")["words"]["forced"]
    words = {"mirror": str(dags / "mirror.git"), "ref": "main", "account": account, "ssh": {}}
    assert agent.call("resolve", **words, accept_forced=True)["words"]["forced"]
    assert not resolve("main")["words"]["forced"]


def test_a_process_that_read_the_same_plugins_counts_as_started_with_this_release(tmp_path):
    """DAG files are parsed anew: only a release with other plugins makes a process stale."""
    one, two, three = "1" * 40, "2" * 40, "3" * 40
    for commit, text in ((one, "x = 1\n"), (two, "x = 1\n"), (three, "x = 2\n")):
        folder = tmp_path / "releases" / commit / "plugins"
        folder.mkdir(parents=True)
        (folder / "p.py").write_text(text)
    path = str(tmp_path / "current")

    def started_with(commit, plugins="plugins"):
        state = {f"started with {path}": one}
        units._as_good(state, {"path": path, "commit": commit, "plugins": plugins})
        return state[f"started with {path}"]

    assert started_with(two) == two
    assert started_with(three) == one
    assert started_with(three, plugins="") == three
    assert code.same(str(tmp_path / "releases"), one, two, "no/such/folder")


def test_the_history_is_only_added_to_and_readable_by_root_alone(agent, tmp_path):
    """Each entry once, mode 0640, and a line that was cut short swallows no other."""
    path = tmp_path / "log" / "history.jsonl"

    def record(entry):
        return agent.call("record", entry=entry, path=str(path))["words"]["added"]

    assert record({"id": "1", "doing": "deploy"})
    assert not record({"id": "1", "doing": "deploy"})
    with path.open("a") as f:
        f.write('{"id": "2", "do')
    assert record({"id": "3", "doing": "rollback"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    answer = agent.call("history", limit=10, path=str(path))["words"]["entries"]
    assert [entry["id"] for entry in answer] == ["1", "3"]
    assert agent.call("history", limit=1, path=str(path))["words"]["entries"][0]["id"] == "3"
    assert len([json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]) == 2


def test_no_history_yet_is_an_empty_one(agent, tmp_path):
    """A host that nobody deployed to."""
    assert agent.call("history", limit=10, path=str(tmp_path / "none"))["words"] == {"entries": []}
