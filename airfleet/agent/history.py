"""What was done to this installation, by whom and when: JSON lines that are only ever added to, in a chain."""

from __future__ import annotations

import fcntl
import json
import os

from airfleet.agent import chain, run

PATH = "/var/log/airfleet/history.jsonl"
MODE, FOLDER_MODE = 0o640, 0o750
RETIRE, DONE = "retire", "done"
LONGEST = 64 * 1024 * 1024  # characters of a history that are read


def record(words, tell):
    """Add one entry, `entry`; an entry with the same id is not added again."""
    path = words.get("path", PATH)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.mkdir(folder, FOLDER_MODE)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    with os.fdopen(fd, "r+", encoding="utf-8", errors="surrogateescape") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        os.fchmod(f.fileno(), MODE)
        text = f.read()
        if any(entry.get("id") == words["entry"]["id"] for entry in _entries(text)):
            return {"added": False}
        # A line that a full disk or a crash cut short must not swallow this one.
        line = chain.linked(words["entry"], text)
        f.write(("" if not text or text.endswith("\n") else "\n") + line + "\n")
        f.flush()
        os.fsync(f.fileno())
        chain.write_head(path, line, len(text.splitlines()) + 1)
    return {"added": True}


def history(words, tell):
    """Return the newest entries, oldest first, at most `limit` of them."""
    return {"entries": _read(words)[-words["limit"] :]}


def verify_history(words, tell):
    """Return {"lines", "chained", "faults": [{"line", "what"}], "entries": {id: [began, doing, digest]}}.

    The digest is of what an entry says, which is the same on every host.
    """
    path = words.get("path", PATH)
    text = text_of(path)
    try:
        head = run.parsed(text_of(f"{path}.head") or "{}")
    except ValueError:
        head = {}
    chained, faults = chain.faults(text, head)
    said = {
        str(entry.get("id")): [
            str(entry.get("began")),
            str(entry.get("doing")),
            chain.digest(json.dumps(chain.bare(entry), sort_keys=True)),
        ]
        for entry in _entries(text)
    }
    return {"lines": len(text.splitlines()), "chained": chained, "faults": faults, "entries": said}


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
                retired.update(dict.fromkeys(_names(entry.get("retired")), when))
            continue
        for name in _names(entry.get("hosts")):
            found.setdefault(name, [when, {}])[0] = when
        parts = entry.get("members")
        for name in _names(parts) if isinstance(parts, dict) else ():
            found[name] = [when, parts[name] if isinstance(parts[name], dict) else {}]
    return {"members": found, "retired": retired}


def _names(value):
    """Return the names in a list or a dict, as far as they are names."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, (list, dict)) else []


def _read(words):
    return [chain.bare(entry) for entry in _entries(text_of(words.get("path", PATH)))]


def text_of(path):
    """Return the text of a history, or of what stands beside it; "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as f:
            text = f.read(LONGEST + 1)
    except FileNotFoundError:
        return ""
    if len(text) > LONGEST:
        raise run.Refused(f"{path} is longer than {LONGEST // 1024**2} MiB", remedy="look at what is in it")
    return text


def _entries(text):
    found = []
    for line in text.splitlines():
        try:
            entry = run.parsed(line)
        except ValueError:
            continue  # cut short: what it told is lost, the others are not
        if isinstance(entry, dict):
            found.append(entry)
    return found
