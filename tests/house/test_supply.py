"""The supply chain of airfleet itself: releases that anybody can make again, an audit, no secret in a commit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from airfleet.errors import UsageError
from supply import audit, release, scan

ROOT = Path(__file__).resolve().parents[2]
WHEN = "2026-03-01T12:00:00+09:00"
WHO = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com", "GIT_AUTHOR_DATE": WHEN}
WHO |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in WHO.items()}
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n"
TOKEN = "ghp_" + "wWPw5k4aXcaT" * 3


def git(folder, *words, check=True, **env):
    given = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": os.devnull, **env}
    done = subprocess.run(["git", *words], cwd=folder, env=given, capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stderr
    return done


@pytest.fixture
def repository(tmp_path):
    """A small repository with a release to be: this one's libraries, a changelog with the version, a program."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, folder)
    (folder / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 0.1.0 (2026-03-01)\n")
    (folder / "zeta.txt").write_text("text\n")
    (folder / "alpha").write_text("#!/bin/sh\n")
    (folder / "alpha").chmod(0o755)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")
    git(folder, "tag", "--annotate", "--message", "first", "v0.1.0")
    return folder


def test_two_people_make_the_same_release(repository, tmp_path):
    """Another clone, umask, line ending, time zone and rubbish beside it: the same bytes; the sums are theirs."""
    first = release.build(repository, "", tmp_path / "first")
    other = tmp_path / "there" / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(other))
    git(other, "config", "core.autocrlf", "true")
    git(other, "config", "tar.umask", "user")
    (other / "zeta.txt").write_text("not committed\n")
    (other / "more.txt").write_text("nor this\n")
    kept, zone = os.umask(0o077), os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Seoul"
    try:
        second = release.build(other, "v0.1.0", tmp_path / "second")
    finally:
        os.umask(kept)
        os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
    assert [path.name for path in first] == ["airfleet-0.1.0.tar.gz", "airfleet-0.1.0.cdx.json", "SHA256SUMS"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "second").returncode == 0


def test_an_archive_tells_nothing_of_who_made_it(repository, tmp_path):
    """Root's files in the order of their names, with the commit's time; programs stay programs."""
    archive, bill, _ = release.build(repository, "v0.1.0", tmp_path / "out")
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    names = [member.name.removeprefix("airfleet-0.1.0/") for member in members if member.isfile()]
    assert names == ["CHANGELOG.md", "alpha", "pyproject.toml", "uv.lock", "zeta.txt"]
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "root", 1772334000)}
    assert {member.name[-5:]: oct(member.mode) for member in members if member.isfile()}["alpha"] == "0o755"
    assert archive.read_bytes()[4:8] == bytes(4)
    listed = json.loads(bill.read_text())
    assert listed["metadata"]["timestamp"] == "2026-03-01T03:00:00Z"
    assert {"fabric", "paramiko", "pydantic"} <= {each["name"] for each in listed["components"]}


@pytest.mark.parametrize(
    ("change", "tag", "says"),
    [
        ((), "v9.9.9", "there is no tag v9.9.9"),
        (("tag", "v0.2.0"), "v0.2.0", "the tag v0.2.0 is of a tree whose pyproject.toml says 0.1.0"),
        (("tag", "again"), "", "HEAD has 2 tags: again, v0.1.0"),
        (("commit", "--allow-empty", "-qm", "later"), "", "HEAD has no tag"),
    ],
)
def test_what_is_no_release_is_refused(repository, tmp_path, change, tag, says):
    """An unknown tag, one of another version, no tag or two at HEAD: nothing is written."""
    if change:
        git(repository, *change)
    with pytest.raises(UsageError) as e:
        release.build(repository, tag, tmp_path / "out")
    assert says in str(e.value)
    assert not (tmp_path / "out").exists()


def test_a_release_without_its_changelog_is_refused(repository, tmp_path):
    """Whoever downloads it wants to know what is new."""
    (repository / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- 0.1.0 is mentioned\n")
    git(repository, "commit", "--quiet", "--all", "--message", "no section")
    git(repository, "tag", "--force", "v0.1.0")
    with pytest.raises(UsageError, match="the changelog has no section 0"):
        release.build(repository, "v0.1.0", tmp_path / "out")


def test_the_audit_says_what_is_known_and_what_it_could_not_ask():
    """Each weakness with what mends it; a registry without such data is no clean bill."""
    good, skipped = {"name": "rich", "version": "15.0", "vulns": []}, {"name": "x", "skip_reason": "not found"}
    weak = {"id": "PYSEC-1", "aliases": ["CVE-2"], "fix_versions": ["5.1"]}
    bad = {"name": "paramiko", "version": "5.0", "vulns": [weak]}
    assert audit.told([good]) == "audit: 1 libraries, 0 known weaknesses"
    assert audit.told([good, bad, skipped]).splitlines() == [
        "audit: 3 libraries, 1 known weaknesses:",
        "  paramiko 5.0: PYSEC-1, CVE-2; mended in 5.1",
        "  1 could not be asked about: the registry that answers here has no such data on them",
    ]
    assert "not made" in audit.told([skipped])
    assert audit.report(ROOT, 0.001) == "audit: no answer within 0 s"


def test_a_secret_is_found_and_what_was_accepted_is_not(repository):
    """By file and line, without its text; a baseline accepts it wherever its line moves, and nothing beside it."""
    (repository / "deploy.txt").write_text(f"# here\n{KEY}")
    assert scan.unknown(repository, ["deploy.txt", "alpha"]) == ["deploy.txt:2: looks like a secret: Private Key"]
    git(repository, "add", ".")
    assert scan.write(repository) >= 1
    assert KEY.splitlines()[1] not in (repository / scan.BASELINE).read_text()
    (repository / "deploy.txt").write_text(f"# moved\n\n\n{KEY}\ntoken = {TOKEN!r}\n")
    found = scan.unknown(repository, ["deploy.txt"])
    assert {line.split(":")[1] for line in found} == {"7"}
    assert TOKEN not in str(found)


def test_nothing_that_is_found_is_sent_anywhere():
    """Detectors can ask a secret's service whether it is good: here none does."""
    assert not [each for each in scan.FILTERS if "verif" in each["path"]]
    assert json.loads((ROOT / scan.BASELINE).read_text())["filters_used"] == scan.FILTERS


def test_git_refuses_a_commit_with_a_secret(repository, tmp_path):
    """`pre-commit install`, then a commit: refused by name; without the secret it goes through, with no network."""
    ours = [f"airfleet/{name}.py" for name in ("__init__", "digests", "errors", "versions")]
    for name in (".pre-commit-config.yaml", "supply", *ours):
        path = repository / name
        path.parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, path)
    (repository / ".venv").symlink_to(Path(sys.executable).parents[1])
    (repository / ".gitignore").write_text(".venv\n__pycache__/\n")
    home = {"PRE_COMMIT_HOME": str(tmp_path / "home"), "https_proxy": "http://127.0.0.1:1"}
    git(repository, "add", ".")
    subprocess.run(
        [repository / ".venv/bin/pre-commit", "install"], cwd=repository, env={**os.environ, **home}, check=True
    )
    (repository / "notes.txt").write_text(f"the key\n{KEY}")
    git(repository, "add", ".")
    refused = git(repository, "commit", "--message", "notes", check=False, **home)
    assert (refused.returncode, "notes.txt:2: looks like a secret: Private Key" in refused.stderr) == (1, True)
    (repository / "notes.txt").write_text("no key\n")
    git(repository, "add", ".")
    git(repository, "commit", "--message", "notes", **home)
