"""Virtual environments filled by the real uv, from wheels made here: nothing is fetched from a registry."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from wheels import wheel

from airfleet.agent import run, uv

UV = shutil.which("uv", path=f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}")
pytestmark = pytest.mark.skipif(UV is None, reason="uv is not installed here")


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "alpha", "1.0", "beta")
    for version in ("1.9", "2.0", "2.10"):
        wheel(folder, "beta", version)
    wheel(folder, "gamma", "1.0", "beta<2")
    return folder


@pytest.fixture
def path(tmp_path):
    return tmp_path / "versions" / "airflow-abc"


@pytest.fixture
def make(agent, account, wheels, path, tmp_path):
    def made(*requirements, digest="abc", **means):
        words = {
            "account": account,
            "python": sys.executable,
            "uv": UV,
            "requirements": ["--no-index", f"--find-links {wheels}", *requirements],
            "constraints": None,
            "cache": str(tmp_path / "cache"),
            "refuse": [],
            **means,
        }
        return agent.make("venv", path, {"digest": digest, "packages": "as installed"}, **words)

    return made


def site(path: Path) -> Path:
    """Return the folder of an environment's packages."""
    return next(path.glob("lib/python*/site-packages"))


def test_an_environment_is_made_and_then_as_installed(agent, make, path):
    """It holds what was asked for under the constraints, compiled; nothing is left of the making."""
    assert agent.state("venv", path) is None
    assert make("alpha", constraints={"text": "beta==1.9\n"})["t"] == "done"
    assert agent.state("venv", path) == {"digest": "abc", "packages": "as installed"}
    names = [name for name in os.listdir(site(path)) if name.endswith(".dist-info")]
    assert sorted(names) == ["alpha-1.0.dist-info", "beta-1.9.dist-info"]
    assert list((site(path) / "__pycache__").glob("alpha.*.pyc"))
    assert os.listdir(path.parent) == ["airflow-abc"]


def compiled(path: Path, name: str) -> Path:
    """Return what a module of an environment was compiled to."""
    return next((site(path) / "__pycache__").glob(f"{name}.*.pyc"))


def imported(path: Path, name: str, *what: str) -> list[str]:
    """Import a module there, and return what is asked of it; else the paths that it, and a function of it, is from."""
    asked = what or ("__file__", "__cached__", "where.__code__.co_filename")
    words = f"import {name}; print(*[{', '.join(f'{name}.{each}' for each in asked)}])"
    done = subprocess.run([path / "bin" / "python", "-c", words], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture(params=["on the same disk", "on another disk"])
def cache(request, tmp_path):
    """A folder for downloaded packages, to which uv can link, or from which it has to copy."""
    if request.param == "on the same disk":
        yield tmp_path / "cache"
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_what_another_environment_compiled_is_taken_over(make, path, cache):
    """One file by two names as its source is, or a copy with its own source's time: Python takes both as they are."""
    assert make("alpha", "beta==1.9", cache=str(cache))["told"]["taken"] == 0
    first = path.rename(path.with_name("airflow-one"))
    python = path.with_name("3.11.2")  # built by pyenv, with a mark that is newer: no environment
    (python / site(first).relative_to(first)).mkdir(parents=True)
    (python / ".airfleet.json").write_text("{}")
    if (old := site(first) / "alpha.py").stat().st_nlink == 1:
        os.utime(old, (1_000_000_000, 1_000_000_000))
        py_compile.compile(str(old))
    assert make("alpha", "beta==2.10", cache=str(cache))["told"]["taken"] == 1
    one, two = (compiled(each, "alpha") for each in (first, path))
    before, source = two.stat(), site(path) / "alpha.py"
    assert one.samefile(two) == old.samefile(source)
    assert imported(path, "alpha") == [str(source), str(two), str(source)]
    assert (before.st_ino, before.st_mtime_ns) == (two.stat().st_ino, two.stat().st_mtime_ns)
    assert imported(path, "beta")[0] == str(site(path) / "beta.py")
    assert compiled(path, "beta").stat().st_nlink == 1


def test_what_was_changed_by_hand_is_compiled_from_its_source(make, path):
    """A source of another content, and what is no compiled file of it, or a pipe, are not taken over."""
    make("alpha", "beta==1.9", "gamma")
    first = path.rename(path.with_name("airflow-one"))
    changed, piped = site(first) / "alpha.py", compiled(first, "gamma")
    text, info = changed.read_text(), changed.stat()
    changed.unlink()
    changed.write_text(text.replace("1.0", "6.6"))
    os.utime(changed, ns=(info.st_atime_ns, info.st_mtime_ns))
    compiled(first, "alpha").unlink()
    py_compile.compile(str(changed))
    compiled(first, "beta").write_bytes(b"rubbish")
    piped.unlink()
    os.mkfifo(piped)
    assert make("alpha", "beta==1.9", "gamma")["told"]["taken"] == 0
    for name in ("alpha", "beta", "gamma"):
        assert compiled(path, name).stat().st_size > len(b"rubbish")
    assert imported(path, "alpha", "version") == ["1.0"]


def test_one_that_was_killed_half_way_is_absent_and_made_anew(agent, make, path):
    """Without its mark an environment does not count, whatever is in it."""
    make("beta")
    (path / ".airfleet.json").unlink()
    (site(path) / "rubbish.py").write_text("")
    assert agent.look("venv", path)["detail"] == {"why": "an earlier try did not end"}
    assert agent.state("venv", path) is None
    assert make("beta")["t"] == "done"
    assert not (site(path) / "rubbish.py").exists()


def test_a_package_added_by_hand_is_named_and_taken_out(agent, make, path, wheels):
    """`pip install` into it by hand is shown by name, and undone in place: what runs there keeps running."""
    make("alpha", "beta==2.0")
    before = site(path).stat().st_ino
    for name, version in (("gamma", "1.0"), ("delta", "3.0")):
        wheel(wheels, name, version)
        shutil.unpack_archive(wheels / f"{name}-{version}-py3-none-any.whl", site(path), "zip")
        info = f"{name}-{version}.dist-info"
        record = "".join(
            f"{file},,\n" for file in (f"{name}.py", *(f"{info}/{f}" for f in ("METADATA", "WHEEL", "RECORD")))
        )
        (site(path) / f"{name}-{version}.dist-info" / "RECORD").write_text(record)
    assert agent.state("venv", path)["packages"] == "changed by hand: +delta-3.0 +gamma-1.0"
    assert make("alpha", "beta==2.0")["told"] == {"how": "put back"}
    assert agent.state("venv", path) == {"digest": "abc", "packages": "as installed"}
    assert site(path).stat().st_ino == before


def test_a_package_replaced_by_hand_is_named_and_put_back(agent, make, path):
    """Another version by hand is shown as one more and one less; where it cannot be had again, all is made anew."""
    make("alpha", "beta==2.0")
    (site(path) / "beta-2.0.dist-info").rename(site(path) / "beta-2.10.dist-info")
    assert agent.state("venv", path)["packages"] == "changed by hand: +beta-2.10 -beta-2.0"
    assert make("alpha", "beta==2.0", uv=UV)["t"] == "done"
    assert agent.state("venv", path) == {"digest": "abc", "packages": "as installed"}


def test_an_environment_whose_python_is_gone_is_made_anew(agent, make, path):
    """A link to a Python that was removed is seen."""
    make("beta")
    (path / "bin" / "python").unlink()
    (path / "bin" / "python").symlink_to("/nothing/python3")
    assert agent.state("venv", path) == {"digest": "abc", "packages": "its Python is gone"}
    assert make("beta")["t"] == "done"
    assert agent.state("venv", path) == {"digest": "abc", "packages": "as installed"}


@pytest.mark.parametrize(
    ("at_least", "below", "refused"),
    [
        ("2.0", "2.11", True),
        ("2.10", "3", True),
        ("2.0", "2.10", False),
        ("2.10.1", "3", False),
        ("2.10.0", "2.10.1", True),
    ],
)
def test_known_broken_versions_are_refused_by_number(agent, make, path, at_least, below, refused):
    """2.10 lies between 2.9 and 2.11, and 2.10 is 2.10.0; a refusal leaves nothing behind."""
    answer = make("beta==2.10", refuse=[["Beta", at_least, below, "it discards every message"]])
    assert (answer["t"] == "failed") == refused
    if refused:
        assert "beta 2.10 is known" in answer["error"].lower()
        assert "it discards every message" in answer["error"]
        assert os.listdir(path.parent) == []


def test_requirements_that_contradict_each_other_are_refused(agent, make, path):
    """No set of versions satisfies both: an error about packages, in uv's words, and nothing stays behind."""
    answer = make("gamma", "beta==2.0")
    assert (answer["t"], answer["class"]) == ("failed", "packages")
    assert "gamma" in answer["tail"]
    assert agent.state("venv", path) is None


def test_an_inconsistent_environment_is_refused_with_what_is_missing(make, path, account, tmp_path):
    """What `uv pip check` calls inconsistent is not used, whoever let it in."""
    make("alpha", "beta==2.0")
    shutil.rmtree(site(path) / "beta-2.0.dist-info")
    filled = uv.Uv(UV, account, str(path), None, str(tmp_path / "cache"), print)
    with pytest.raises(run.Refused, match="`alpha` requires `beta`"):
        filled.check()


@pytest.mark.parametrize("requirement", ["beta==9.9", "nothing-of-this-name"])
def test_a_version_that_is_nowhere_is_refused(make, requirement):
    """No such version and no such package: an error about packages that quotes uv."""
    answer = make(requirement)
    assert (answer["t"], answer["class"]) == ("failed", "packages")
    assert requirement.split("=")[0] in answer["tail"]


def test_a_registry_out_of_reach_is_named_without_its_login(make):
    """Nothing listens there: said with the address, never with the password in it."""
    answer = make("alpha", requirements=["--index-url http://me:s3cret@127.0.0.1:1/simple", "alpha"])
    assert (answer["t"], answer["class"]) == ("failed", "unreachable")
    assert "127.0.0.1:1/simple" in answer["error"]
    assert "s3cret" not in str(answer)


class Nothing(BaseHTTPRequestHandler):
    """A web server that has nothing."""

    def do_GET(self) -> None:
        """Answer 404."""
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_constraints_are_those_of_the_hosts_own_python(agent, make, path):
    """Of several texts the one of this Python counts; without one for it the others are named."""
    mine = "{}.{}".format(*sys.version_info)
    assert make("beta", constraints={"texts": {"3.0": "beta==2.0\n", mine: "beta==1.9\n"}})["t"] == "done"
    assert (site(path) / "beta-1.9.dist-info").exists()
    answer = make("beta", digest="other", constraints={"texts": {"3.0": "beta==2.0\n"}})
    assert f"no constraints for this host's Python {mine}, only for 3.0" in answer["error"]


def test_constraints_that_are_not_there_are_named(make):
    """A page that is not there, and a server that is not there, are told apart; {python} is filled in."""
    server = HTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        answer = make("beta", constraints={"url": f"http://127.0.0.1:{server.server_port}/c-{{python}}.txt"})
    finally:
        server.shutdown()
        server.server_close()
    assert (answer["t"], answer["class"]) == ("failed", "missing")
    assert f"/c-{sys.version_info[0]}.{sys.version_info[1]}.txt" in answer["error"]
    answer = make("beta", constraints={"url": "http://127.0.0.1:1/c-{python}.txt"})
    assert (answer["t"], answer["class"]) == ("failed", "unreachable")


def test_uv_is_there_only_with_its_mark(agent, tmp_path):
    """An installation of uv that was killed half way is absent."""
    (tmp_path / "uv" / "bin").mkdir(parents=True)
    (tmp_path / "uv" / "bin" / "uv").write_text("")
    (tmp_path / "uv" / "bin" / "uv").chmod(0o755)
    assert agent.state("uv", tmp_path / "uv") is None
    (tmp_path / "uv" / ".airfleet.json").write_text('{"version": "1.0"}')
    assert agent.state("uv", tmp_path / "uv") == {"version": "1.0"}


@pytest.mark.parametrize("mark", ["", "nonsense", "[]", "null", "3"])
def test_a_mark_that_is_no_mark_counts_as_none(agent, make, path, mark):
    """Rubbish in the place of a mark makes nothing fail: what it stood for is absent."""
    path.mkdir(parents=True)
    (path / ".airfleet.json").write_text(mark)
    assert agent.state("venv", path) is None
