"""A host that goes back: the agent arms and disarms, the installed program restores; all on real files.

systemd is a script here that notes what it is asked; tests/live/test_way_back.py has the real one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import signal
import subprocess
import sys
import time

import pytest

from airfleet import way_back_files
from airfleet.agent import run, units

SCHEDULER, WORKER, EXTRA = "airflow-scheduler.service", "airflow-worker@1.service", "airflow-worker@2.service"
DRAINED = "airflow-worker@3.service"
KEY = "way_back"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another account")


class Rig:
    """A host's folders, and what would replace what in them."""

    def __init__(self, agent, folder, account):
        self.agent, self.root, self.account = agent, folder, account
        self.folder, self.asked, self.shown = folder / "var" / "way-back", folder / "asked", folder / "shown"
        self.history, self.block = folder / "history.jsonl", folder / "block"
        self.config, self.link, self.new = folder / "etc" / "airflow.cfg", folder / "etc" / "current", folder / "new"
        script = folder / "systemctl"
        script.write_text(
            f'#!/bin/sh\necho "$@" >> {self.asked}\nif [ "$1" = show ]; then cat {self.shown}; fi\n'
            f'if [ "$1" = daemon-reload ] && [ -e {self.block} ]; then echo >> {self.block}; sleep 60; fi\n'
        )
        script.chmod(0o755)
        for made in (folder / "etc", folder / "units", folder / "run"):
            made.mkdir()
        self.shown.write_text("")
        self.places = {
            "systemctl": str(script),
            "installed": str(folder / "opt"),
            "units": str(folder / "units"),
            "history": str(self.history),
            "lock": str(folder / "lock"),
            "run": str(folder / "run"),
        }
        self.config.write_bytes(b"old \xff\x00 text")
        self.config.chmod(0o640)
        os.chown(self.config, pwd.getpwnam(account).pw_uid, -1)
        self.link.symlink_to("releases/old")
        os.lchown(self.link, pwd.getpwnam(account).pw_uid, -1)

    def arm(self, confirm_s=3600, paths=(), units=(), **more):
        words = {
            "id": "run1",
            "host": "af1",
            "who": "ann@desk",
            "doing": "deploy",
            "commit": "a" * 40,
            "confirm_s": confirm_s,
            "folder": str(self.folder),
            "places": self.places,
            "paths": [str(path) for path in (self.config, self.link, self.new, *paths)],
            "units": list(units),
            "program": way_back_files.program(),
        }
        return self.agent.call("way_back_arm", **{**words, **more})

    def change(self):
        """Replace it all, as a deploy or a bootstrap would."""
        self.config.unlink()
        self.config.write_text("new")
        self.link.unlink()
        self.link.symlink_to("releases/new")
        self.new.write_text("was not there before")

    def state(self):
        info, link = self.config.stat(), self.link.lstat()
        return (
            *(self.config.read_bytes(), info.st_mode, info.st_uid, info.st_gid),
            *(str(self.link.readlink()), link.st_uid, link.st_gid, self.new.exists()),
        )

    def start(self):
        opt = self.root / "opt"
        argv = [sys.executable, "-I", "-S", opt / "way-back.py", opt / "way-back.sources", self.folder]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def tick(self):
        """Let the timer come once; return the exit status and what was printed."""
        child = self.start()
        out, _ = child.communicate(timeout=60)
        return child.returncode, out

    def edit(self, change):
        """Change what is written down of what is armed."""
        path = self.folder / "armed.json"
        armed = json.loads(path.read_text())
        change(armed)
        path.write_text(json.dumps(armed))

    def told(self):
        return self.agent.state(KEY, self.folder)

    def disarm(self, *, expected=True):
        return self.agent.call("way_back_disarm", folder=str(self.folder), expected=expected)["words"]

    def entries(self):
        return [json.loads(line) for line in self.history.read_text().splitlines()] if self.history.exists() else []


@pytest.fixture
def rig(agent, tmp_path):
    return Rig(agent, tmp_path, "nobody")


def unit(name, enabled, active):
    return f"Id={name}\nLoadState=loaded\nActiveState={active}\nUnitFileState={enabled}\n"


def test_unconfirmed_all_is_byte_for_byte_what_it_was(rig):
    """Content, mode, owner, links, and what was not there; the history says so, once, and so does the next look."""
    before = rig.state()
    assert rig.told() is None
    rig.arm(confirm_s=0)
    assert "goes back at" in rig.told()["unconfirmed"]
    rig.change()
    assert rig.state() != before
    status, printed = rig.tick()
    assert (status, rig.state()) == (0, before), printed
    (entry,) = rig.entries()
    assert (entry["result"], entry["doing"], entry["commit"]) == ("went back", "way back", "a" * 40)
    assert "nobody confirmed the deploy of ann@desk within 0 s" in entry["problem"]
    assert list(rig.told()) == ["went back"]
    assert "because nobody confirmed" in rig.told()["went back"]
    assert not (rig.root / "units" / "timers.target.wants" / way_back_files.TIMER).is_symlink()
    late = rig.disarm()
    assert (late["confirmed"], "because nobody confirmed" in late["says"]) == (False, True)
    assert rig.disarm(expected=False)["confirmed"]
    assert (rig.told(), len(rig.entries())) == (None, 1)


def test_confirmed_all_stays_and_nothing_is_kept(rig):
    """What was kept holds secrets: root's alone, and gone with the confirmation; the timer is stopped."""
    rig.arm(confirm_s=0)
    assert (rig.folder.stat().st_mode & 0o777, (rig.folder / "armed.json").stat().st_mode & 0o777) == (0o700, 0o600)
    rig.change()
    changed = rig.state()
    (rig.folder / ".armed.json.airfleet-77").write_text("what a killed process had begun to write")
    assert rig.disarm() == {"confirmed": True, "says": "confirmed"}
    assert (rig.told(), rig.state(), rig.entries()) == (None, changed, [])
    assert [each.name for each in rig.folder.iterdir()] == ["guard"]
    assert rig.asked.read_text().splitlines()[-1] == f"stop --no-block {way_back_files.TIMER}"
    assert not rig.disarm()["confirmed"]


def test_it_waits_for_its_time_and_a_beat_puts_that_off(rig):
    """Nothing is touched before; who is at work is asked for a sign of life, no more."""
    began = time.time()
    until = rig.arm(confirm_s=100)["words"]["until"]
    assert 99 < until - began < 110
    rig.change()
    changed = rig.state()
    assert (rig.tick(), rig.state()) == ((0, ""), changed)
    rig.edit(lambda armed: armed["until"].update(clock=time.monotonic() - 1))
    assert rig.agent.call("way_back_beat", folder=str(rig.folder))["words"]["until"] > until
    assert (rig.tick(), rig.state()) == ((0, ""), changed)


@pytest.mark.parametrize(("wall_s", "goes"), [(-1, True), (60, False)])
def test_after_a_reboot_the_walls_clock_counts(rig, wall_s, goes):
    """The clock of the boot in which it was armed says nothing any more; the timer is enabled, and comes again."""
    before = rig.state()
    rig.arm()
    rig.change()
    assert (
        str((rig.root / "units" / "timers.target.wants" / way_back_files.TIMER).readlink())
        == "../airfleet-way-back.timer"
    )
    assert (rig.root / "units" / way_back_files.TIMER).exists()
    rig.edit(lambda armed: armed["until"].update(boot="another", clock=0, wall=time.time() + wall_s))
    assert rig.tick()[0] == 0
    assert (rig.state() == before) is goes


def test_a_link_of_the_accounts_leads_nobody_elsewhere(rig):
    """A folder that became somebody's link is not gone through: that is told, tried again, and the rest is put back."""
    inside = rig.root / "home" / "environment"
    inside.parent.mkdir()
    inside.write_text("old")
    rig.arm(confirm_s=0, paths=[inside])
    before = rig.state()
    rig.change()
    elsewhere = rig.root / "elsewhere"
    inside.parent.rename(rig.root / "aside")
    elsewhere.mkdir()
    (elsewhere / "environment").write_text("root's own")
    inside.parent.symlink_to(elsewhere)
    os.lchown(inside.parent, pwd.getpwnam(rig.account).pw_uid, -1)
    status, printed = rig.tick()
    assert (status, rig.state()) == (1, before)
    assert "is a link that root did not make" in printed
    assert (elsewhere / "environment").read_text() == "root's own"
    assert (rig.entries(), "is going back" in rig.told()["unconfirmed"]) == ([], True)
    rig.edit(lambda armed: armed.update(clock=armed["clock"] - 3600))
    assert rig.tick()[0] == 1
    (entry,) = rig.entries()
    assert (entry["result"], entry["hosts"]) == ("went back", {"af1": "not all is as it was"})
    assert "is a link that root did not make" in entry["problem"]


def test_a_file_that_became_a_link_is_replaced_and_not_written_through(rig):
    """What the link leads to is somebody else's."""
    rig.arm(confirm_s=0)
    before = rig.state()
    other = rig.root / "other"
    other.write_text("root's own")
    rig.config.unlink()
    rig.config.symlink_to(other)
    assert (rig.tick()[0], rig.state(), other.read_text()) == (0, before, "root's own")


def test_killed_in_the_middle_it_goes_on(rig):
    """By SIGKILL while it waits for systemd: the next call ends it, and meanwhile it is too late to confirm."""
    before = rig.state()
    rig.shown.write_text(unit(SCHEDULER, "enabled", "active"))
    rig.arm(confirm_s=0, units=[SCHEDULER])
    rig.change()
    rig.block.touch()
    child = rig.start()
    assert run.wait_until(rig.block.read_text, 30)
    child.send_signal(signal.SIGKILL)
    child.wait()
    rig.block.unlink()
    assert not rig.disarm()["confirmed"]
    assert rig.arm()["class"] == "refused"
    rig.new.write_text("again")
    assert (rig.tick()[0], rig.state(), len(rig.entries())) == (0, before, 1)


def test_who_works_here_is_waited_for_as_long_again(rig):
    """The lock of somebody who does not confirm keeps a host from its way back no longer than that."""
    before = rig.state()
    rig.arm(confirm_s=3600)
    rig.change()
    changed = rig.state()
    with (rig.root / "lock").open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        rig.edit(lambda armed: armed["until"].update(clock=time.monotonic() - 10))
        assert (rig.tick()[0], rig.state()) == (0, changed)
        rig.edit(lambda armed: armed["until"].update(clock=time.monotonic() - 3601))
        assert (rig.tick()[0], rig.state()) == (0, before)


def test_what_an_earlier_run_left_unconfirmed_is_what_counts(rig):
    """A second run arms again: the host goes back to what was confirmed last, not to what the first one left."""
    before = rig.state()
    rig.arm(confirm_s=3600)
    rig.change()
    rig.arm(confirm_s=0, id="run2", commit="b" * 40)
    assert (rig.tick()[0], rig.state()) == (0, before)
    assert [(e["id"], e["commit"]) for e in rig.entries()] == [("run2-af1", "a" * 40)]


def test_what_runs_on_something_else_is_restarted_and_what_is_new_is_stopped(rig):
    """A process that read the old files all the while is left alone; a worker ends its tasks, so nobody waits."""
    rig.shown.write_text("\n".join(unit(name, "enabled", "active") for name in (SCHEDULER, WORKER, DRAINED)))
    old = hashlib.sha256(rig.config.read_bytes()).hexdigest()
    stamps = {
        SCHEDULER: hashlib.sha256(b"new").hexdigest(),
        WORKER: old,
        DRAINED: old,
    }
    rig.arm(confirm_s=0, units=[SCHEDULER, WORKER, DRAINED, "airflow-worker@*.service"])
    for name, digest in stamps.items():
        stamp = rig.root / "run" / name.removesuffix(".service") / "stamp"
        stamp.parent.mkdir()
        stamp.write_text(f"{digest}  {rig.config}\n")
    (rig.root / "run" / "airflow-worker@3" / units.MARK).touch()
    rig.edit(lambda armed: armed["units"].update({EXTRA: {"enabled": False, "active": False}}))
    rig.shown.write_text(f"{rig.shown.read_text()}\n{unit(EXTRA, 'enabled', 'active')}")
    rig.change()
    rig.asked.write_text("")
    assert rig.tick()[0] == 0
    asked = [line for line in rig.asked.read_text().splitlines() if not line.startswith("show")]
    assert asked == [
        f"disable {EXTRA}",
        f"stop --no-block {EXTRA}",
        "daemon-reload",
        f"restart --no-block {SCHEDULER} {DRAINED}",
        f"stop --no-block {way_back_files.TIMER}",
    ]
