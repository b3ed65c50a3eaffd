"""The flows for users of the web pages: listed, created, given a new password, deleted. A login is really tried."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from airfleet import people, probes, records, session, terminal
from airfleet.airflow_cfg import environment
from airfleet.errors import FleetError, GateRefused, NotHealthy, RolloutStopped, UsageError
from airfleet.generations import filled, generation_of
from airfleet.layout import layout_of
from airfleet.metadata import dsn
from airfleet.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airfleet.model import Words
    from airfleet.people import NewUser, People, Person
    from airfleet.remote import Host
    from airfleet.session import Fleet
    from airfleet.workers import Screen

LOGIN_S = 60  # Airflow lets in five logins in 40 s: the sixth waits
STAY = (
    "who is logged in with the old password stays so: deactivating the user (web page: Security, List Users) ends that"
)


class Users:
    """The users of one installation, changed on the first host with the web pages; the lock is held."""

    def __init__(self, fleet: Fleet, screen: Screen) -> None:
        self.fleet = fleet
        self.screen = screen
        self.commands = generation_of(fleet.inventory.airflow.version).commands

    def create(self, new: NewUser, password: Secret | None) -> None:
        """Create a user, show the password if it was made, and log in with it."""
        command = filled(self.commands.create_user, **asdict(new))
        words: Words = {"username": new.username, "role": new.role, "command": command}
        lost = f"in doubt: is {new.username} there? fab users.list tells; then fab users.reset-password {new.username}"
        answer = self._change("create_user", words, password, lost)
        self._shown(new.username, answer)
        self._try_login(new.username, password or Secret(answer["password"]), f"user {new.username} was created")

    def reset_password(self, person: Person, password: Secret | None) -> None:
        """Give a user a new password, show it if it was made, and log in with it."""
        command = filled(self.commands.reset_password, username=person.name)
        words: Words = {"command": command, "more_env": dict(self.commands.reset_environment)}
        answer = self._change(
            "reset_password", words, password, "in doubt: the old password or a new one; run it again"
        )
        self._shown(person.name, answer)
        if person.active:
            done = f"user {person.name} has the new password"
            self._try_login(person.name, password or Secret(answer["password"]), done)
        else:
            self.screen.say(f"  {person.name} is deactivated and can't log in: no login was tried", "yellow")
        if self.commands.reset_keeps_sessions:
            self.screen.say(f"  {STAY}", "yellow")

    def delete(self, person: Person) -> None:
        """Delete a user."""
        words: Words = {"username": person.name, "command": filled(self.commands.delete_user, username=person.name)}
        self._change("delete_user", words, None, f"in doubt: is {person.name} still there? fab users.list tells")

    def _change(self, call: str, more: Words, password: Secret | None, lost: str) -> Any:
        self.fleet.check_lock()
        host = _host(self.fleet)
        given: Words = {"password": password.reveal()} if password else {}
        self.screen.step(host.name, (self.fleet.doing, ""), "")
        with _left(host.name, lost):
            return host.call(call, {**_words(self.fleet), **more, **given})

    def _shown(self, username: str, answer: Any) -> None:
        if answer["password"]:
            say = self.screen.say
            say(f"  web:      {self.fleet.inventory.airflow.base_url}")
            say(f"  user:     {username}")
            say(f"  password: {answer['password']}   (shown this once: keep it now)")

    def _try_login(self, username: str, password: Secret, done: str) -> None:
        """Log in on each host with the web pages, as a browser does."""
        login: Words = {"username": username, "password": password.reveal()}
        known = probes.Known(self.fleet.inventory, self.fleet.secrets, login)
        asked = [
            replace(probe, words={**probe.words, "timeout_s": LOGIN_S})
            for probe in probes.probes_of("web", known, self.fleet.inventory.with_role("webserver"))
        ]
        with _left("", f"{done}; no login was seen to work"):
            try:
                parallel = self.fleet.inventory.ssh.parallel
                probes.ask(self.fleet.everyone, asked, self.screen.probed, parallel=parallel)
            except NotHealthy as e:
                e.remedy = "mend what is said above, then log in there; for another password: fab users.reset-password"
                raise


def list_users(env: str) -> tuple[Person, ...]:
    """Return all users, by name."""
    with session.opened(env, doing="users.list") as fleet:
        return _look(fleet).persons


def create_user(env: str, new: NewUser, *, prompt: bool, screen: Screen) -> None:
    """Create a user; the password is made, or read from the terminal, and never shown twice."""
    people.check_new(new)
    password = _asked(new.username) if prompt else None
    with session.opened(env, doing=f"users.create {new.username}") as fleet, fleet.locked():
        people.refuse_create(_look(fleet), new)
        with records.recorded(fleet, records.entry("users.create", user=new.username, role=new.role)):
            Users(fleet, screen).create(new, password)
    screen.say(f"done: user {new.username} with the role {new.role} was created and can log in", "bold green")


def reset_password(env: str, username: str, *, prompt: bool, screen: Screen) -> None:
    """Give a user a new password: made, or read from the terminal."""
    people.check_name(username, "users.reset-password")
    password = _asked(username) if prompt else None
    with session.opened(env, doing=f"users.reset-password {username}") as fleet, fleet.locked():
        person = _look(fleet).known(username)
        with records.recorded(fleet, records.entry("users.reset-password", user=person.name)):
            Users(fleet, screen).reset_password(person, password)
    works = " and can log in with it" if person.active else ""
    screen.say(f"done: user {person} has a new password{works}", "bold green")


def delete_user(env: str, username: str, *, yes: bool, screen: Screen) -> None:
    """Delete a user after a confirmation; never the last one who can manage the others."""
    people.check_name(username, "users.delete")
    if not yes:
        terminal.require("ask for a confirmation", place="users.delete", remedy="--yes deletes without asking")
    with session.opened(env, doing=f"users.delete {username}") as fleet:
        person = _deletable(fleet, username)
        if not yes and not terminal.confirmed(f"delete user {person}?"):
            raise RolloutStopped("not confirmed", place="users.delete")
        with fleet.locked():
            person = _deletable(fleet, username)
            entry = records.entry("users.delete", user=person.name, role=", ".join(person.roles))
            with records.recorded(fleet, entry):
                Users(fleet, screen).delete(person)
        screen.say(f"done: user {person} was deleted", "bold green")
        if person.name == fleet.inventory.admin.username:
            screen.say("  it is the inventory's admin: the next `fab bootstrap` creates it again, with a new password")


def _host(fleet: Fleet) -> Host:
    """Return the first host with the web pages: users are theirs, and its clock is the one of the last logins."""
    return fleet.everyone[fleet.inventory.with_role("webserver")[0]]


def _look(fleet: Fleet) -> People:
    return people.make_people(_host(fleet).call("users", _words(fleet)))


def _words(fleet: Fleet) -> Words:
    inventory = fleet.inventory
    return {
        "venv": layout_of(inventory).venv,
        "account": inventory.airflow.account,
        "env": dict(environment(inventory)),
        "dsn": dsn(inventory, fleet.secrets),
    }


def _deletable(fleet: Fleet, username: str) -> Person:
    found = _look(fleet)
    person = found.known(username)
    people.refuse_delete(found, person)
    return person


def _asked(username: str) -> Secret:
    """Return a password that was typed twice and is not weak."""
    remedy = "type it in a terminal; without --prompt a password is made and shown once"
    terminal.require("read a password from", place="--prompt", remedy=remedy)
    password = terminal.ask_secret(f"New password of {username}: ")
    people.refuse_weak(password, username)
    if terminal.ask_secret("The same again: ") != password:
        raise UsageError("the two passwords differ", place="--prompt", state=people.NOTHING)
    return Secret(password)


@contextmanager
def _left(place: str, state: str) -> Iterator[None]:
    """Say of whatever goes wrong in the block how it left the world; a refusal has changed nothing."""
    try:
        yield
    except KeyboardInterrupt:
        raise RolloutStopped("interrupted", place=place, state=state) from None
    except GateRefused:
        raise
    except FleetError as e:
        e.state = state
        raise
