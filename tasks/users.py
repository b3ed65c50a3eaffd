"""Users of the web pages: who may log in, and with which role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.door import ENV_HELP, command, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USERNAME_HELP = "the user's name, as it is typed at the login (may be given without --username)"
PROMPT_HELP = "read the password from this terminal, twice and unseen (default: one is made and shown once)"


@command(
    help={
        "username": USERNAME_HELP,
        "env": ENV_HELP,
        "role": "what the user may do: Viewer, User, Op, Admin, or a role of your own",
        "email": "e-mail address; no two users have the same",
        "firstname": "first name",
        "lastname": "last name",
        "prompt": PROMPT_HELP,
    },
    positional=["username"],
)
def create(c, username, env="", role="", email="", firstname="", lastname="", prompt=False):
    """
    Create a user of the web pages: fab users.create ann --role Viewer --email a@b --firstname Ann --lastname Lee

    The password is made (openssl rand -base64 12) and shown once, or read with --prompt; it is in no command line, log
    or history. A login with it is then tried on the page itself: exit 9 when it does not work. A user who is there
    already keeps the password: exit 8, see `fab users.reset-password`.
    """
    from airfleet import people, users
    from tasks import screen

    new = people.NewUser(username, role, email, firstname, lastname)
    users.create_user(environment(env), new, prompt=prompt, screen=screen.Screen())


@command(help={"username": USERNAME_HELP, "env": ENV_HELP, "prompt": PROMPT_HELP}, positional=["username"])
def reset_password(c, username, env="", prompt=False):
    """
    Give a user a new password: made and shown once, or read with --prompt. Then log in with it.

    Who is logged in with the old password stays so, until the user is deactivated.
    """
    from airfleet import users
    from tasks import screen

    users.reset_password(environment(env), username, prompt=prompt, screen=screen.Screen())


@command(help={"env": ENV_HELP, "json": "print JSON"}, name="list")
def list_users(c, env="", json=False):
    """
    Tell who may log in: name, roles, e-mail, whether active, how often and when last logged in (UTC).
    """
    from dataclasses import asdict

    from airfleet import users
    from tasks import screen

    found = users.list_users(environment(env))
    if json:
        screen.json([asdict(person) for person in found])
        return
    for line in _columns([("name", "roles", "e-mail", "active", "logins", "last login"), *map(_row, found)]):
        screen.line(line)


def _row(person: Any) -> tuple[str, ...]:
    from airfleet.people import shown

    active = "yes" if person.active else "no"
    last = person.last_login or "never"
    roles = ", ".join(person.roles) or "none"
    return shown(person.name), shown(roles), shown(person.email), active, str(person.logins), last


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the rows as lines whose columns stand under each other, also where letters are two cells wide."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


@command(
    help={"username": USERNAME_HELP, "env": ENV_HELP, "yes": "do not ask for a confirmation"}, positional=["username"]
)
def delete(c, username, env="", yes=False):
    """
    Delete a user, after a question; the last one with the role Admin is refused (exit 8).

    What the user did stays in Airflow's audit log.
    """
    from airfleet import users
    from tasks import screen

    users.delete_user(environment(env), username, yes=yes, screen=screen.Screen())
