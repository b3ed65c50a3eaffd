"""The mirror, the question what a branch is, and releases: with real git repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from git_repository import Repository


def test_a_mirror_that_is_not_there_is_absent(agent, tmp_path):
    """Looking for a mirror before the first bootstrap answers: absent."""
    assert agent.state("mirror", tmp_path / "mirror.git") is None


def test_a_mirror_is_cloned_again_when_the_address_changes(agent, dags, repository, account, tmp_path, resolve):
    """A changed address is a new clone in the old one's place, without leftovers."""
    other = Repository(tmp_path / "other")
    commit = other.commit("another team's")
    url = f"file://{other.path}"
    assert agent.make("mirror", dags / "mirror.git", {"url": url}, account=account, ssh={})["t"] == "done"
    assert agent.state("mirror", dags / "mirror.git") == {"url": url}
    assert resolve("main")["words"]["commit"] == commit
    assert os.listdir(dags) == ["mirror.git"]


def test_leftovers_of_a_killed_clone_do_not_matter(agent, repository, account, tmp_path):
    """A clone that was killed left a folder beside: the next one is as if it never was."""
    path = tmp_path / "dags" / "mirror.git"
    (path.with_name("mirror.git.new") / "refs").mkdir(parents=True)
    assert agent.make("mirror", path, {"url": f"file://{repository.path}"}, account=account, ssh={})["t"] == "done"
    assert os.listdir(path.parent) == ["mirror.git"]


def test_branch_tag_and_commit_are_resolved_after_a_fetch(repository, resolve):
    """What was pushed a moment ago is found, by branch, tag and abbreviated commit."""
    commit = repository.commit('second: 한글 "quoted" $(x)')
    repository.git("tag", "v1")
    for ref in ("main", "v1", commit, commit[:10]):
        words = resolve(ref)["words"]
        assert (words["commit"], words["subject"], words["author"]) == (commit, 'second: 한글 "quoted" $(x)', "Ann")
    assert resolve("main")["words"]["forced"] is False


def test_a_forced_push_is_named(repository, resolve):
    """A branch that no longer contains what it was: forced."""
    repository.commit("second")
    before = resolve("main")["words"]["commit"]
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    after = repository.commit("another second")
    words = resolve("main")["words"]
    assert (words["commit"], words["before"], words["forced"]) == (after, before, True)


@pytest.mark.parametrize("ref", ["nothing", "--upload-pack=x", "", "main branch", "$(id)"])
def test_an_unknown_ref_names_the_branches(resolve, ref):
    """A ref that is not there is refused, with the branches that are."""
    answer = resolve(ref)
    assert (answer["t"], answer["class"]) == ("failed", "ref")
    assert "main" in answer["remedy"]


def test_a_name_that_is_branch_and_tag_is_refused(repository, resolve):
    """A name for two different commits is nobody's to guess."""
    repository.git("tag", "release")
    repository.git("checkout", "--quiet", "-b", "release")
    repository.commit("more")
    answer = resolve("release")
    assert (answer["t"], answer["class"]) == ("failed", "ref")
    assert "a branch and a tag" in answer["error"]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("file:///there/is/nothing", "missing"),
        ("ssh://git@127.0.0.1:1/x.git", "unreachable"),
        ("https://git.invalid/x.git", "unreachable"),
    ],
)
def test_a_mirror_that_cannot_be_cloned_says_why_and_leaves_nothing(agent, account, tmp_path, url, kind):
    """No such repository and nothing that listens are told apart; nothing stays behind."""
    path = tmp_path / "dags" / "mirror.git"
    answer = agent.make("mirror", path, {"url": url}, account=account, ssh={"key": None, "known_hosts": "/dev/null"})
    assert (answer["t"], answer["class"]) == ("failed", kind)
    assert url in answer["error"]
    assert os.listdir(path.parent) == []


def test_helpers_of_git_that_run_programs_are_not_used(agent, account, tmp_path):
    """`ext::` addresses, which run a command, are refused."""
    answer = agent.make("mirror", tmp_path / "m.git", {"url": f"ext::touch {tmp_path}/ran"}, account=account, ssh={})
    assert answer["t"] == "failed"
    assert not (tmp_path / "ran").exists()


def test_a_release_is_exactly_the_commit(agent, dags, release, repository):
    """The tree holds the files of the commit, readable for all and writable for the owner alone, and no .git."""
    commit = repository.commit("second", **{"dags__two.py": "two = 2\n"})
    assert release(commit)["t"] == "done"
    tree = dags / "releases" / commit
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    assert names == ["dags/hello.py", "dags/two.py", "dags/한글 file.py"]
    assert {path.stat().st_mode & 0o777 for path in tree.rglob("*") if path.is_file()} == {0o644}
    assert tree.stat().st_mode & 0o777 == 0o755
    assert agent.state("release", dags / "releases", commit=commit) == {"commit": commit}


def test_the_mirror_learns_nothing_of_a_release(dags, release, repository):
    """Making releases moves no branch of the mirror and leaves no index in it."""
    first = repository.git("rev-parse", "HEAD").strip()
    repository.commit("second")
    assert release(first)["t"] == "done"
    assert not (dags / "mirror.git" / "index").exists()
    assert not (dags / "mirror.git" / "worktrees").exists()


def test_a_look_without_a_commit_or_for_another_one_is_absent(agent, dags, release, repository):
    """Only the commit that is asked about counts."""
    assert release(repository.git("rev-parse", "HEAD").strip())["t"] == "done"
    assert agent.state("release", dags / "releases", commit=None) is None
    assert agent.state("release", dags / "releases", commit="a" * 40) is None


def test_bytecode_is_no_edit(agent, dags, release, repository):
    """Python's __pycache__ folders do not make a release an edited one."""
    commit = repository.git("rev-parse", "HEAD").strip()
    release(commit)
    cache = dags / "releases" / commit / "dags" / "__pycache__"
    cache.mkdir()
    (cache / "hello.pyc").write_bytes(b"x")
    assert agent.state("release", dags / "releases", commit=commit) == {"commit": commit}


def test_an_edited_release_is_shown_put_back_and_the_edit_kept(agent, dags, release, repository):
    """A hotfix on the host is seen by name, undone by the next run, and kept as a patch."""
    commit = repository.git("rev-parse", "HEAD").strip()
    release(commit)
    tree = dags / "releases" / commit
    (tree / "dags" / "hello.py").write_text("print('hotfix')\n")
    (tree / "dags" / "new.py").write_text("new = 1\n")
    (tree / "dags" / "한글 file.py").chmod(0o666)
    edited = agent.state("release", dags / "releases", commit=commit)["edited"]
    assert sorted(edited.split(", ")) == ["dags/hello.py", "dags/new.py", "dags/한글 file.py"]
    made = release(commit)
    patch = Path(made["told"]["patch"])
    assert "+print('hotfix')" in patch.read_text()
    assert "+new = 1" in patch.read_text()
    assert patch.stat().st_mode & 0o777 == 0o600
    assert (tree / "dags" / "hello.py").read_text() == "print('hello')\n"
    assert not (tree / "dags" / "new.py").exists()
    assert agent.state("release", dags / "releases", commit=commit) == {"commit": commit}


def test_a_removed_file_is_seen_and_put_back(agent, dags, release, repository):
    """A file that somebody took away counts as an edit too."""
    commit = repository.git("rev-parse", "HEAD").strip()
    release(commit)
    (dags / "releases" / commit / "dags" / "hello.py").unlink()
    assert "edited" in agent.state("release", dags / "releases", commit=commit)
    assert release(commit)["t"] == "done"
    assert agent.state("release", dags / "releases", commit=commit) == {"commit": commit}


def test_a_release_that_was_killed_half_way_is_made_again(agent, dags, release, repository):
    """Half a tree, a stale index and a lock of a killed run: absent, then made as if they never were."""
    commit = repository.git("rev-parse", "HEAD").strip()
    releases = dags / "releases"
    for name in (f".{commit}.new", commit):
        (releases / name / "dags").mkdir(parents=True)
        (releases / name / "dags" / "half.py").write_text("half")
    (releases / f".{commit}.index").write_bytes(b"rubbish")
    (releases / f".{commit}.index.lock").write_bytes(b"")
    assert agent.state("release", releases, commit=commit) is None
    assert release(commit)["t"] == "done"
    assert not (releases / commit / "dags" / "half.py").exists()
    assert not (releases / f".{commit}.new").exists()


def test_a_deployed_commit_survives_a_forced_push(agent, dags, release, repository, resolve):
    """What is deployed can be made again although no branch holds it any more."""
    commit = repository.commit("second")
    release(commit)
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    resolve("main")
    subprocess.run(["git", "--git-dir", dags / "mirror.git", "gc", "--quiet", "--prune=now"], check=True)
    (dags / "releases" / f".{commit}.json").unlink()
    assert release(commit)["t"] == "done"


def test_a_commit_that_nobody_pushed_is_refused(release):
    """A commit that the server does not have is an error of its own."""
    answer = release("a" * 40)
    assert (answer["t"], answer["class"]) == ("failed", "ref")
    assert "a" * 40 in answer["error"]
