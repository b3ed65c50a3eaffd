"""What belongs to an account: worked on as that account, never as root, and marked as whole when it is whole."""

from __future__ import annotations

import json
import os
import signal
import stat
import time

from airfleet.agent import files, paths, run

MADE_FOR = "AIRFLEET_MAKES"
STRAYS_S = 10


def making(key, more=None):
    """Return an environment whose programs can be found again when the agent was killed before them."""
    return {MADE_FOR: key, **(more or {})}


def end_strays(key):
    """End what an earlier, killed agent left running for this key: it would write into what is made anew."""
    if left := kill(lambda: _strays(f"{MADE_FOR}={key}".encode()), STRAYS_S):
        raise run.Refused(
            f"processes of an earlier run still work on {key}: {', '.join(map(str, left))}",
            remedy="end them, then run again",
        )


def kill(found, timeout_s):
    """Kill the processes that `found` returns until it returns none; return what is left when the time is over."""
    deadline = time.monotonic() + timeout_s
    while pids := found():
        if time.monotonic() > deadline:
            return pids
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself in between
        time.sleep(0.1)
    return []


def _strays(words):
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as f:
                if words in f.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue  # it ended meanwhile, or is not ours to read
    return found


def remove(path, account):
    """Remove a file or a tree, if it is there; as root only what somebody put there as root."""
    if not os.path.lexists(path):
        return
    try:
        run.run(["rm", "-rf", "--", path], user=account)
    except run.Refused:
        folder, name = paths.open_folder(os.path.dirname(path)), os.path.basename(path)
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                import shutil

                shutil.rmtree(f"/proc/self/fd/{folder}/{name}")
            else:
                os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)


def take_back(path, account):
    """Give the whole tree to the account again: who works in it by sudo leaves files of root's."""
    entry = run.account_of(account)
    top = paths.open_folder(path)
    try:
        for name, info in [(".", os.fstat(top)), *paths.walk(path)]:
            if info.st_uid != entry.pw_uid and not stat.S_ISLNK(info.st_mode):
                _take(top, name, entry)
    finally:
        os.close(top)


def _take(top, name, entry):
    """Give one file or folder to an account; not one that has another name, which would be given away as well."""
    folder = paths.folder_below(top, name)
    try:
        there = os.open(os.path.basename(name), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        info = os.fstat(there)
        if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
            raise run.Refused(f"{name} is somebody else's and one of {info.st_nlink} names")
        if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode):
            os.chown(f"/proc/self/fd/{there}", entry.pw_uid, entry.pw_gid)
    finally:
        os.close(there)


def rename(source, target, account):
    """Give a tree its final name; never into a folder that is there already."""
    run.run(["mv", "--no-target-directory", "--", source, target], user=account)


def make_folder(path, account):
    """Make a folder and its parents, if they are not there."""
    if not os.path.isdir(path):
        run.run(["mkdir", "-p", "--", path], user=account)


def write(path, text, account, mode=0o644):
    """Write a file of the account's, atomically, and with its mode before its content."""
    entry = run.account_of(account)
    files.write(path, text, (entry.pw_uid, entry.pw_gid), mode)


def read_mark(path, **kinds):
    """Return the words of a mark, or None where there is no readable one, with words of these kinds."""
    try:
        words = json.loads(paths.read(path))
    except (OSError, ValueError, RecursionError, run.Refused):
        return None  # not a mark of ours: what it would stand for is made anew
    if not isinstance(words, dict) or not all(isinstance(words.get(name), kind) for name, kind in kinds.items()):
        return None
    return words


def write_mark(path, words, account):
    """Write a mark: the last step of making something."""
    write(path, json.dumps(words, sort_keys=True) + "\n", account)
