"""A git repository that a team would push to, and a host's mirror and releases of it: fixtures of several tests."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Repository:
    """A git repository that a team would push to."""

    def __init__(self, path: Path) -> None:
        """Make an empty one."""
        self.path = path
        self.git("init", "--quiet", "--initial-branch=main", str(path))

    def git(self, *words: str) -> str:
        """Run git in it."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.path.parent), "GIT_CONFIG_NOSYSTEM": "1"}
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        cwd = self.path if self.path.exists() else self.path.parent
        return subprocess.run(
            ["git", *who, *words], cwd=cwd, env=env, check=True, capture_output=True, text=True
        ).stdout

    def commit(self, message: str, **files: str) -> str:
        """Write files and commit them; return the commit."""
        for name, text in files.items():
            path = self.path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").strip()


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "origin")
    made.commit("first", **{"dags__hello.py": "print('hello')\n", "dags__한글 file.py": "x = 1\n"})
    return made


@pytest.fixture
def dags(tmp_path, repository, agent, account):
    """A host's folder of DAG code, with a mirror of the repository."""
    folder = tmp_path / "dags"
    made = agent.make("mirror", folder / "mirror.git", {"url": f"file://{repository.path}"}, account=account, ssh={})
    assert made["t"] == "done", made
    return folder


@pytest.fixture
def resolve(agent, dags, account):
    def asked(ref):
        return agent.call("resolve", mirror=str(dags / "mirror.git"), ref=ref, account=account, ssh={})

    return asked


@pytest.fixture
def release(agent, dags, account):
    def made(commit):
        means = {"mirror": str(dags / "mirror.git"), "account": account, "ssh": {}}
        return agent.make("release", dags / "releases", {"commit": commit}, {"commit": commit}, **means)

    return made
