"""The user of the services in a Redis that runs since before it had users: there at once, without a restart."""

from __future__ import annotations

from airfleet.agent import resp, run

WORKS = {"login": "works"}


def look_redis_user(name, ask):
    """Return that the login works; None where Redis knows the password, and not the user.

    One that does not run, or lets nobody in, is not looked into here: its file says what it should be when it starts.
    """
    if _lets_in(ask, name) or not _lets_in(ask, ""):
        return dict(WORKS), {}
    return None, {}


def make_redis_user(name, seen, want, means, tell):
    """Add the user to the Redis that runs; nobody is disconnected, and who came without a name still may."""
    try:
        with resp.Redis(means["host"], means["port"]) as redis:
            redis.login("", means["password"])
            try:
                redis.ask("ACL", "SETUSER", name, "reset", *means["rules"], "&*")
            except resp.Wrong:
                redis.ask("ACL", "SETUSER", name, "reset", *means["rules"])  # Redis 6.0: no word for channels
    except resp.Wrong as e:
        raise run.Refused(f"redis at {means['host']}:{means['port']} {e}") from e


def _lets_in(ask, name):
    try:
        with resp.Redis(ask["host"], ask["port"]) as redis:
            redis.login(name, ask["password"])
            return True
    except resp.Wrong:
        return False
