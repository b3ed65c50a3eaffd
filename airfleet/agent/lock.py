"""The lock of an installation: an flock that lasts as long as the operator's connection, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import time

from airfleet.agent import run

PATH = "/run/airfleet.lock"
SOMEBODY = {"who": "somebody"}
LONGEST = 64 * 1024  # characters that are read of who has it
_held = []


def lock(words, tell):
    """Take the lock and keep it until this process ends; or answer who has it.

    `words` says who, from where, since when and doing what; the answer is {"held_by": null or those words}.
    """
    path = words.pop("path", PATH)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with os.fdopen(fd) as f:
            return {"held_by": _words(f.read())}
    os.ftruncate(fd, 0)
    os.write(fd, json.dumps(words).encode())
    _held.append(fd)
    return {"held_by": None}


def holder(words, tell):
    """Return {"held_by": who has the lock, with "age_s"; null where nobody has}.

    Nothing is locked for that, not for a moment: somebody who wants the lock just then must get it. So the kernel's
    list of locks is read.
    """
    try:
        with open(words.get("lock", PATH), encoding="utf-8") as f:
            there = os.fstat(f.fileno())
            text = f.read(LONGEST)
    except FileNotFoundError:
        return {"held_by": None}
    if not _locked(there):
        return {"held_by": None}
    # Its holder has written the file when it took the lock: how long ago is then told by this host's clock alone.
    return {"held_by": {**_words(text), "age_s": round(max(0.0, time.time() - there.st_mtime), 1)}}


def now(words):
    """Return who has the lock of this host, or None."""
    return holder(words, None)["held_by"]


def _words(text):
    try:
        words = run.parsed(text)
    except ValueError:
        words = None  # just being written
    return words if isinstance(words, dict) else dict(SOMEBODY)


def _locked(there):
    """Tell whether a file is locked by flock: /proc/locks names it by its device and inode."""
    name = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
    with open("/proc/locks", encoding="ascii") as f:
        lines = [line.split() for line in f]
    return any(words[1] == "FLOCK" and words[5] == name for words in lines if "->" not in words)
