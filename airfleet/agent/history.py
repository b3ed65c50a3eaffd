"""What was done to this installation, by whom and when: JSON lines that are only ever added to."""

from __future__ import annotations

import fcntl
import json
import os

PATH = "/var/log/airfleet/history.jsonl"
MODE, FOLDER_MODE = 0o640, 0o750
RETIRE, DONE = "retire", "done"


def record(words, tell):
    """Add one entry, `entry`; an entry with the same id is not added again."""
    path = words.get("path", PATH)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.mkdir(folder, FOLDER_MODE)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    with os.fdopen(fd, "r+", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        os.fchmod(f.fileno(), MODE)
        text = f.read()
        if any(entry.get("id") == words["entry"]["id"] for entry in _entries(text)):
            return {"added": False}
        # A line that a full disk or a crash cut short must not swallow this one.
        f.write(("" if not text or text.endswith("\n") else "\n") + json.dumps(words["entry"], sort_keys=True) + "\n")
        f.flush()
        os.fsync(f.fileno())
    return {"added": True}


def history(words, tell):
    """Return the newest entries, oldest first, at most `limit` of them."""
    return {"entries": _read(words)[-words["limit"] :]}


def members(words, tell=None):
    """Return {"members": {name: [when, its part of the inventory or {}]}, "retired": {name: when}}.

    The hosts that were ever worked on, each as it was last written down, and those that were retired; `when` is the
    beginning of the run, as the history has it.
    """
    found, retired = {}, {}
    for entry in _read(words):
        when = str(entry.get("began"))
        if entry.get("doing") == RETIRE:
            if entry.get("result") == DONE:
                retired.update(dict.fromkeys(entry.get("retired") or (), when))
            continue
        for name in entry.get("hosts") or {}:
            found.setdefault(name, [when, {}])[0] = when
        for name, part in (entry.get("members") or {}).items():
            found[name] = [when, part]
    return {"members": found, "retired": retired}


def _read(words):
    try:
        with open(words.get("path", PATH), encoding="utf-8", errors="replace") as f:
            return _entries(f.read())
    except FileNotFoundError:
        return []


def _entries(text):
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut short: what it told is lost, the others are not
        if isinstance(entry, dict):
            found.append(entry)
    return found
