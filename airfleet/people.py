"""The users of the web pages: what they may be called, what their password must be, who may be deleted. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airfleet import patterns
from airfleet.errors import GateRefused, UsageError
from airfleet.places import closest, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

ADMIN = "Admin"
SHORTEST_PASSWORD = 12
FEWEST_CHARACTERS = 5
SHORTEST_NAME = 3  # a shorter name stands in any good password by chance
COMMON = (
    *("administrator", "admin", "airflow", "changeme", "correcthorsebatterystaple", "iloveyou", "letmein"),
    *("password", "passw0rd", "qwerty", "qwertyuiop", "1q2w3e4r5t", "secret", "welcome"),
)
NOTHING = "nothing was contacted"


@dataclass(frozen=True, slots=True)
class Person:
    """One user as Airflow knows it; `last_login` is in UTC, None where there was no login."""

    name: str
    firstname: str | None
    lastname: str | None
    email: str
    active: bool
    roles: tuple[str, ...]
    logins: int
    last_login: str | None

    def __str__(self) -> str:
        return f"{shown(self.name)} ({', '.join(map(shown, self.roles)) or 'no role'}, {shown(self.email)})"


@dataclass(frozen=True, slots=True)
class People:
    """All users, and the roles that there are."""

    persons: tuple[Person, ...]
    roles: tuple[str, ...]

    def find(self, name: str) -> Person | None:
        """Return the user with this name; to Airflow, `Ann` and `ann` are the same."""
        return next((person for person in self.persons if person.name.lower() == name.lower()), None)

    def known(self, name: str) -> Person:
        """Return the user with this name, or refuse with the name that is nearest to it."""
        person = self.find(name)
        if person is None:
            raise GateRefused(
                f"there is no user {name!r}{nearest(name, [each.name for each in self.persons])}",
                place="USERNAME",
                remedy="fab users.list names them all",
            )
        return person


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user that is to be created."""

    username: str
    role: str
    email: str
    firstname: str
    lastname: str


def make_people(answer: Mapping[str, Any]) -> People:
    """Return the users and roles of the agent's answer, the users in the order of their names."""
    names = [each.name for each in fields(Person)]
    persons = [
        Person(**{**{name: seen[name] for name in names}, "roles": tuple(seen["roles"])}) for seen in answer["users"]
    ]
    return People(tuple(sorted(persons, key=lambda each: each.name.lower())), tuple(answer["roles"]))


def check_name(name: str, command: str) -> None:
    """Refuse what can't be a user's name before anybody is asked for it."""
    if not name or name.startswith("-") or not re.fullmatch(patterns.LINE, name):
        what = f"{name!r} is no user's name" if name else "which user?"
        raise UsageError(what, place="USERNAME", remedy=f"fab {command} USERNAME; fab --help {command}", state=NOTHING)


def check_new(new: NewUser) -> None:
    """Refuse a new user whose words can't be right; all that is missing is told at once."""
    values = {"--role": new.role, "--email": new.email, "--firstname": new.firstname, "--lastname": new.lastname}
    check_name(new.username, "users.create")
    if missing := [option for option, value in values.items() if not value.strip()]:
        raise UsageError(
            f"missing: {', '.join(missing)}",
            place="users.create",
            remedy="fab users.create USERNAME --role Viewer --email a@example.com --firstname Ann --lastname Lee",
            state=NOTHING,
        )
    patterned = {"USERNAME": (new.username, patterns.LOGIN), "--email": (new.email, patterns.EMAIL)}
    patterned |= {option: (values[option], patterns.LINE) for option in ("--role", "--firstname", "--lastname")}
    for place, (value, pattern) in patterned.items():
        if not re.fullmatch(pattern, value):
            raise UsageError(f"{value!r} is not {patterns.WORDS[pattern]}", place=place, state=NOTHING)


def refuse_create(people: People, new: NewUser) -> None:
    """Refuse a user who is there already, an e-mail address that is somebody's, and a role that there is not."""
    if there := people.find(new.username):
        raise GateRefused(
            f"there is a user {there} already",
            place="USERNAME",
            remedy=f"for a new password: fab users.reset-password {shlex.quote(there.name)}",
        )
    if new.role not in people.roles:
        near = closest(new.role, people.roles)
        known = sorted(people.roles, key=lambda role: (role != near, role))
        raise GateRefused(
            f"there is no role {new.role!r}", place="--role", remedy=f"one of: {', '.join(map(shown, known))}"
        )
    if owner := next((person for person in people.persons if person.email == new.email), None):
        raise GateRefused(
            f"{new.email} is the address of the user {owner}", place="--email", remedy="Airflow wants one of its own"
        )


def refuse_delete(people: People, person: Person) -> None:
    """Refuse to delete the last user who can log in and manage the others."""
    others = [each for each in people.persons if each != person and each.active and ADMIN in each.roles]
    if ADMIN in person.roles and not others:
        raise GateRefused(
            f"{person} is the last user with the role {ADMIN}: nobody could manage the others",
            place="USERNAME",
            remedy=f"first another one: fab users.create NAME --role {ADMIN} …",
        )


def refuse_weak(password: str, username: str) -> None:
    """Refuse a password that is easily guessed; what it was is never told."""
    if problem := weakness(password, username):
        raise UsageError(
            f"the password {problem}",
            place="--prompt",
            remedy="choose another one; without --prompt a good one is made and shown once",
            state=NOTHING,
        )


def weakness(password: str, username: str) -> str | None:
    """Return what is wrong with a password, without a word of it, or None."""
    if not re.fullmatch(r"[^\x00-\x1f\x7f\ud800-\udfff]*", password):
        return "has a control character in it"
    if len(password) < SHORTEST_PASSWORD:
        return f"is shorter than {SHORTEST_PASSWORD} characters"
    if len(set(password)) < FEWEST_CHARACTERS:
        return f"has fewer than {FEWEST_CHARACTERS} different characters"
    plain = password.lower()
    if len(username) >= SHORTEST_NAME and username.lower() in plain:
        return "has the user's name in it"
    if re.fullmatch(rf"({'|'.join(COMMON)}|[0-9!?.@#$_ -])*", plain):
        return "is made of digits and of words that everybody tries first"
    return None


def shown(text: str) -> str:
    """Return a text on one line, without what would steer a terminal."""
    return text if text.isprintable() else repr(text)
