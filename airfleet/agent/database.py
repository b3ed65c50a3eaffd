"""Airflow's metadata database: is its schema the one that the installed Airflow wants, and is there a first user."""

from __future__ import annotations

import glob
import os

from airfleet.agent import airflow_cli, inside, reach, run, users

PROGRAM = "inside_postgres"
MIGRATE_S = 1800
REACH_S = 3
HEAD = "head"
THERE = "there"
_looked = {}


def look_schema(key, ask):
    """Return the revision against the newest one of the installed Airflow, and whether the tables are there."""
    if not inside.there(ask["venv"]):
        return None, {"why": "there is no Airflow yet"}
    if _way_is_to_come(ask):
        return None, {"why": f"{ask['through']} does not run yet", "airflow": _installed(ask["venv"])}
    return schema_of(_metadata(ask))


def _way_is_to_come(ask):
    """Whether the database is reached through a unit of this host that does not listen: an earlier stage starts it."""
    if not ask.get("through"):
        return False
    return reach.attempt(ask["dsn"]["host"], ask["dsn"]["port"], REACH_S) == "refused"


def _installed(venv):
    """Return the version of the installed Airflow by the name of its folder; None where there is none."""
    found = glob.glob(f"{venv}/lib/python*/site-packages/apache_airflow-*.dist-info")
    return os.path.basename(found[0])[len("apache_airflow-") : -len(".dist-info")] if found else None


def state_of(seen):
    """Return the state of a schema, from what inside_postgres says of the database."""
    return schema_of(seen)[0]


def schema_of(seen):
    """Return the state of a schema and its detail."""
    detail = {"airflow": seen["airflow"], "found": seen["revision"], "head": seen["head"]}
    if seen["revision"] is None:
        return None, detail
    if seen["revision"] == seen["head"]:
        revision = HEAD
    elif seen["known"]:
        revision = f"behind: {seen['revision']}"
    else:
        revision = f"unknown to Airflow {seen['airflow']}: {seen['revision']}"
    missing = ", ".join(seen["missing"])
    return {"revision": revision, "tables": f"missing: {missing}" if missing else THERE}, detail


def _metadata(ask):
    """Return what inside_postgres says of the database; two looks in one request are one question."""
    words = {"question": "metadata", "dsn": ask["dsn"]}
    key = repr((ask["venv"], sorted(ask["dsn"].items())))
    if key not in _looked:
        _looked[key] = inside.ask(ask["venv"], PROGRAM, words, account=ask["account"])
    return _looked[key]


def make_schema(key, seen, want, means, tell):
    """Migrate forward, never backward, and look again."""
    _looked.clear()
    before = _metadata(means)
    if before["revision"] and not before["known"]:
        raise run.Refused(
            f"the database was made by a newer Airflow than {before['airflow']}: it has revision {before['revision']}",
            kind="database",
            remedy="install that Airflow, or restore a backup; airfleet never migrates backwards",
        )
    tell("airflow db migrate")
    airflow_cli.airflow(means, ["db", "migrate"], timeout_s=MIGRATE_S, tell=tell)
    _looked.clear()
    state, detail = schema_of(_metadata(means))
    if state != want:
        raise run.Refused(
            f"`airflow db migrate` ended well, but the database is not as it should be: {state}",
            kind="database",
            remedy="look at the versions of sqlalchemy and of the FAB provider",
        )
    return {"from": before["revision"], "to": detail["found"]}


def look_admin(username, ask):
    """Return the role of a user; None where there is no such user."""
    if not inside.there(ask["venv"]):
        return None, {"why": "there is no Airflow yet"}
    if _way_is_to_come(ask):
        return None, {"why": f"{ask['through']} does not run yet"}
    seen = _metadata(ask)
    user = seen["users"].get(username)
    if user is None and not seen["all_users"]:
        words = {"question": "user", "dsn": ask["dsn"], "username": username}
        user = inside.ask(ask["venv"], PROGRAM, words, account=ask["account"])["user"]
    if user is None:
        return None, {}
    roles = user["roles"]
    role = ask.get("role", "Admin") if ask.get("role", "Admin") in roles else ", ".join(roles) or "none"
    return {"role": role if user["active"] else f"{role}, but deactivated"}, {"logins": user["logins"]}


def make_admin(username, seen, want, means, tell):
    """Create the user with a fresh password, or give the role to one who is there; the password is told once."""
    _looked.clear()
    means = {**means, "role": want["role"]}
    seen, _ = look_admin(username, means)
    told = {}
    if seen is None:
        tell(f"airflow users create {username}")
        password, text = users.give_password(means, means["create"])
        told = {"reveal": {"username": username, "password": password}}
    else:
        words = ["users", "add-role", f"--username={username}", f"--role={want['role']}"]
        text = airflow_cli.masked(run.tail(airflow_cli.airflow(means, words)), "")
    _looked.clear()
    state, _ = look_admin(username, means)
    if state != want:
        raise run.Refused(
            f"Airflow did not say no, but user {username} is {state['role'] if state else 'not there'}",
            kind="database",
            remedy="read what it printed; another user may have the same e-mail address, or the role may not exist",
            tail=text,
        )
    return told
