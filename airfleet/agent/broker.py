"""Celery's messages in Redis that no worker will ever understand: those of another generation of Airflow."""

from __future__ import annotations

from airfleet.agent import resp, run

UNACKED = ("unacked", "unacked_index")


def forget_messages(words, tell):
    """Delete what waits in these queues, and return {queue: how many that were}.

    {"host", "port", "user", "password", "db", "queues"}. Airflow knows the tasks in its database: they are sent anew.
    """
    found = {}
    try:
        with resp.Redis(words["host"], words["port"]) as redis:
            _login(redis, words)
            redis.ask("SELECT", str(words["db"]))
            for queue in words["queues"]:
                found[queue] = int(redis.ask("LLEN", queue))
            redis.ask("DEL", *words["queues"], *UNACKED)
    except resp.Wrong as e:
        raise run.Refused(f"redis at {words['host']}:{words['port']} {e}") from e
    return found


def _login(redis, words):
    """Log in as the services do; or as they did, where Redis was not restarted since it got users."""
    try:
        redis.login(words["user"], words["password"])
    except resp.Wrong as e:
        if e.reason != "password":
            raise
        redis.login("", words["password"])
