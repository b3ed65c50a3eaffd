"""Users of the web pages on their host: with a real PostgreSQL, and an `airflow` that is a script."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from agent_services import POSTGRES
from stand_in_airflow import COMMANDS

from airfleet.generations import filled

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")

GIVEN = "p@:/%w '한글' -n 1"


@pytest.fixture
def people(agent, migrated, sql):
    """The words for a database with the roles of Airflow and the user ann."""
    sql("insert into ab_role (name) values ('Viewer'), ('Op')")
    assert create(agent, migrated, "ann", password=GIVEN)["words"] == {"password": None}
    return migrated


def create(agent, known, username, role="Viewer", **more):
    new = {"username": username, "role": role, "email": f"{username}@example.com"}
    command = filled(COMMANDS.create_user, **new, firstname="-n", lastname="$(id) '한글\"")
    return agent.call("create_user", **known, username=username, role=role, command=command, **more)


def reset(agent, known, username, **more):
    command = filled(COMMANDS.reset_password, username=username)
    return agent.call("reset_password", **known, command=command, more_env=COMMANDS.reset_environment, **more)


def delete(agent, known, username):
    return agent.call(
        "delete_user", **known, username=username, command=filled(COMMANDS.delete_user, username=username)
    )


def test_users_are_listed_with_their_roles(agent, people, sql):
    """All that an operator asks for in one question, with the names as they are; and every role that there is."""
    sql("update ab_user set last_login = '2026-11-25 10:00:00', login_count = 3")
    sql("insert into ab_user (username, email, active) values ('bob', 'b@x', false)")
    answer = agent.call("users", **people)["words"]
    ann, bob = answer["users"]
    assert ann.pop("last_login").startswith("2026-11-2")
    assert ann == {
        "name": "ann",
        "firstname": "-n",
        "lastname": "$(id) '한글\"",
        "email": "ann@example.com",
        "active": True,
        "logins": 3,
        "roles": ["Viewer"],
    }
    assert (bob["active"], bob["roles"], bob["logins"], bob["last_login"]) == (False, [], 0, None)
    assert answer["roles"] == ["Admin", "Op", "Viewer"]


def test_the_last_login_is_told_in_utc(agent, people, sql):
    """Airflow writes it down by the host's own clock, which may be in Seoul."""
    sql("update ab_user set last_login = '2026-11-25 10:00:00'")
    for zone, utc in (("UTC", "2026-11-25T10:00:00Z"), ("Asia/Seoul", "2026-11-25T01:00:00Z")):
        python = Path(people["venv"]) / "bin" / "python"
        with python_in(zone, python):
            assert agent.call("users", **people)["words"]["users"][0]["last_login"] == utc


def test_a_database_without_users_says_so(agent, migrated, sql):
    """An Airflow with another auth manager has no such tables: no traceback."""
    sql("drop table ab_user cascade")
    answer = agent.call("users", **migrated)
    assert (answer["t"], answer["class"]) == ("failed", "database")
    assert "no tables of users" in answer["error"]


def test_a_given_password_reaches_airflow_and_comes_back_in_no_answer(agent, people, sql):
    """Spaces, quotes and Korean letters included, over stdin."""
    assert GIVEN in sql("select password from ab_user")
    assert GIVEN not in str(create(agent, people, "eve", password=GIVEN))


def test_a_password_is_made_where_none_is_given(agent, people, sql):
    """Twelve random bytes, told once, and the one that Airflow got."""
    password = create(agent, people, "eve")["words"]["password"]
    assert len(password) == 16
    assert password in sql("select password from ab_user where username = 'eve'")


@pytest.mark.parametrize("name", ["ann", "Ann"])
def test_a_user_who_is_there_keeps_the_password(agent, people, sql, name):
    """Airflow calls that a success; here it is a refusal."""
    answer = create(agent, people, name)
    assert (answer["t"], answer["class"]) == ("failed", "refused")
    assert GIVEN in sql("select password from ab_user")


def test_a_user_without_the_role_is_no_success(agent, people):
    """What the command answers is not believed: the database is looked at."""
    answer = create(agent, people, "eve", role="Nobody")
    assert answer["t"] == "failed"
    assert "Airflow did not say no" in answer["error"]


def test_a_new_password_replaces_the_old_one(agent, people, sql):
    """One that was made is told, one that was given is not; nobody else's changes."""
    create(agent, people, "eve", password="another long one")
    made = reset(agent, people, "ann")["words"]["password"]
    assert made in sql("select password from ab_user where username = 'ann'")
    assert reset(agent, people, "ann", password=GIVEN)["words"] == {"password": None}
    assert GIVEN in sql("select password from ab_user where username = 'ann'")
    assert "another long one" in sql("select password from ab_user where username = 'eve'")


def test_a_deleted_user_is_gone(agent, people):
    """And a second try says that it has changed nothing."""
    assert delete(agent, people, "ann")["words"] == {}
    assert agent.call("users", **people)["words"]["users"] == []


def test_the_author_of_notes_stays_and_that_is_a_refusal(agent, people, sql):
    """Airflow 2 ties notes to who wrote them; the refusal says what to do instead, in one line of what it printed."""
    sql(
        "alter table ab_user add unique (id)",
        "create table note (user_id integer, constraint dag_run_note_user_fkey foreign key (user_id) references"
        " ab_user (id))",
        "insert into note select id from ab_user",
    )
    answer = delete(agent, people, "ann")
    assert (answer["t"], answer["class"]) == ("failed", "refused")
    assert "wrote notes" in answer["error"]
    assert "deactivate" in answer["remedy"]
    assert len(answer["tail"].splitlines()) == 1
    assert len(agent.call("users", **people)["words"]["users"]) == 1


class python_in:  # noqa: N801  # reads as a verb
    """Have the environment's Python run in this time zone while the block lasts, as the host's own zone would."""

    def __init__(self, zone, python):
        self.zone, self.python, self.aside = zone, python, python.with_name("python-aside")

    def __enter__(self):
        self.python.rename(self.aside)
        self.python.write_text(f'#!/bin/sh\nTZ={self.zone} exec {self.aside} "$@"\n')
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)

    def __exit__(self, *_):
        self.aside.rename(self.python)
