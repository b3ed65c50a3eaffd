"""What is typed after `fab airflow`: split as a shell would, and kept from showing a password in a process list."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airfleet.airflow_words import refuse_passwords, split
from airfleet.errors import UsageError


def nothing(text):
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dags list -o json", ["dags", "list", "-o", "json"]),
        ("airflow dags list", ["dags", "list"]),
        ("""dags trigger x --conf '{"a": "b c"}'""", ["dags", "trigger", "x", "--conf", '{"a": "b c"}']),
        ("dags list; rm -rf $HOME > `x`", ["dags", "list;", "rm", "-rf", "$HOME", ">", "`x`"]),
        ("variables set k ''", ["variables", "set", "k", ""]),
    ],
)
def test_words_are_split_once_and_mean_nothing_else(text, expected):
    """Quotes group; what would mean something to a shell is a letter like any other."""
    assert expected == split(text)


@pytest.mark.parametrize("text", ["", "  ", "airflow", "dags 'list", 'dags "list', "dags list\\", "dags \0"])
def test_what_can_be_no_command_is_refused(text):
    """Exit 2 before anything is contacted; what was typed is not repeated, since there may be a password in it."""
    with pytest.raises(UsageError) as e:
        split(text)
    assert e.value.state == "nothing was contacted"
    assert "list" not in e.value.problem


@given(st.text())
def test_splitting_never_fails_otherwise(text):
    """Any text gives words or a message."""
    with contextlib.suppress(UsageError):
        assert split(text)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("users create --username a --password hunter2", "fab users.create"),
        ("users create --username a --password=hunter2", "fab users.create"),
        ("users create --username a --pass hunter2", "fab users.create"),
        ("users create -u a -p hunter2", "fab users.create"),
        ("users create -u a -phunter2", "fab users.create"),
        ("users create -u a -vp hunter2", "fab users.create"),
        ("users reset-password -u a -p hunter2", "fab users.reset-password"),
        ("users reset-password -u a --passwor=hunter2", "fab users.reset-password"),
        ("connections add c --conn-type x --conn-password hunter2", "connections import"),
        ("connections add c --conn-type x --conn-pass=hunter2", "connections import"),
        ("connections add c --conn-uri postgres://u:hunter2@h/d", "connections import"),
        ("connections add c --conn-uri=postgres://u:hunter2@h/d", "connections import"),
        ("connections add c --conn-u 'aws://?secret_key=hunter2'", "connections import"),
        ("connections add c --conn-uri 'postgres://[u:hunter2@h'", "connections import"),
        ("""connections add c --conn-json '{"conn_type": "x", "password": "hunter2"}'""", "connections import"),
        ("""connections add c --conn-json '{"extra": "{\\"token\\": \\"hunter2\\"}"}'""", "connections import"),
        ("""connections add c --conn-type x --conn-extra '{"a": [{"api_key": "hunter2"}]}'""", "connections import"),
        ("connections add c --conn-json '{password: hunter2'", "connections import"),
        ("celery flower --basic-auth=a:hunter2", "fab start"),
    ],
)
def test_a_password_in_the_words_is_refused(text, instead):
    """However the option is written: exit 2 with what to do instead, and without the password in the message."""
    with pytest.raises(UsageError) as e:
        refuse_passwords(split(text), nothing)
    assert instead in e.value.remedy
    assert "hunter2" not in str(e.value)


@pytest.mark.parametrize(
    "text",
    [
        "users create --username pat --firstname p --lastname p --role Op --email p@x.io --use-random-password",
        "users list -o plain",
        "users delete -u p",
        "connections add c --conn-type postgres --conn-host h --conn-port 5432",
        "connections add c --conn-uri postgres://u@h/d?sslmode=prefer",
        """connections add c --conn-json '{"conn_type": "x", "password": ""}'""",
        """connections add c --conn-type x --conn-extra '{"region": "eu"}'""",
        "connections get c -o json",
        "dags list-runs -d p --state failed",
        "variables set password_policy strict",
        "config get-value core fernet_key",
    ],
)
def test_everything_else_is_allowed(text):
    """A letter p, a port or a policy is no password."""
    refuse_passwords(split(text), nothing)


def test_a_secret_of_the_installation_is_refused_wherever_it_stands():
    """Known values never stand in a command line."""

    def mask(text):
        return text.replace("s3cr3t-value", "<secret>")

    with pytest.raises(UsageError) as e:
        refuse_passwords(split("variables set x=s3cr3t-value"), mask)
    assert "s3cr3t" not in str(e.value)
