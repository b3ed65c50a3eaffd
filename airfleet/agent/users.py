"""Users of the web pages: who there is, and how one is created, given a new password, or deleted.

A password goes to Airflow over its stdin alone. It is answered only where it was made here.
"""

from __future__ import annotations

import re

from airfleet.agent import airflow_cli, inside, run

PROGRAM = "inside_users"
BESIDE = ("inside_postgres",)


def users(words, tell):
    """Return {"users": [{"name", "roles", …}, …], "roles": [names of all]}, from {"venv", "account", "dsn"}."""
    return inside.ask(words["venv"], PROGRAM, {"dsn": words["dsn"]}, account=words["account"], also=BESIDE)


def create_user(words, tell):
    """Create a user by `command` and see that it is there with its role; return a password that was made.

    {"username", "role", "command"}, "password" where one is given, and what is needed to ask and to run Airflow.
    """
    password, text = give_password(words, words["command"], words.get("password"))
    if re.search(r"already exists? in the db", text):
        raise run.Refused(f"there is a user {words['username']} already", kind="refused")
    person = _person(words)
    if person is None or words["role"] not in person["roles"]:
        raise run.Refused(
            f"Airflow did not say no, but user {words['username']} is {person['roles'] if person else 'not there'}",
            remedy="read what it printed",
            tail=text,
        )
    return {"password": None if words.get("password") else password}


def reset_password(words, tell):
    """Give a user a new password by `command`, with `more_env` in its environment; return one that was made."""
    password, _ = give_password(words, words["command"], words.get("password"), more_env=words["more_env"])
    return {"password": None if words.get("password") else password}


def delete_user(words, tell):
    """Delete a user by `command` and see that it is gone."""
    text = airflow_cli.airflow(words, words["command"])
    if _person(words) is not None:
        raise run.Refused(
            f"Airflow did not say no, but user {words['username']} is still there",
            remedy="read what it printed",
            tail=run.tail(text),
        )
    return {}


def give_password(means, command, password=None, *, more_env=None):
    """Run a command of Airflow's that asks for a password; return that, and what was printed without it.

    Where none is given, one is made.
    """
    password = password or run.run(["openssl", "rand", "-base64", "12"]).strip()
    # Without a terminal, which a session of its own does not have, Airflow reads the password from stdin, twice.
    stdin = f"{password}\n{password}\n"
    text = airflow_cli.airflow(means, command, more_env=more_env, stdin=stdin, secret=password)
    return password, airflow_cli.masked(run.tail(text), password)


def _person(words):
    found = users(words, None)["users"]
    return next((person for person in found if person["name"].lower() == words["username"].lower()), None)
