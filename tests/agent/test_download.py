"""A program by its checksum: the agent with real files and a real web server."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from functools import partial

import pytest
from agent_services import free_port

from airfleet.errors import ApplyFailed
from airfleet.host_errors import CLASSES

CONTENT = b"#!/bin/sh\necho the proxy\n" * 100000
RIGHT = hashlib.sha256(CONTENT).hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path):
    """A web server whose /proxy is the program; yields its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "proxy").write_bytes(CONTENT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def place(tmp_path):
    (tmp_path / "opt").mkdir()
    return tmp_path / "opt" / "cloud-sql-proxy"


def make(agent, place, *, url=None, path=None, sha256=RIGHT):
    """Have it made as `apply` does, and return the last answer but the end."""
    state = agent.look("binary", place)["state"]
    change = {"kind": "binary", "key": str(place), "seen": state, "want": {"sha256": sha256}}
    answers = agent("apply", changes=[{**change, "means": {"url": url, "path": str(path) if path else None}}])
    return [each for each in answers if each["t"] in ("done", "failed")][-1]


def test_the_right_program_is_put_in_place(agent, site, place):
    """It can be run, and nothing else is left in the folder; looked at again it is as it is wanted."""
    assert agent.look("binary", place)["state"] is None
    assert make(agent, place, url=f"{site}/proxy")["t"] == "done"
    assert agent.look("binary", place)["state"] == {"sha256": RIGHT}
    assert (place.read_bytes(), place.stat().st_mode & 0o7777) == (CONTENT, 0o755)
    assert os.listdir(place.parent) == [place.name]


def test_another_program_is_refused_and_the_old_one_stays(agent, site, place):
    """The message has both checksums; the operator's side makes of it a failed change, exit 5."""
    place.write_bytes(b"old")
    place.chmod(0o755)
    answer = make(agent, place, url=f"{site}/proxy", sha256="b" * 64)
    assert (answer["t"], answer["class"]) == ("failed", "checksum")
    assert answer["error"] == f"{site}/proxy has the SHA-256 {RIGHT}, not {'b' * 64}"
    assert (place.read_bytes(), os.listdir(place.parent)) == (b"old", [place.name])
    assert CLASSES.get("checksum", ApplyFailed).exit_code == 5


def test_a_program_that_is_on_the_host_is_copied(agent, tmp_path, place):
    """By the same checksum; one that is not there is named."""
    (tmp_path / "given").write_bytes(CONTENT)
    assert make(agent, place, path=tmp_path / "given")["t"] == "done"
    assert place.read_bytes() == CONTENT
    assert "there is no program" in make(agent, place, path=tmp_path / "absent", sha256="b" * 64)["error"]


@pytest.mark.parametrize("what", ["a page that is not there", "nobody"])
def test_what_cannot_be_fetched_is_told(agent, site, place, what):
    """With the reason of whoever said no."""
    url = f"{site}/absent" if what != "nobody" else f"http://127.0.0.1:{free_port()}/proxy"
    answer = make(agent, place, url=url)
    assert (answer["t"], answer["class"]) == ("failed", "unreachable")
    assert f"{url} cannot be fetched: " in answer["error"]
    assert os.listdir(place.parent) == []


def test_a_mode_of_somebody_elses_is_seen(agent, place):
    """A program that others may write is not the one that was put there."""
    place.write_bytes(CONTENT)
    place.chmod(0o777)
    assert agent.look("binary", place)["state"] == {"sha256": RIGHT, "mode": "0777"}
