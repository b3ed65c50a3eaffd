"""Runs Airflow's own command line as its account; what that prints when it fails is told without secrets."""

from __future__ import annotations

import re

from airfleet.agent import run

NOTES = r"violates foreign key constraint .*_note_user_fkey"  # Airflow takes back what it did before
FAILURES = (
    # What the airflow command prints, what it means (or as printed), what to do.
    (
        r"violates unique constraint .*email",
        "another user has the same e-mail address",
        "choose another one: admin.email of the inventory, or --email",
    ),
    (
        NOTES,
        "the user wrote notes on runs or tasks, which stay tied to their author",
        "deactivate the user instead, on the web page: Security, List Users",
    ),
    (r".* is not a valid role.*", "", "choose one of these roles"),
    (r"password authentication failed", "the database refused the password", "look at the secret database_password"),
    (r"permission denied for .*", "", "let the database belong to Airflow's role: ALTER DATABASE … OWNER TO"),
    (r"could not connect to server|Connection refused", "the database cannot be reached", "is it running?"),
)


def airflow(means, words, *, more_env=None, stdin="", secret="", timeout_s=300, tell=None):
    """Run `airflow` with these words and return what it printed.

    `means` has "venv", "account" and "env"; `secret` is what must not be told of its output.
    """
    argv = [f"{means['venv']}/bin/airflow", *words]
    env = {**means["env"], **(more_env or {})}
    try:
        return run.run(argv, user=means["account"], env=env, stdin=stdin, timeout_s=timeout_s, tell=tell)
    except run.Refused as e:
        what, remedy, tail, kind = f"`airflow {' '.join(words[:2])}` failed", "read the lines below", e.tail, e.kind
        for sign, meaning, cure in FAILURES:
            found = re.search(f".*?({sign}).*", e.tail)
            if found:
                what, remedy, tail = f"{what}: {meaning or found.group(1)}", cure, found.group() if meaning else ""
                kind = "refused" if sign == NOTES else kind
                break
        raise run.Refused(what, kind=kind, remedy=remedy, tail=masked(tail, secret)) from e


def masked(text, secret):
    """Return the text without the secret, and without the lines in which SQLAlchemy prints its hash."""
    lines = (text.replace(secret, "…") if secret else text).splitlines()
    return "\n".join("[parameters: …]" if "[parameters:" in line or "scrypt:" in line else line for line in lines)
