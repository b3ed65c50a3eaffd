"""The agent as it runs in reality: program over stdin into an isolated Python, one request, answers by lines."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from agent_services import postgres
from airflow_database import migrated, sql, unmigrated  # noqa: F401  # fixtures of several tests
from git_repository import dags, release, repository, resolve  # noqa: F401  # fixtures of several tests
from stand_in_airflow import venv  # noqa: F401  # a fixture of several tests

from airfleet import answers, sending

if TYPE_CHECKING:
    from pathlib import Path


def _beat(child: subprocess.Popen, over: threading.Event) -> None:
    """Let the agent know that we are still there, as the operator's side does."""
    while not over.wait(20):
        child.stdin.write(b"\n")
        child.stdin.flush()


class Agent:
    """Runs the agent, one process for each request."""

    def __init__(self, python: str = sys.executable) -> None:
        """Remember which Python it is to run in."""
        self.python = python

    def __call__(self, op: str, **words: object) -> list[dict]:
        """Send a request and return all answers."""
        child = self.start(op, **words)
        over = threading.Event()
        threading.Thread(target=_beat, args=(child, over), daemon=True).start()
        said = [answers.read(line, op, "the agent's own") for line in child.stdout]
        over.set()
        child.stdin.close()
        error = child.stderr.read().decode()
        assert (child.wait(), error) == (0, "")
        return said

    def start(self, op: str, **words: object) -> subprocess.Popen:
        """Send a request and return the process; its stdin stays open, as the operator's connection would."""
        argv = [self.python, "-I", "-c", sending.LOADER]
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdin.write(sending.program() + sending.request({"op": op, **words}))
        child.stdin.flush()
        return child

    def look(self, kind: str, key: str, **ask: object) -> dict:
        """Return the answer about one resource."""
        (answer,) = [a for a in self("look", resources=[[kind, str(key), ask]]) if a["t"] != "end"]
        return answer

    def state(self, kind: str, key: str, **ask: object) -> dict | None:
        """Return the state of one resource."""
        answer = self.look(kind, key, **ask)
        assert answer["t"] == "seen", answer
        return answer["state"]

    def make(self, kind: str, key: str, want: dict, ask: dict | None = None, **means: object) -> dict:
        """Look at one resource, make it, and return the last answer: done or failed."""
        seen = self.state(kind, key, **(ask or {}))
        change = {"kind": kind, "key": str(key), "seen": seen, "want": want, "ask": ask or {}, "means": means}
        return [a for a in self("apply", changes=[change]) if a["t"] in ("done", "failed")][-1]

    def call(self, name: str, **words: object) -> dict:
        """Ask a question that is not about a resource, and return the last answer: answer or failed."""
        return [a for a in self(name, words=words) if a["t"] in ("answer", "failed")][-1]


@pytest.fixture(scope="session")
def agent() -> Agent:
    """The agent in this Python."""
    return Agent()


@pytest.fixture(scope="session")
def account() -> str:
    """The account that everything is made as: whoever runs the tests."""
    return getpass.getuser()


@pytest.fixture(scope="module")
def server():
    """The port of a PostgreSQL server of the module's own; its superuser is `postgres`, with the password `sup`."""
    with postgres() as port:
        yield port


@pytest.fixture(scope="session")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with Celery and the driver of PostgreSQL."""
    uv = shutil.which("uv", path=f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed here")
    path = tmp_path_factory.mktemp("drivers") / "venv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, path], check=True)
    argv = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        path / "bin" / "python",
        "celery[redis]<5.7",
        "psycopg2-binary",
        "cryptography",
    ]
    made = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "UV_SYSTEM_CERTS": "1"})
    if made.returncode:
        pytest.skip(f"the registry cannot be reached from here: {made.stderr.splitlines()[-1:]}")
    return path
