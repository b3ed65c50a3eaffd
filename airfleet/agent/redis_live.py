"""A running Redis is told of its new passwords: nothing restarts for them, and connections that are open stay open."""

from __future__ import annotations

import hashlib
import os
import re

from airfleet.agent import resp, run

RUN = "/run/redis-server"
ADMIN = "airfleet"  # root's own user, whose password the unit leaves beside its stamp (redis_access)
DIGEST = re.compile(r" #[0-9a-f]{64}")


def redis_adopt(words, tell):
    """Have Redis let in whom a redis.conf lets in that is about to be written, where nothing else differs in it.

    {"path", "text", "host", "port", "user", "digests": [#SHA-256 of each password, …]}, "run": the unit's folder. The
    answer is {"live": whether it did}. Then its stamp says that it has read that text: to all intents it has. The stamp
    comes before the file: killed in between, the file is written by the next run, and nothing restarts.
    """
    folder = words.get("run", RUN)
    stamp = f"{folder}/stamp"
    try:
        there, stamped, admin = _text(words["path"]), _text(stamp), _text(f"{folder}/admin").strip()
    except OSError:
        return {"live": False}  # there is none yet, or it does not run, or runs since before it had users
    lines = stamped.splitlines()
    line = f"{_digest(there)}  {words['path']}"
    wanted = f"{_digest(words['text'])}  {words['path']}"
    if DIGEST.sub("", there) != DIGEST.sub("", words["text"]) or not {line, wanted} & set(lines):
        return {"live": False}
    try:
        with resp.Redis(words["host"], words["port"]) as redis:
            redis.login(ADMIN, admin)
            redis.ask("ACL", "SETUSER", words["user"], "resetpass", *words["digests"])
    except resp.Wrong as e:
        raise run.Refused(f"redis at {words['host']}:{words['port']} {e}") from e
    _write(stamp, [wanted if each == line else each for each in lines])
    return {"live": True}


def _text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path, lines):
    """Replace the stamp; its folder belongs to Redis' account, which must not lead root elsewhere."""
    beside = f"{path}.airfleet-{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, 0o600), "w", encoding="utf-8") as f:
        f.write("".join(f"{line}\n" for line in lines))
    os.replace(beside, path)
