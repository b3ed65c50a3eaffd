"""Users created, given new passwords and deleted on hosts in memory: the order, what is refused, what is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airfleet import terminal
from airfleet.errors import ApplyFailed, GateRefused, HostUnreachable, NotHealthy, RolloutStopped, UsageError
from airfleet.people import NewUser
from airfleet.users import create_user, delete_user, list_users, reset_password
from tests.flows.stand_in import StandIn
from tests.typist import type_into

ROOT = Path(__file__).resolve().parents[2]
MADE = "made+by/openssl=="
GIVEN = "Xk9#mQ2$vL7w 한글"
ANN = NewUser("ann", "Viewer", "ann@x", "Ann", "Lee")
INVENTORY = {
    "airflow": {"version": "2.11.2"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "hosts": {
        "a": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "worker"]},
        "b": {"address": "10.1.0.12", "roles": ["webserver"]},
        "c": {"address": "10.1.0.13", "roles": ["webserver", "triggerer"]},
    },
}


class Town:
    """Hosts in memory with the same users: what is answered, and the diary of all calls."""

    def __init__(self):
        self.diary, self.said, self.sent, self.entries = [], [], {}, []
        self.users = {"admin": ["Admin"], "bob": ["Op"]}
        self.inactive = set()
        self.answers = {}
        self.typed = []
        self.terminal = True

    def host(self, name, address, ask):
        return TownHost(name, self)

    def seen(self):
        words = {"firstname": "F", "lastname": "L", "logins": 0, "last_login": None}
        return [
            {**words, "name": name, "email": f"{name}@x", "active": name not in self.inactive, "roles": roles}
            for name, roles in self.users.items()
        ]

    @property
    def calls(self):
        """What was done, without what is written into the history."""
        return [event for event in self.diary if event[1] != "record"]

    def say(self, text, style=""):
        self.said.append(text)

    probed = say

    def step(self, host, key, text):
        pass

    @property
    def screen(self):
        return "\n".join(self.said)


class TownHost(StandIn):
    def hold(self, words):
        self.town.diary.append((self.name, "hold"))
        self.town.sent["hold"] = words
        return {"held_by": None}

    def call(self, name, words, tell=None):
        self.town.diary.append((self.name, name))
        self.town.sent[name] = words
        answer = self.town.answers.get((self.name, name), self.town.answers.get(name))
        if isinstance(answer, BaseException):
            raise answer
        if name == "record" and self.name == "a":
            self.town.entries.append(words["entry"])
        made = {"password": None if words.get("password") else MADE}
        known = {
            "users": {"users": self.town.seen(), "roles": ["Admin", "Op", "Viewer"]},
            "probe_web": {"ok": True, "says": "healthy, can log in"},
            "journal": {"text": "the journal"},
            "create_user": made,
            "reset_password": made,
        }
        return answer or known.get(name, {})


@pytest.fixture
def town(monkeypatch, install):
    made = Town()
    install(INVENTORY, made.host)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: made.terminal, raising=False)
    monkeypatch.setattr(terminal, "ask_secret", lambda prompt: made.typed.pop(0))
    monkeypatch.setattr("builtins.input", lambda prompt: made.typed.pop(0))
    return made


def create(town, new=ANN, *, prompt=False):
    create_user("", new, prompt=prompt, screen=town)


def reset(town, username="bob", *, prompt=False):
    reset_password("", username, prompt=prompt, screen=town)


def delete(town, username="bob", *, yes=True):
    delete_user("", username, yes=yes, screen=town)


def test_a_user_is_created_under_the_lock_and_the_login_is_tried_on_each_page(town):
    """The lock of the installation, on its first host; the command on a host with the pages; then every page."""
    create(town)
    assert [("a", "hold"), ("b", "users"), ("b", "create_user")] == town.calls[:3]
    assert sorted([("b", "probe_web"), ("c", "probe_web")]) == sorted(town.calls[3:])
    assert (town.sent["probe_web"]["username"], town.sent["probe_web"]["password"]) == ("ann", MADE)
    assert "can log in" in town.said[-1]


def test_a_made_password_is_shown_once(town):
    """With the address and the name, before the login is tried: it is never lost."""
    create(town)
    assert town.screen.count(MADE) == 1
    town.answers["probe_web"] = {"ok": False, "says": "it refuses the login of eve"}
    with pytest.raises(NotHealthy):
        create(town, NewUser("eve", "Viewer", "eve@x", "E", "E"))
    assert town.screen.count(MADE) == 2


def test_a_given_password_is_sent_as_a_value_and_shown_nowhere(town):
    """Not on the screen, not in the command that Airflow is run with, not in the lock."""
    town.typed = [GIVEN, GIVEN]
    create(town, prompt=True)
    assert town.sent["create_user"]["password"] == GIVEN
    assert GIVEN not in str(town.sent["create_user"]["command"])
    assert GIVEN not in town.screen + str(town.sent["hold"]) + json.dumps(town.entries, ensure_ascii=False)
    assert "password:" not in town.screen


def test_the_words_of_a_user_are_words_of_the_command(town):
    """Whatever a name is made of, it is one word, and no option."""
    create(town, NewUser("ann", "Viewer", "ann@x", "-p x", "{role} $(id) '\""))
    assert town.sent["create_user"]["command"] == [
        *("users", "create", "--username=ann", "--firstname=-p x", "--lastname={role} $(id) '\""),
        *("--role=Viewer", "--email=ann@x"),
    ]


def test_the_history_knows_who_and_not_the_password(town):
    """One entry for each command, with the user and the role."""
    create(town)
    reset(town)
    delete(town)
    assert [
        ("users.create", "ann", "Viewer"),
        ("users.reset-password", "bob", None),
        ("users.delete", "bob", "Op"),
    ] == [(entry["doing"], entry["user"], entry.get("role")) for entry in town.entries]
    assert {entry["result"] for entry in town.entries} == {"done"}
    assert MADE not in json.dumps(town.entries)


@pytest.mark.parametrize(
    "new",
    [
        NewUser("Bob", "Viewer", "new@x", "B", "B"),
        NewUser("ann", "Viewr", "new@x", "A", "A"),
        NewUser("ann", "Viewer", "bob@x", "A", "A"),
    ],
)
def test_what_does_not_fit_is_refused_before_airflow_is_run(town, new):
    """A name or an address that is somebody's, a role that there is not: exit 8, nothing was done."""
    with pytest.raises(GateRefused) as e:
        create(town, new)
    assert [("a", "hold"), ("b", "users")] == town.diary
    assert e.value.state == "nothing was changed"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["tiny one"], "shorter than 12"),
        (["airflow-admin-1"], "tries first"),
        ([GIVEN, "other"], "the two passwords differ"),
    ],
)
def test_a_bad_password_is_refused_before_anything_is_sent(town, typed, says):
    """Exit 2 with the reason; no host was contacted, and what was typed is not told."""
    for command in (create, reset):
        town.typed = list(typed)
        with pytest.raises(UsageError) as e:
            command(town, prompt=True)
        assert says in e.value.problem
        assert typed[0] not in str(e.value)
    assert town.diary == []


def test_without_a_terminal_there_is_no_prompt(town):
    """Exit 2, whatever stands on stdin; for a question as for a password."""
    town.terminal = False
    for command in (create, reset):
        with pytest.raises(UsageError) as e:
            command(town, prompt=True)
        assert "no terminal" in e.value.problem
    with pytest.raises(UsageError) as e:
        delete(town, yes=False)
    assert "--yes" in e.value.remedy
    assert town.diary == []


def test_a_login_that_fails_is_exit_9_and_says_that_the_user_is_there(town):
    """With the page's own words; running it again would be refused, so that is not what it advises."""
    town.answers["c", "probe_web"] = {"ok": False, "says": "web: nothing listens there"}
    with pytest.raises(NotHealthy) as e:
        create(town)
    assert "nothing listens there" in e.value.problem
    assert e.value.state == "user ann was created; no login was seen to work"
    assert "run again" not in e.value.remedy
    assert town.entries[0]["result"] == "stopped"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (KeyboardInterrupt(), RolloutStopped),
        (HostUnreachable("the connection was lost", place="b"), HostUnreachable),
        (ApplyFailed("no", place="b"), ApplyFailed),
    ],
)
def test_what_is_in_doubt_after_a_failure_is_said(town, failure, kind):
    """Nobody is told that nothing was changed when that is not known."""
    town.answers = dict.fromkeys(("create_user", "reset_password", "delete_user"), failure)
    for command in (create, reset, delete):
        with pytest.raises(kind) as e:
            command(town)
        assert e.value.state.startswith("in doubt: ")
    assert [entry["result"] for entry in town.entries] == ["stopped"] * 3


def test_a_refusal_of_the_host_has_changed_nothing(town):
    """Somebody was quicker on the web page, or wrote notes."""
    town.answers["delete_user"] = GateRefused("wrote notes", place="b")
    with pytest.raises(GateRefused) as e:
        delete(town)
    assert e.value.state == "nothing was changed"
    assert town.entries[0]["result"] == "refused"


def test_a_new_password_is_tried_and_sessions_are_spoken_of(town):
    """The login with it, and what it does not end."""
    reset(town, "BOB")
    assert town.sent["reset_password"]["command"] == ["users", "reset-password", "--username=bob"]
    assert town.sent["reset_password"]["more_env"] == {"AIRFLOW__WEBSERVER__SESSION_BACKEND": "securecookie"}
    assert town.sent["probe_web"]["password"] == MADE
    assert town.screen.count(MADE) == 1
    assert "who is logged in with the old password stays so" in town.screen


def test_a_deactivated_user_gets_a_password_and_no_login_is_claimed(town):
    """It could not work, so it is not tried, and that is said."""
    town.inactive.add("bob")
    reset(town)
    assert not [call for call in town.calls if call[1] == "probe_web"]
    assert "no login was tried" in town.screen
    assert "can log in" not in town.said[-1]


def test_an_unknown_user_is_refused_with_the_nearest(town):
    """For a new password as for a deletion."""
    for command in (reset, delete):
        with pytest.raises(GateRefused) as e:
            command(town, "bobb")
        assert "did you mean 'bob'?" in e.value.problem


def test_a_deletion_is_asked_for_outside_the_lock(town):
    """Nobody else waits for an operator who thinks; what was seen is looked at again under the lock."""
    town.typed = ["y"]
    delete(town, yes=False)
    assert [("b", "users"), ("a", "hold"), ("b", "users"), ("b", "delete_user")] == town.calls
    assert "user bob (Op, bob@x) was deleted" in town.said[-1]


@pytest.mark.parametrize("answer", ["", "n", "bob"])
def test_without_a_yes_nothing_is_deleted(town, answer):
    """Exit 7."""
    town.typed = [answer]
    with pytest.raises(RolloutStopped) as e:
        delete(town, yes=False)
    assert e.value.state == "nothing was changed"
    assert town.calls == [("b", "users")]


def test_the_last_admin_is_never_deleted(town):
    """Also with --yes; with another one it is, and the inventory's own admin comes back with the next bootstrap."""
    with pytest.raises(GateRefused):
        delete(town, "admin")
    assert town.calls == [("b", "users")]
    town.users["root"] = ["Admin"]
    delete(town, "admin")
    assert "the next `fab bootstrap` creates it again" in town.said[-1]


def test_all_users_are_listed_without_the_lock(town):
    """One question to one host."""
    assert [person.name for person in list_users("")] == ["admin", "bob"]
    assert town.diary == [("b", "users")]


def fab(*words):
    """Run fab in the repository, whose own inventory contacts nobody."""
    argv = [Path(sys.executable).with_name("fab"), *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("command", ["create", "reset-password", "delete"])
@pytest.mark.parametrize("name", [[], [""], ["-x"], ["--help"]])
def test_a_command_without_a_user_is_exit_2(command, name):
    """Nobody's name, or an option where the name belongs."""
    done = fab(f"users.{command}", *name)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert f"fab --help users.{command}" in done.stderr


def test_a_command_line_that_can_not_be_read_is_exit_2():
    """An option without its value, an unknown one, an unknown command."""
    for words in (["users.create", "ann", "--role"], ["plan", "--nonsense"], ["users.creat", "ann"]):
        done = fab(*words)
        assert done.returncode == 2, words
        assert "nothing was contacted" in done.stderr


OPTIONS = ["ann", "--role", "Viewer", "--email", "a@b", "--firstname", "A", "--lastname", "L", "--prompt"]


def test_a_password_is_read_from_a_real_terminal_and_not_shown():
    """A weak one is refused there with its reason; what was typed never shows."""
    argv = [str(Path(sys.executable).with_name("fab")), "users.create", *OPTIONS]
    rc, seen = type_into(argv, [("New password of ann: ", "ann-is-in-here\n")], cwd=ROOT, env={**os.environ})
    assert rc == 2, seen
    assert "the password has the user's name in it" in seen
    assert "ann-is-in-here" not in seen


def test_a_terminal_that_is_gone_is_no_password():
    """The end of the input at the prompt is exit 2, not an empty password."""
    argv = [str(Path(sys.executable).with_name("fab")), "users.create", *OPTIONS]
    rc, seen = type_into(argv, [("New password of ann: ", "\x04")], cwd=ROOT, env={**os.environ})
    assert rc == 2, seen
    assert "no secret could be read" in seen


def test_ctrl_c_at_the_prompt_changes_nothing():
    """Exit 7."""
    argv = [str(Path(sys.executable).with_name("fab")), "users.create", *OPTIONS]
    rc, seen = type_into(argv, [("New password of ann: ", "\x03")], cwd=ROOT, env={**os.environ})
    assert rc == 7, seen
    assert "nothing was changed" in seen
