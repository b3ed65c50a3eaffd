"""What belongs to an account: worked on as that account, never as root, and marked as whole when it is whole."""

from __future__ import annotations

import grp
import json
import os
import shutil
import signal
import time

from airfleet.agent import files, run

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
        folder = files.open_folder(os.path.dirname(path))
        try:
            shutil.rmtree(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        finally:
            os.close(folder)


def take_back(path, account):
    """Give the whole tree to the account again: who works in it by sudo leaves files of root's."""
    run.run(["chown", "-R", "--no-dereference", f"{account}:", path])


def rename(source, target, account):
    """Give a tree its final name; never into a folder that is there already."""
    run.run(["mv", "--no-target-directory", "--", source, target], user=account)


def make_folder(path, account):
    """Make a folder and its parents, if they are not there."""
    if not os.path.isdir(path):
        run.run(["mkdir", "-p", "--", path], user=account)


def write(path, text, account, mode="0644"):
    """Write a file of the account's, atomically, and with its mode before its content."""
    group = grp.getgrgid(run.account_of(account).pw_gid).gr_name
    want = {"owner": account, "group": group, "mode": mode}
    files.make_file(path, files.look_file(path, {})[0], want, {"text": text}, None)


def read_mark(path):
    """Return the words of a mark, or None where there is no readable one."""
    try:
        _, detail = files.look_file(path, {})
        words = json.loads(detail.get("text") or "null")
    except (OSError, ValueError, run.Refused):
        return None  # not a mark of ours: what it would stand for is made anew
    return words if isinstance(words, dict) else None


def write_mark(path, words, account):
    """Write a mark: the last step of making something."""
    write(path, json.dumps(words, sort_keys=True) + "\n", account)
