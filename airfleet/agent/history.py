"""What was done to this installation, by whom and when: JSON lines that are only ever added to."""

from __future__ import annotations

import fcntl
import json
import os

PATH = "/var/log/airfleet/history.jsonl"
MODE, FOLDER_MODE = 0o640, 0o750


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
    try:
        with open(words.get("path", PATH), encoding="utf-8", errors="replace") as f:
            entries = _entries(f.read())
    except FileNotFoundError:
        entries = []
    return {"entries": entries[-words["limit"] :]}


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
