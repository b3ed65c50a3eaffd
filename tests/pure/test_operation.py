"""What is held back while an operator's command is under way, and how it is told."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from diagnoses import CASES, checkup

from airfleet import board, runbooks
from airfleet.doctor import operation, report
from airfleet.doctor.diagnosis import diagnose
from airfleet.generations import GENERATIONS

ROOT = Path(__file__).parents[2]
# Commands that have no lock, or change nothing.
LOOKING = {
    *("status", "doctor", "incident", "maintenance.status", "users.list", "backup.list", "task-log", "releases"),
    *("history", "shell", "runbook", "airflow", "logs", "firewall", "verify-logs"),
}


def held(name):
    return diagnose(checkup(next(case for case in CASES if case["name"] == name)))


def test_the_report_says_who_is_at_work_and_what_that_holds_back():
    """In words, with the reason; in JSON; on the screen of status. Nothing of it is a cause."""
    found = held("workers are restarted")
    text = "\n".join(line for line, _ in report.lines(found, 1.0, verbose=False))
    assert "~ held back while `restart-workers` by ann@desk (since 17:00) is under way:" in text
    assert (
        "  service-stopped: af2: airflow-worker@1.service is stopped (services are stopped and started again)" in text
    )
    assert "0 causes, 1 held back, " in text
    said = report.as_json(found)
    assert said["operation"] == {
        "doing": "restart-workers",
        "who": "ann@desk",
        "since": "17:00",
        "age_s": 40.0,
        "stuck": False,
    }
    assert [(each["id"], each["why"]) for each in said["held_back"]] == [
        ("service-stopped", "services are stopped and started again")
    ]
    screen = board.lines(checkup(next(case for case in CASES if case["name"] == "workers are restarted")), found)
    assert screen[0] == "~ `restart-workers` by ann@desk (since 17:00) is under way; it holds back:"
    assert screen[1] == "  service-stopped"
    assert screen[2].startswith("✓ well but for what is held back")


def test_a_stuck_operation_is_told_so():
    """Its findings are causes again, and it is named."""
    found = held("a restart of workers has been stuck for five hours")
    text = "\n".join(line for line, _ in report.lines(found, 1.0, verbose=False))
    assert "~ `restart-workers` by ann@desk (since 12:00) has the lock for 5 h: it is stuck" in text


def test_an_operation_under_way_is_told_where_it_holds_nothing_back():
    """Whoever is paged knows that somebody is at work."""
    case = {"operation": {"doing": "deploy", "who": "ann@desk", "since": "17:00", "age_s": 1}}
    found = diagnose(checkup(case))
    text = "\n".join(line for line, _ in report.lines(found, 1.0, verbose=False))
    assert "~ `deploy` by ann@desk (since 17:00) is under way" in text
    assert found.well


@pytest.mark.parametrize("name", operation.HELD_BACK)
def test_what_is_held_back_is_a_finding_and_says_why(name):
    """Each has a runbook of its name, and a reason; what it is about is something that a command has in hand."""
    held_back = operation.HELD_BACK[name]
    assert runbooks.find(name)
    assert held_back.why
    assert not held_back.about or held_back.about in operation.IN_HAND["bootstrap"]


def test_every_command_that_takes_the_lock_says_what_it_has_in_hand():
    """A new command is decided on here: what does it bring about by itself?"""
    words = set()
    for path in sorted((ROOT / "airfleet").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "doing":
                value = node.value.values[0] if isinstance(node.value, ast.JoinedStr) else node.value
                words |= {value.value.split()[0]} if isinstance(value, ast.Constant) else set()
    assert words - LOOKING == operation.IN_HAND.keys() - {"rollback", "retire"}


def test_the_services_are_those_of_every_generation():
    """A service that is not named here could never be held back."""
    known = {service.name for generation in GENERATIONS for service in generation.services}
    assert known | {"redis", "proxy"} == operation.SERVICES
