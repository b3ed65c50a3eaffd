"""Runs a step of a runbook on this host: text of the book itself, into which no value was ever put."""

from __future__ import annotations

import os

from airfleet.agent import effective, inside, resp, run, stores

PROGRAM = "inside_sql"
BESIDE = ("inside_postgres",)
ADMIN = "/run/redis-server/admin"  # its unit leaves it there, for root alone, new at each start


def runbook_step(words, tell):
    """Return {"output": text, "rc": n} of a fence: {"language", "text", "timeout_s", …}."""
    return {"sh": _sh, "redis": _redis, "sql": _sql}[words["language"]](words)


def _sh(words):
    env = {"AIRFLOW_HOME": words["home"], "VENV": words["venv"], "ACCOUNT": words["account"], "DAGS": words["dags"]}
    env |= {"LOGS": words["logs"], "WEB": words["web"]}
    env |= {name: str(port) for name, port in words["ports"].items()}
    try:
        text = run.run(["sh", "-eu"], env=env, stdin=words["text"], timeout_s=words["timeout_s"])
    except run.Refused as e:
        return {"output": f"{e.tail}\n{e.what}".strip(), "rc": 1}
    return {"output": text, "rc": 0}


def _redis(words):
    """Send each line as a command, with the password of airflow.cfg: as one would with redis-cli."""
    url = effective.values({**words, "units": []})[effective.DISK]["broker_url"]
    at = effective.address(url)
    said = []
    try:
        with resp.Redis(at["host"], at["port"] or stores.REDIS_PORT) as redis:
            if at["password"]:
                redis.login(at["user"], at["password"])
            for line in words["text"].splitlines():
                if line.strip() and not line.startswith("#"):
                    said.append(_asked(redis, line.split()))
    except resp.Wrong as e:
        said.append(f"{e.reason}: {e}")
        return {"output": "\n".join(map(str, said)), "rc": 1}
    return {"output": "\n".join(map(str, said)), "rc": 0}


def _asked(redis, words):
    """Return the answer; what the services may not ask is asked as root's own user, where Redis runs on this host."""
    try:
        return redis.ask(*words)
    except resp.Wrong as e:
        if e.reason != "permission" or not os.path.exists(ADMIN):
            raise
    with open(ADMIN, encoding="ascii") as f:
        redis.login("airfleet", f.read().strip())
    return redis.ask(*words)


def _sql(words):
    values = effective.values({**words, "units": []})[effective.DISK]
    asked = {"text": words["text"], "url": values["database_url"], "timeout_s": words["timeout_s"]}
    return inside.ask(
        words["venv"], PROGRAM, asked, account=words["account"], timeout_s=words["timeout_s"] + 15, also=BESIDE
    )
