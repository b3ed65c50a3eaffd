"""Airflow's metadata database: is its schema the one that the installed Airflow wants, and is there a first user."""

from __future__ import annotations

import re

from airfleet.agent import inside, run

PROGRAM = "inside_postgres"
MIGRATE_S = 1800
HEAD = "head"
THERE = "there"
FAILURES = (
    # What the airflow command prints, what it means (or as printed), what to do.
    (
        r"violates unique constraint .*email",
        "another user has the same e-mail address",
        "set admin.email to another one",
    ),
    (r".* is not a valid role.*", "", "choose one of these roles"),
    (r"password authentication failed", "the database refused the password", "look at the secret database_password"),
    (r"permission denied for .*", "", "let the database belong to Airflow's role: ALTER DATABASE … OWNER TO"),
    (r"could not connect to server|Connection refused", "the database cannot be reached", "is it running?"),
)
_looked = {}


def look_schema(key, ask):
    """Return the revision against the newest one of the installed Airflow, and whether the tables are there."""
    if not inside.there(ask["venv"]):
        return None, {"why": "there is no Airflow yet"}
    return _schema_of(_metadata(ask))


def _schema_of(seen):
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
    _airflow(means, ["db", "migrate"], timeout_s=MIGRATE_S, tell=tell)
    _looked.clear()
    state, detail = _schema_of(_metadata(means))
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
        password = run.run(["openssl", "rand", "-base64", "12"]).strip()
        words = ["--username", username, "--role", want["role"], "--email", means["email"]]
        words += ["--firstname", means["firstname"], "--lastname", means["lastname"]]
        tell(f"airflow users create {username}")
        # Without a terminal, which a session of its own does not have, Airflow reads the password from stdin, twice.
        text = _airflow(means, ["users", "create", *words], stdin=f"{password}\n{password}\n", secret=password)
        told = {"reveal": {"username": username, "password": password}}
    else:
        text = _airflow(means, ["users", "add-role", "--username", username, "--role", want["role"]])
    _looked.clear()
    state, _ = look_admin(username, means)
    if state != want:
        raise run.Refused(
            f"Airflow did not say no, but user {username} is {state['role'] if state else 'not there'}",
            kind="database",
            remedy="read what it printed; another user may have the same e-mail address, or the role may not exist",
            tail=_masked(run.tail(text), told["reveal"]["password"] if told else ""),
        )
    return told


def _airflow(means, words, *, stdin="", secret="", timeout_s=300, tell=None):
    argv = [f"{means['venv']}/bin/airflow", *words]
    try:
        return run.run(argv, user=means["account"], env=means["env"], stdin=stdin, timeout_s=timeout_s, tell=tell)
    except run.Refused as e:
        what, remedy = f"`airflow {' '.join(words[:2])}` failed", "read the lines below"
        for sign, meaning, cure in FAILURES:
            found = re.search(sign, e.tail)
            if found:
                what, remedy = f"{what}: {meaning or found.group()}", cure
                break
        raise run.Refused(what, kind=e.kind, remedy=remedy, tail=_masked(e.tail, secret)) from e


def _masked(text, secret):
    """Return the text without the password, and without the lines in which SQLAlchemy prints its hash."""
    lines = (text.replace(secret, "…") if secret else text).splitlines()
    return "\n".join("[parameters: …]" if "[parameters:" in line or "scrypt:" in line else line for line in lines)
