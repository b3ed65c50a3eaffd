"""Packages of the distribution, by apt."""

from __future__ import annotations

import fcntl
import os
import time

from airfleet.agent import run

LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")
LOCK_WAIT_S = 300
LISTS = "/var/lib/apt/lists"
LISTS_MAX_AGE_S = 24 * 3600
ENV = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "APT_LISTCHANGES_FRONTEND": "none"}


def look_packages(title, ask):
    """Return `installed` for each of the names that is."""
    argv = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *ask["names"]]
    text = run.run(argv, ok=(0, 1), errors=False)
    status = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    return {name: "installed" for name in ask["names"] if status.get(name) == "installed"} or None, {}


def make_packages(title, seen, want, means, tell):
    """Install those that are missing; wait for another apt first, and finish what an interrupted one left."""
    missing = [name for name in want if not (seen or {}).get(name)]
    _wait_for_locks(tell)
    run.run(["dpkg", "--configure", "--pending", "--force-confold"], env=ENV, timeout_s=900, tell=tell)
    if _lists_are_old():
        run.run(["apt-get", "update", "-q"], env=ENV, timeout_s=300, tell=tell)
    argv = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]
    argv += ["-o", "DPkg::Lock::Timeout=%d" % LOCK_WAIT_S, "-o", "Acquire::Retries=3", *missing]
    try:
        run.run(argv, env=ENV, timeout_s=1800, tell=tell)
    except run.Refused:
        tell("once more, with fresh package lists")
        run.run(["apt-get", "update", "-q"], env=ENV, timeout_s=300, tell=tell)
        run.run(argv, env=ENV, timeout_s=1800, tell=tell)


def _lists_are_old():
    try:
        newest = max((entry.stat().st_mtime for entry in os.scandir(LISTS) if "_Packages" in entry.name), default=0)
    except FileNotFoundError:
        return True
    return time.time() - newest > LISTS_MAX_AGE_S


def _wait_for_locks(tell):
    def free():
        held = [path for path in LOCKS if _is_locked(path)]
        if held:
            tell(f"waiting for another package manager ({_holder(held[0])}), at most {LOCK_WAIT_S} s")
        return not held

    if not run.wait_until(free, LOCK_WAIT_S, poll_s=2):
        raise run.Refused(
            f"apt is locked by another process ({_holder(LOCKS[0])}) for more than {LOCK_WAIT_S} s",
            remedy="let it finish, then run again",
        )


def _is_locked(path):
    try:
        with open(path, "r+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except (BlockingIOError, PermissionError):
        return True


def _holder(path):
    """Return the command name and pid of the process that locks this file, from /proc/locks."""
    try:
        inode = os.stat(path).st_ino
        with open("/proc/locks") as locks:
            for line in locks:
                words = line.split()
                if "->" not in words and words[5].endswith(f":{inode}"):
                    with open(f"/proc/{words[4]}/comm") as comm:
                        return f"{comm.read().strip()}, pid {words[4]}"
    except (OSError, IndexError):
        pass  # it ended meanwhile: the caller looks again
    return "unknown"
