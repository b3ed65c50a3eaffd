"""Users of the web pages created, given new passwords, listed and deleted; each login is a real one."""

from __future__ import annotations

import json
import re
import urllib.error

import pytest

from sandbox.site import REPOSITORY
from tests.live.conftest import Watch, wait_for
from tests.live.people import person, shown, visit
from tests.typist import type_into

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

CHOSEN = "Xk9#mQ2$vL7w '한글' \\"


def is_out(browser):
    """Tell whether an open session is refused."""
    try:
        browser.dags()
    except urllib.error.HTTPError:
        return True
    return False


def listed(installation):
    return {each["name"]: each for each in json.loads(installation.fab("users.list", "--json").stdout)}


@pytest.fixture
def made(installation):
    """Names of users that are deleted after the test, if they are there."""
    names = []
    yield names
    for name in names:
        installation.fab("users.delete", name, "--yes", rc=None)


def test_a_user_who_was_created_can_log_in_and_is_told_the_password_once(installation, made):
    """The role, the names and the address are as typed; no process showed the password, and the history has it not."""
    made.append("viewer1")
    secret = {}
    with Watch(lambda: dict(secret)) as watch:
        operator = installation.start("users.create", *person("viewer1"))
        lines = []
        for line in operator.stdout:
            lines.append(line)
            if found := re.search(r"password: (\S+)", line):
                secret["password"] = found[1]
        assert operator.wait(timeout=60) == 0, lines
    output = "".join(lines)
    assert output.count(secret["password"]) == 1
    assert "viewer1 can log in" in output
    assert (watch.found, watch.samples > 0) == (set(), True)
    assert visit(installation, "viewer1", secret["password"])
    seen = listed(installation)["viewer1"]
    assert (seen["roles"], seen["email"], seen["active"]) == (["Viewer"], "viewer1@example.com", True)
    assert (seen["firstname"], seen["lastname"]) == ("길동", "O'Neil $(id)")
    assert seen["logins"] >= 2
    assert seen["last_login"] > "2026"
    assert re.search(
        r"^viewer1 +Viewer +viewer1@example\.com +yes", installation.fab("users.list").stdout, re.MULTILINE
    )
    history = installation.fab("history", "--json").stdout
    assert secret["password"] not in history
    entry = [each for each in json.loads(history) if each.get("user") == "viewer1"][-1]
    assert (entry["doing"], entry["role"], entry["result"]) == ("users.create", "Viewer", "done")


def test_a_user_who_is_there_keeps_the_password(installation, made):
    """A second create is refused, by that name in any case and by that address, and points to the command to type."""
    made.append("viewer2")
    password = shown(installation.fab("users.create", *person("viewer2")))
    for name in ("viewer2", "Viewer2"):
        assert "fab users.reset-password viewer2" in installation.fab("users.create", *person(name), rc=8).stderr
    twice = ["viewer3", *person("viewer2")[1:]]
    assert "is the address of the user viewer2" in installation.fab("users.create", *twice, rc=8).stderr
    assert visit(installation, "viewer2", password)


def test_a_role_that_there_is_not_is_told_those_that_there_are(installation):
    """The nearest first."""
    said = installation.fab("users.create", *person("viewer3", role="viewr"), rc=8).stderr
    assert "one of: Viewer, Admin, Op, Public, User" in said
    assert "viewer3" not in listed(installation)


def test_a_role_that_may_see_nothing_is_not_well(installation, made):
    """The login is really tried: exit 9 says that the page shows nothing, and that the user is there."""
    made.append("nobody1")
    said = installation.fab("users.create", *person("nobody1", role="Public"), rc=9).stderr
    assert "has no right to see anything" in said
    assert "user nobody1 was created" in said


def test_a_new_password_works_and_the_old_one_does_not(installation, made):
    """Who is logged in stays so, as the command says."""
    made.append("viewer4")
    old = shown(installation.fab("users.create", *person("viewer4")))
    browser = visit(installation, "viewer4", old)
    done = installation.fab("users.reset-password", "VIEWER4")
    new = shown(done)
    assert "viewer4 can log in" in done.stdout
    assert not visit(installation, "viewer4", old)
    assert visit(installation, "viewer4", new)
    assert "who is logged in with the old password stays so" in done.stdout
    assert "hello" in browser.dags()
    assert "did you mean 'viewer4'?" in installation.fab("users.reset-password", "viewr4", rc=8).stderr


def test_a_password_from_a_terminal_is_seen_nowhere(installation, made):
    """Typed twice into a real terminal, never echoed, in no process, no journal, no history; and it logs in."""
    made.append("viewer5")
    command = installation.command("users.create", *person("viewer5"), "--prompt")
    answers = [("New password of viewer5: ", f"{CHOSEN}\n"), ("The same again: ", f"{CHOSEN}\n")]
    began = installation.on("af1", "date", "+%s").strip()
    with Watch(lambda: {"password": CHOSEN}) as watch:
        rc, screen = type_into(command, answers, cwd=REPOSITORY, env=installation.environment())
    assert rc == 0, screen
    assert (watch.found, watch.samples > 5) == (set(), True)
    assert CHOSEN not in screen
    assert CHOSEN not in installation.fab("history", "--json").stdout
    assert CHOSEN not in installation.on("af1", "journalctl", "--no-pager", "--output", "cat", "--since", f"@{began}")
    assert visit(installation, "viewer5", CHOSEN)


def test_a_weak_password_is_refused_in_the_terminal(installation):
    """With its reason, and no user."""
    command = installation.command("users.create", *person("viewer6"), "--prompt")
    answers = [("New password of viewer6: ", "viewer6-viewer6\n")]
    rc, screen = type_into(command, answers, cwd=REPOSITORY, env=installation.environment())
    assert (rc, "the password has the user's name in it" in screen) == (2, True)
    assert "viewer6" not in listed(installation)


def test_a_deleted_user_is_out_and_the_last_admin_stays(installation, made):
    """Asked in a terminal first; `no` deletes nothing; an open session sees nothing any more."""
    made.append("viewer7")
    password = shown(installation.fab("users.create", *person("viewer7")))
    browser = visit(installation, "viewer7", password)
    assert "--yes" in installation.fab("users.delete", "viewer7", rc=2).stderr
    command = installation.command("users.delete", "viewer7")
    for answer, rc in (("n\n", 7), ("y\n", 0)):
        assert "viewer7" in listed(installation)
        asked = [("delete user viewer7 (Viewer, viewer7@example.com)? [y/N] ", answer)]
        done, screen = type_into(command, asked, cwd=REPOSITORY, env=installation.environment())
        assert done == rc, screen
    assert "viewer7" not in listed(installation)
    assert not visit(installation, "viewer7", password)
    wait_for(lambda: is_out(browser), "the open session to see nothing (Airflow 3 remembers users for 30 s)", 60)
    assert "there is no user 'viewer7'" in installation.fab("users.delete", "viewer7", "--yes", rc=8).stderr
    # Were there another one, this would really delete the user that all other tests need.
    assert [name for name, each in listed(installation).items() if "Admin" in each["roles"]] == ["admin"]
    assert "the last user with the role Admin" in installation.fab("users.delete", "admin", "--yes", rc=8).stderr
    assert "admin" in listed(installation)


def test_an_admin_can_go_when_there_is_another(installation, made):
    """Of two, one may be deleted."""
    made.append("admin2")
    installation.fab("users.create", *person("admin2", role="Admin"))
    installation.fab("users.delete", "admin2", "--yes")
    assert "admin2" not in listed(installation)
