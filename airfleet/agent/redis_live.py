"""A running Redis is told of its new passwords: nothing restarts for them, and connections that are open stay open."""

from __future__ import annotations

import hashlib
import os

from airfleet.agent import resp, run

STAMP = "/run/redis-server/stamp"
ACCESS = ("requirepass ", "user ")


def redis_adopt(words, tell):
    """Have Redis let in whom a redis.conf lets in that is about to be written, where nothing else differs in it.

    {"path", "text", "host", "port", "passwords" of which it takes one, "users": {name: [SHA-256, …]}}, and "stamp".
    The answer is {"live": whether it did}. Then its stamp says that it has read that text: to all intents it has. The
    stamp comes before the file: killed in between, the file is written by the next run, and nothing restarts.
    """
    stamp = words.get("stamp", STAMP)
    try:
        with open(words["path"], encoding="utf-8") as f:
            there = f.read()
        with open(stamp, encoding="utf-8") as f:
            lines = f.read().splitlines()
    except OSError:
        return {"live": False}  # there is none yet, or it does not run
    line = f"{_digest(there)}  {words['path']}"
    wanted = f"{_digest(words['text'])}  {words['path']}"
    if _beside_access(there) != _beside_access(words["text"]) or not {line, wanted} & set(lines):
        return {"live": False}
    try:
        with resp.Redis(words["host"], words["port"]) as redis:
            if not _let_in(redis, words["passwords"]):
                return {"live": False}
            for name, hashes in words["users"].items():
                redis.ask("ACL", "SETUSER", name, "resetpass", *[f"#{each}" for each in hashes])
    except resp.Wrong as e:
        raise run.Refused(f"redis at {words['host']}:{words['port']} {e}") from e
    _write(stamp, [wanted if each == line else each for each in lines])
    return {"live": True}


def _let_in(redis, passwords):
    for password in passwords:
        try:
            redis.ask("AUTH", password)
        except resp.Wrong as e:
            if e.reason != "password":
                raise
            continue
        return True
    return False


def _beside_access(text):
    return [line for line in text.splitlines() if not line.startswith(ACCESS)]


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path, lines):
    """Replace the stamp; its folder belongs to Redis' account, which must not lead root elsewhere."""
    beside = f"{path}.airfleet-{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, 0o600), "w", encoding="utf-8") as f:
        f.write("".join(f"{line}\n" for line in lines))
    os.replace(beside, path)
