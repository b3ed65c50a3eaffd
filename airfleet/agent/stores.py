"""Redis and PostgreSQL as this host's services reach them: a new connection, with the secrets that they would use.

Old connections outlive a changed password and a used-up limit, so that all looks well until something restarts.
"""

from __future__ import annotations

import secrets

from airfleet.agent import effective, inside, resp, run

PROGRAM = "inside_condition"
BESIDE = ("inside_postgres",)
REDIS_PORT = 6379
POSTGRES_PORT = 5432
SLOW_S = 25
SHOWN = (
    *("used_memory", "maxmemory", "maxmemory_policy", "loading", "rdb_last_bgsave_status", "aof_last_write_status"),
    *("uptime_in_seconds", "connected_clients"),
)
WRONG_PLACE = "the password stands in the user's place: redis://USER:PASSWORD@HOST"


def look(words):
    """Return {"redis": {where: {…}}, "database": {where: {…}}, "airflow": what the database says, or None}.

    `where` is "airflow.cfg", or the unit whose environment says otherwise.
    """
    found = effective.values(words if words["deep"] else {**words, "units": []})
    return {"redis": _redis(found), **_database(words, found)}


def _redis(found):
    tried, said = {}, {}
    for where, values in found.items():
        for name in ("broker_url", "result_backend"):
            url = values.get(name)
            if url and url.startswith(("redis://", "rediss://")):
                if url not in tried:
                    tried[url] = _ask_redis(url)
                said.setdefault(where, {})[name] = tried[url]
    return {where: _worst(answers) for where, answers in said.items()}


def _worst(answers):
    """Return the answer that is not well, or the broker's."""
    for name, answer in answers.items():
        if not answer["ok"]:
            return {**answer, "setting": name}
    name = next(iter(sorted(answers)))  # the broker's, where there is one
    return {**answers[name], "setting": name}


def _ask_redis(url):
    """Write a key of five seconds through a new connection, and return what Redis tells of itself."""
    at = effective.address(url)
    place = f"{at['host']}:{at['port'] or REDIS_PORT}"
    answer = {"ok": False, "place": place, "problem": None, "info": {}}
    if at["user"] and not at["password"]:
        answer["problem"] = WRONG_PLACE
    key = f"airfleet:probe:{secrets.token_hex(8)}"
    try:
        with resp.Redis(at["host"], at["port"] or REDIS_PORT) as redis:
            if at["password"]:
                redis.login(at["user"], at["password"])
            answer["info"] = _info(redis)
            redis.ask("SET", key, "1", "EX", "5")
            redis.ask("DEL", key)
    except resp.Wrong as e:
        reason = "password" if answer["problem"] else e.reason
        return {**answer, "reason": reason, "says": answer["problem"] or f"redis at {place} {e}"}
    return {**answer, "ok": True, "reason": "", "says": f"redis at {place} takes writes"}


def _info(redis):
    found = {}
    for section in ("memory", "persistence", "server", "clients"):
        for line in str(redis.ask("INFO", section)).splitlines():
            name, sign, value = line.partition(":")
            if sign and name in SHOWN:
                found[name] = int(value) if value == str(run.number(value)) else value
    return found


def _database(words, found):
    if not words["database"] or not inside.there(words["venv"]):
        return {"database": {}, "airflow": None}
    dsns = {where: dsn(values["database_url"]) for where, values in found.items() if values.get("database_url")}
    keys = {where: values["fernet_key"] for where, values in found.items() if values.get("fernet_key")}
    asked = {"dsns": dsns, "keys": keys, "deep": words["deep"], "whole": words["database"] == "whole"}
    asked["tables"] = words["tables"]
    try:
        answer = inside.ask(words["venv"], PROGRAM, asked, account=words["account"], timeout_s=SLOW_S, also=BESIDE)
    except run.Refused as e:
        return {"database": dict.fromkeys(dsns, {"ok": None, "reason": "unknown", "says": e.what}), "airflow": None}
    return answer


def dsn(url):
    """Return how the database is reached by a URL of Airflow's."""
    at = effective.address(url)
    return {
        "host": at["host"],
        "port": at["port"] or POSTGRES_PORT,
        "name": at["name"],
        "user": at["user"],
        "password": at["password"],
        "sslmode": at["options"].get("sslmode"),
        "sslrootcert": at["options"].get("sslrootcert"),
    }
