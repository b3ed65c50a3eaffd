"""Folders that their owner has prepared for root's agent: links, `..`, pipes, devices, other names, endless files.

The account that attacks is a number that no machine here has; what it must not reach is outside of its folder.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import tempfile
import time
from pathlib import Path

import pytest
from fuzzing import FULL, HELD, tried
from hypothesis import given
from hypothesis import strategies as st

from airfleet.agent import (
    code,
    effective,
    files,
    inside,
    owned,
    paths,
    patience,
    processes,
    releases,
    run,
    units,
    uv,
    vitals,
)

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led where others may not go")
pytestmark = [HELD, NEEDS_ROOT]
UID = 58017
ACCOUNT = "fuzzed"
SECRET = "root's own secret\n"
HOLDS_S = 20
COMMIT = "b" * 40
KINDS = (
    "file",
    "folder",
    "out",
    "out_folder",
    "up",
    "loop",
    "pipe",
    "zero",
    "null",
    "socket",
    "hard",
    "endless",
)
# What root's agent reads or walks below an account's home.
NAMES = ("airflow.cfg", "environment", "x.pid", "stamp", "patience", "venv/pyvenv.cfg", f"releases/{COMMIT}")
MORE = (f"releases/.{COMMIT}.json", f"releases/{COMMIT}/plugins", f"releases/{COMMIT}/plugins/p.py", "current", "venv")
PREPARED = st.dictionaries(st.sampled_from(NAMES + MORE), st.sampled_from(KINDS), min_size=1, max_size=5)


class Home:
    """An account's home, and beside it a folder of root's that nothing may be read from or changed in."""

    def __init__(self):
        self.top = Path(tempfile.mkdtemp(prefix="airfleet-fuzz-"))
        self.top.chmod(0o755)
        self.outside, self.home = self.top / "outside", self.top / "home"
        (self.outside / "folder").mkdir(parents=True)
        for path in (self.outside / "secret", self.outside / "folder" / "secret"):
            path.write_text(SECRET)
            path.chmod(0o600)
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        self.before = self.seen()
        self.sockets = []

    def seen(self):
        """Return all that is outside: names, kinds, owners, content."""
        found = {}
        for path in sorted([self.outside, *self.outside.rglob("*")]):
            info = path.lstat()
            found[str(path)] = (info.st_mode, info.st_uid, info.st_gid, path.read_text() if path.is_file() else "")
        return found

    def put(self, name, kind):
        """Put something of this kind at a name, as the account could."""
        path = self.home / name
        if any(each.is_symlink() for each in path.parents):
            return  # that would be the test's own hand outside
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._put(path, kind)
        except OSError:
            return  # something else is there already
        for each in (path, *path.parents):
            if each == self.home:
                break
            if not (each.is_file() and each.lstat().st_nlink > 1):
                os.lchown(each, UID, UID)

    def _put(self, path, kind):
        links = {
            "out": self.outside / "secret",
            "out_folder": self.outside / "folder",
            "up": "../../outside/secret",
            "loop": path.name,
            "zero": "/dev/zero",
            "null": "/dev/null",
        }
        if kind in links:
            path.symlink_to(links[kind])
        elif kind == "file":
            path.write_text(json.dumps({"tree": "x", "made_at": 1, "subject": "s"}))
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            self.sockets.append(socket.socket(socket.AF_UNIX))
            self.sockets[-1].bind(str(path)[:100])
        elif kind == "hard":
            os.link(self.outside / "secret", path)
        elif kind == "endless":
            with path.open("w") as f:
                f.truncate(2**40)

    def end(self):
        """Take all of it away."""
        for each in self.sockets:
            each.close()
        shutil.rmtree(self.top)


@pytest.fixture(autouse=True)
def accounted(monkeypatch):
    """Have the account on this host, without making it; nothing may hold us longer than HOLDS_S."""
    entry = pwd.struct_passwd((ACCOUNT, "x", UID, UID, "", "/", "/bin/sh"))
    monkeypatch.setattr(run, "account_of", lambda name: entry if name == ACCOUNT else pwd.getpwnam(name))
    monkeypatch.setattr(files, "READ_LIMIT", 4 * files.CHUNK)
    signal.signal(signal.SIGALRM, held)
    yield
    signal.alarm(0)


def held(*_):
    raise AssertionError(f"held for {HOLDS_S} s")


def attempt(do, *args):
    """Return what it answers, as text; a refusal or an error of the system is an answer."""
    signal.alarm(HOLDS_S)
    try:
        return repr(do(*args))
    except (run.Refused, OSError, ValueError) as e:
        return str(e)
    finally:
        signal.alarm(0)


def looked(home):
    """Have root's agent look at everything, and return all that it told."""
    at = str(home.home)
    settings = {"url": ("database", "sql_alchemy_conn")}
    asked = {"settings": settings, "units": [], "config": f"{at}/airflow.cfg", "environment": f"{at}/environment"}
    said = [attempt(files.look_file, f"{at}/{name}", {}) for name in NAMES + MORE]
    said += [
        attempt(look, f"{at}/{name}", {}) for name in NAMES + MORE for look in (files.look_directory, files.look_link)
    ]
    said += [
        attempt(owned.read_mark, f"{at}/releases/.{COMMIT}.json"),
        attempt(units.read_stamp, f"{at}/stamp"),
        attempt(processes.pidfiles, {"home": at}),
        attempt(releases.releases, {"releases": f"{at}/releases"}, None),
        attempt(releases._started_with, f"{at}/stamp"),
        attempt(code.look_release, f"{at}/releases", {"commit": COMMIT, "requirements": "plugins/p.py"}),
        attempt(code.same, f"{at}/releases", COMMIT, COMMIT, "plugins"),
        attempt(effective.values, asked),
        attempt(effective.overrides, asked),
        attempt(inside.minor_of, f"{at}/venv"),
        attempt(vitals.versions, {"venv": f"{at}/venv", "packages": ["x"]}),
        attempt(patience.patience, {}, None),
    ]
    return said


@tried(60)
@given(PREPARED)
def test_a_look_is_not_led_held_or_filled(prepared):
    """Root's agent looks at all of a prepared home: nothing of what is outside is told, and nothing holds it."""
    home = Home()
    try:
        for name, kind in prepared.items():
            home.put(name, kind)
        patched = pytest.MonkeyPatch()
        patched.setattr(patience, "LEFT", f"{home.home}/patience")
        patched.setattr(effective, "_read", {})
        with patched.context():
            said = looked(home)
        patched.undo()
        assert not [text for text in said if SECRET.strip() in text]
        assert home.seen() == home.before
    finally:
        home.end()


@tried(60)
@given(PREPARED, st.sampled_from(NAMES + MORE))
def test_a_change_is_made_in_the_folder_or_not_at_all(prepared, name):
    """Writing, making a folder, taking back and removing: whatever is in the place, what is outside stays as it was."""
    home = Home()
    try:
        for each, kind in prepared.items():
            home.put(each, kind)
        path = f"{home.home}/{name}"
        attempt(owned.write, path, "ours\n", ACCOUNT)
        owner = {"owner": "root", "group": "root", "mode": "0755"}
        attempt(files.make_directory, path, None, owner, {}, None)
        attempt(files.make_link, path, attempt_state(path), {"target": "ours"}, {"owner": "root"}, None)
        (home.home / "of-root").write_text("left by sudo")
        attempt(owned.take_back, str(home.home), ACCOUNT)
        assert home.seen() == home.before
        attempt(owned.remove, path, ACCOUNT)
        assert home.seen() == home.before
        attempt(owned.remove, str(home.home), ACCOUNT)
        assert home.seen() == home.before
    finally:
        home.end()


def attempt_state(path):
    """Return the state of a link, or None."""
    try:
        return files.look_link(path, {})[0]
    except (run.Refused, OSError):
        return None


def test_what_root_left_is_taken_back_and_another_name_is_not():
    """Files that sudo left behind belong to the account again; one that has a name elsewhere is refused."""
    home = Home()
    try:
        (home.home / "deep").mkdir()
        (home.home / "deep" / "left").write_text("x")
        owned.take_back(str(home.home), ACCOUNT)
        assert {path.stat().st_uid for path in home.home.rglob("*")} == {UID}
        os.link(home.outside / "secret", home.home / "deep" / "another")
        with pytest.raises(run.Refused, match="one of 2 names"):
            owned.take_back(str(home.home), ACCOUNT)
        assert (home.outside / "secret").stat().st_uid == 0
    finally:
        home.end()


def swapping(home, times):
    """Have a child, as the account, swap a folder for a link out and back; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)
        os.chdir(home.home)
        os.mkdir("real")
        os.symlink(home.outside / "folder", "link")
        os.rename("real", "swapped")
        for _ in range(times):
            os.rename("swapped", "real")
            os.rename("link", "swapped")
            os.rename("swapped", "link")
            os.rename("real", "swapped")
    finally:
        os._exit(0)


def test_who_swaps_folders_while_we_walk_leads_us_nowhere():
    """A folder is a link out for half of the time: nothing is written, read or removed behind that link."""
    home = Home()
    pid = swapping(home, 200_000 if FULL else 20_000)
    deadline, rounds = time.monotonic() + 300, 0
    try:
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            rounds += 1
            said = attempt(files.look_file, f"{home.home}/swapped/secret", {})
            assert SECRET.strip() not in said
            attempt(files.write, f"{home.home}/swapped/secret", "ours\n", (0, 0), 0o644)
            attempt(lambda: list(paths.walk(str(home.home))))
            attempt(owned.take_back, str(home.home), ACCOUNT)
        assert rounds > 10
        assert home.seen() == home.before
    finally:
        home.end()


def test_a_cache_is_not_given_away_through_a_link(monkeypatch):
    """The folder for downloaded packages is put in a link's place between its making and its being given away."""
    home = Home()
    try:
        make = os.makedirs

        def makes(path, mode):
            make(path, mode)
            os.rename(path, f"{path}.mine")
            os.symlink(home.outside / "folder", path)
            os.lchown(path, UID, UID)

        monkeypatch.setattr(uv.os, "makedirs", makes)
        with pytest.raises(run.Refused, match="link that root did not make"):
            uv.Uv("uv", ACCOUNT, str(home.home), str(home.home), f"{home.home}/cache", None)
        assert home.seen() == home.before
    finally:
        home.end()


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "zero", "socket", "folder", "loop"])
def test_what_is_no_plain_file_is_not_opened(kind, follow):
    """It is told what it is, also where a link of the account's may lead there: a device is not touched."""
    home = Home()
    try:
        home.put("odd", kind)
        with pytest.raises((paths.Odd, OSError), match=r"not a|Too many levels"):
            os.close(paths.open_file(f"{home.home}/odd", follow=follow))
    finally:
        home.end()


def test_an_endless_file_is_not_read_to_its_end():
    """A terabyte that takes no room: told as too long, at once."""
    home = Home()
    try:
        home.put("endless", "endless")
        signal.alarm(HOLDS_S)
        assert files.look_file(f"{home.home}/endless", {})[0]["sha256"].startswith("too long")
        with pytest.raises(paths.Odd, match="longer than"):
            paths.read(f"{home.home}/endless")
        assert stat.S_ISREG((home.home / "endless").stat().st_mode)
    finally:
        home.end()
