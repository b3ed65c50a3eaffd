"""Every secret gets another value under full load, killed on the way and typed again: no task is lost, none runs twice.

Long: only with AIRFLEET_LEDGER=full or AIRFLEET_CHAOS=all (`make chaos`).
"""

from __future__ import annotations

import os
import re
import signal

import pytest

from airfleet.rotations import ROTATIONS
from tests.live.conftest import wait_for
from tests.live.ledger.load import TASKS, Load
from tests.live.ledger.own_role import opened
from tests.live.web import Api

LONG = os.environ.get("AIRFLEET_LEDGER") == "full" or os.environ.get("AIRFLEET_CHAOS") == "all"
pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not LONG, reason="the long form: AIRFLEET_CHAOS=all (make chaos)"),
]

SLOTS = 16
PHASE = re.compile(r"phase (\d+) of \d+")


@pytest.fixture(scope="module")
def book(first, team):
    """The installation with the ledger's DAG on it."""
    return opened(first, team)


def killed_in(installation, name, number):
    """Type the command, and kill it as soon as it says that it is in this phase."""
    child, lines = installation.start("secrets.rotate", name), []
    for line in child.stdout:
        lines.append(line)
        found = PHASE.search(line)
        if found and int(found[1]) == number:
            os.killpg(child.pid, signal.SIGKILL)
            break
    assert child.wait() == -signal.SIGKILL, "".join(lines)


def redis_began(installation):
    return installation.on("af1", "systemctl", "show", "--property=ExecMainStartTimestampMonotonic", "redis-server")


@pytest.mark.both
@pytest.mark.parametrize("name", ROTATIONS)
def test_a_secret_gets_another_value_under_load(first, book, name):
    """Killed in the last but one phase, typed again: the book has every task once, and all is in order."""
    installation = first.installation
    if name == "jwt_secret" and installation.airflow.startswith("2"):
        installation.fab("secrets.rotate", name, rc=2)
        return
    before, began = installation.secret_values()[name], redis_began(installation)
    # A token of before is worth nothing afterwards: each test logs in anew.
    api = Api(installation.web, "admin", first.password, installation.airflow)
    busy = book.begun() + SLOTS
    with Load(api, book, longest_s=20, backlog=2 * SLOTS) as load:
        wait_for(lambda: book.begun() >= busy, "a task in every slot", 180)
        number = max(1, len(ROTATIONS[name].phases) - 1)
        killed_in(installation, name, number)
        assert "is half done" in installation.fab("plan", rc=None).stdout
        said = installation.fab("secrets.rotate", name, timeout_s=3000).stdout
        assert f"goes on with the rotation of {name}" in said
        then = book.now()
        api.forget()
        wait_for(lambda: book.ended_since(then) >= SLOTS, "tasks that end afterwards", 300)
    wait_for(lambda: not book.open_states(load.runs), "the end of all tasks", 900)
    verdict = book.verdict(load.runs, TASKS, SLOTS)
    print(name, verdict)
    assert verdict.clean, verdict
    values = installation.secret_values()
    assert values[name] != before
    assert not [each for each in values if each.endswith(("_next", "_previous", "_dropped"))]
    assert installation.fab("plan").stdout.startswith("in order")
    installation.fab("doctor")
    assert redis_began(installation) == began
    journals = installation.on("af1", "journalctl", "--no-pager", "--since=-1h", "-o", "cat")
    assert before not in journals
    assert values[name] not in journals


def test_the_old_password_of_redis_is_worth_nothing_afterwards(first, book):
    """Neither for a new connection, nor in the database's log."""
    installation = first.installation
    old = installation.secret_values()["redis_password"]
    installation.fab("secrets.rotate", "redis_password")
    new = installation.secret_values()["redis_password"]
    assert "WRONGPASS" in installation.on("af1", "redis-cli", stdin=f"auth airflow {old}\nping\n")
    assert "WRONGPASS" not in installation.on("af1", "redis-cli", stdin=f"auth airflow {new}\nping\n")
    assert installation.on("svc", "grep", "-rlF", "-e", old, "/var/log/postgresql", check=False) == ""
