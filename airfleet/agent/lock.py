"""The lock of an installation: an flock that lasts as long as the operator's connection, however that ends."""

from __future__ import annotations

import fcntl
import json
import os

PATH = "/run/airfleet.lock"
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
            text = f.read()
        return {"held_by": json.loads(text) if text else {"who": "somebody"}}
    os.ftruncate(fd, 0)
    os.write(fd, json.dumps(words).encode())
    _held.append(fd)
    return {"held_by": None}
