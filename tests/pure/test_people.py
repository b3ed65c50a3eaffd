"""What users may be called, which passwords are refused and why, and who may be deleted."""

from __future__ import annotations

import pytest

from airfleet import history
from airfleet.errors import GateRefused, UsageError
from airfleet.people import (
    NewUser,
    People,
    Person,
    check_name,
    check_new,
    make_people,
    refuse_create,
    refuse_delete,
    refuse_weak,
    weakness,
)

ROLES = ("Admin", "Op", "Public", "User", "Viewer")


def person(name, *roles, active=True):
    return Person(name, "F", "L", f"{name}@example.com", active, roles, 0, None)


def new(**more):
    words = {"username": "ann", "role": "Viewer", "email": "ann@x", "firstname": "길동", "lastname": "O'Neil $(id)"}
    return NewUser(**{**words, **more})


@pytest.mark.parametrize("username", ["ann", "ann.lee@example.com", "0day", "a_b-c"])
def test_a_new_user_with_a_plain_name_may_be_created(username):
    """First and last names may be anything on one line."""
    assert check_new(new(username=username)) is None


@pytest.mark.parametrize(
    ("words", "place"),
    [
        *(
            ({"username": name}, "USERNAME")
            for name in ("", "-x", "--role", "a b", "o'neil", '"', "$(id)", "홍길동", "a\nb")
        ),
        *(({"username": name}, "USERNAME") for name in ("a:b", "a\x1b[2J", "a" * 129)),
        *(({"email": email}, "--email") for email in ("nonsense", "a b@c", "@x", "a@", "a@b\n")),
        ({"role": "a\nb"}, "--role"),
        ({"firstname": "\x1b[2J"}, "--firstname"),
    ],
)
def test_what_can_not_be_right_is_refused_before_anybody_is_asked(words, place):
    """Exit 2, with the place, and nothing was contacted."""
    with pytest.raises(UsageError) as e:
        check_new(new(**words))
    assert (e.value.place, e.value.state) == (place, "nothing was contacted")
    assert "\x1b" not in str(e.value)


def test_all_that_is_missing_is_told_at_once():
    """With a line to copy."""
    with pytest.raises(UsageError) as e:
        check_new(new(role="", email=" ", lastname=""))
    assert e.value.problem == "missing: --role, --email, --lastname"
    assert "fab users.create USERNAME --role Viewer" in e.value.remedy


@pytest.mark.parametrize("name", ["", "-x", "--help", "a\nb", "\x1b[2J"])
def test_no_user_is_called_so(name):
    """Not even one that somebody made on the web page."""
    with pytest.raises(UsageError):
        check_name(name, "users.delete")
    assert check_name("홍 길동's $(id)", "users.delete") is None


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("", "shorter than 12"),
        ("Xk9#mQ2$vL7", "shorter than 12"),
        ("my-Ann.Lee-likes-it", "user's name"),
        ("aaaaaaaaaaaaaaaa", "different characters"),
        ("abababababab", "different characters"),
        ("Password1234!", "tries first"),
        ("passwordpassword", "tries first"),
        ("airflow-admin-2026", "tries first"),
        ("correcthorsebatterystaple", "tries first"),
        ("839201746352", "tries first"),
        ("fine but\nfor this", "control character"),
        ("fine but\tfor this", "control character"),
        ("fine but \udc80 not", "control character"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(password, problem):
    """And the password itself is in no word of the refusal."""
    assert problem in weakness(password, "ann.lee")
    with pytest.raises(UsageError) as e:
        refuse_weak(password, "ann.lee")
    assert not password or password not in str(e.value)


@pytest.mark.parametrize(
    "password", ["Xk9#mQ2$vL7w", "비밀번호는 아주 길어야 해요", " spaces at both ends ", "an airflow of words"]
)
def test_a_good_password_is_not(password):
    """Twelve characters of any kind."""
    assert weakness(password, "ann.lee") is None


def test_a_short_name_is_in_a_password_by_chance():
    """`al` in a good password is no reason to refuse it."""
    assert weakness("Xk9#alQ2$vL7w", "al") is None


def test_judging_a_password_takes_no_time():
    """A rule that tries every way to cut a text into words must not hang on a long one."""
    assert weakness("1234567890qwerty" * 250 + "|", "ann") is None


def test_a_user_is_known_by_the_name_in_any_case():
    """As Airflow has it; an unknown one is told the nearest."""
    people = People((person("Ann.Lee", "Viewer"), person("bob")), ROLES)
    assert people.find("ann.LEE") == people.persons[0]
    assert people.find("carol") is None
    with pytest.raises(GateRefused) as e:
        people.known("ann.le")
    assert "did you mean 'Ann.Lee'?" in e.value.problem


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"username": "BOB"}, "there is a user bob (Op, bob@example.com) already"),
        ({"email": "bob@example.com"}, "is the address of the user bob"),
        ({"role": "viewer"}, "there is no role 'viewer'"),
    ],
)
def test_what_does_not_fit_those_who_are_there_is_refused(words, says):
    """A name twice, an address twice, a role that there is not: exit 8."""
    people = People((person("bob", "Op"),), ROLES)
    assert refuse_create(people, new()) is None
    with pytest.raises(GateRefused) as e:
        refuse_create(people, new(**words))
    assert says in e.value.problem


def test_the_roles_that_exist_are_named_the_nearest_first():
    """Then the others, by name; also when none is near."""
    for role, first in (("viewr", "Viewer, Admin, Op, Public, User"), ("???", "Admin, Op, Public, User, Viewer")):
        with pytest.raises(GateRefused) as e:
            refuse_create(People((), ROLES), new(role=role))
        assert e.value.remedy == f"one of: {first}"


def test_a_user_who_is_there_is_pointed_at_reset_password():
    """With a command to copy, safe in a shell whatever the name is."""
    with pytest.raises(GateRefused) as e:
        refuse_create(People((person("bob; rm -rf /", "Op"),), ROLES), new(username="bob; rm -rf /"))
    assert "fab users.reset-password 'bob; rm -rf /'" in e.value.remedy


@pytest.mark.parametrize(
    ("others", "refused"),
    [
        ((), True),
        ((person("bob", "Op", "Viewer"),), True),
        ((person("bob", "Admin", active=False),), True),
        ((person("bob", "Op", "Admin"),), False),
    ],
)
def test_the_last_admin_stays(others, refused):
    """Another one counts only who may log in."""
    admin = person("admin", "Admin")
    people = People((admin, *others), ROLES)
    if refused:
        with pytest.raises(GateRefused):
            refuse_delete(people, admin)
    else:
        refuse_delete(people, admin)
    refuse_delete(people, person("eve", "Viewer"))


def test_names_from_the_database_do_not_steer_a_terminal():
    """Somebody may have put anything there."""
    assert "\x1b" not in str(person("\x1b[2J", "\x1b[31mAdmin"))


def test_the_answer_of_a_host_becomes_people_in_order():
    """By name, whatever its case."""
    seen = {"firstname": "F", "lastname": "L", "email": "e", "active": True, "logins": 0, "last_login": None}
    users = [{**seen, "name": name, "roles": ["Op"]} for name in ("bob", "Ann", "carol")]
    people = make_people({"users": users, "roles": ["Admin", "Op"]})
    assert [each.name for each in people.persons] == ["Ann", "bob", "carol"]
    assert (people.persons[0].roles, people.roles) == (("Op",), ("Admin", "Op"))


def test_the_history_tells_which_user_got_which_role():
    """One line for a human."""
    entry = {"began": "t", "who": "me", "doing": "users.create", "user": "ann", "role": "Viewer", "result": "done"}
    assert "me  users.create ann Viewer; done" in history.line_of({**entry, "seconds": 4.0})
