"""The doctor's rules over facts as they were really seen: one case a trouble, in data/diagnoses.yaml."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from diagnoses import CASES, INVENTORY, checkup

from airfleet import board
from airfleet.checkup import Checkup
from airfleet.doctor import report
from airfleet.doctor.diagnosis import CHECKS, diagnose
from airfleet.doctor.finding import Check, Fact, Finding, Layer
from airfleet.inventory import parse


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_doctor_names_the_cause_and_only_it(case):
    """Facts in, the names of causes, effects and latent findings out; each cause rests on two facts at least."""
    found = diagnose(checkup(case))
    assert found.crashed == ()
    assert [each.id for each in found.causes] == case.get("causes", [])
    assert [each.id for each in found.latent] == case.get("latent", [])
    assert [each.id for each, _ in found.held] == case.get("held", [])
    assert {each.id for effects in found.effects.values() for each in effects} == set(case.get("effects", []))
    assert [each.kind for each in found.causes] == ["cause"] * len(found.causes)
    assert bool(found.unknown) == case.get("unknown", False)
    if "where" in case:
        assert found.causes[0].where == case["where"]
    if "next" in case:
        assert found.causes[0].next == case["next"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_status_shows_it_on_one_screen(case):
    """Twenty-four lines of a hundred letters at most; what is wrong is marked, what is not known is a question mark."""
    c = checkup(case)
    found = diagnose(c)
    lines = board.lines(c, found)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    if case.get("causes"):
        assert next(line for line in lines if line[:1] not in "~? ").startswith("✗")
    assert board.as_json(c, found)["well"] is not bool(case.get("causes"))
    json.dumps(board.as_json(c, found))


def test_the_hearts_of_a_host_that_is_alone_are_found_where_airflow_has_them():
    """There Airflow calls it 127.0.0.1; among others that would be nobody's heart."""
    c = checkup({"set": {f"hosts.af1.stores.airflow.jobs.{number}.host": "127.0.0.1" for number in (0, 1)}})
    lines = INVENTORY.format(bucket="~", schedule="~", version="2.11.2").splitlines(keepends=True)
    alone = replace(c, inventory=parse("".join(lines[:-1]), Path("inventory.yaml")), hosts={"af1": c.hosts["af1"]})
    hearts = [check for check in CHECKS if check.title.endswith("'s heartbeat")]
    assert [len(list(check.rule(c))) for check in hearts] == [1] * len(hearts)
    assert [list(check.rule(alone)) for check in hearts] == [[]] * len(hearts)


def test_every_rule_has_a_case():
    """A rule that no case makes speak could not fail."""
    spoken = set()
    for case in CASES:
        c = checkup(case)
        for check in CHECKS:
            try:
                spoken |= {check.title} if list(check.rule(c)) else set()
            except Exception:  # noqa: BLE001  # could not look: another case is for that
                continue
    assert {check.title for check in CHECKS} == spoken


def test_a_rule_that_crashes_does_not_silence_the_others():
    """It is told of, with its name, and the others' findings stand."""

    def broken(_):
        raise ZeroDivisionError("no")
        yield

    case = next(case for case in CASES if case["name"] == "a service was stopped")
    found = diagnose(checkup(case), (Check("broken", broken), *CHECKS))
    assert found.crashed == ("broken: ZeroDivisionError: no",)
    assert [each.id for each in found.causes] == ["service-stopped"]


def test_one_fact_makes_a_suspect_and_no_cause():
    """A single sign may mislead."""
    finding = Finding("x", Layer.HOST, "a", "b", (Fact("c", "d"),), "e", "f")
    assert finding.kind == "suspect"


def test_the_report_names_cause_evidence_runbook_and_one_command():
    """What somebody reads at three in the morning."""
    case = next(case for case in CASES if case["name"] == "somebody holds a lock")
    text = "\n".join(line for line, _ in report.lines(diagnose(checkup(case)), 1.0, verbose=False))
    assert "✗ CAUSE    db-lock   the metadata database psql as ann (pid 7) holds a lock that 3 others wait for" in text
    assert "evidence  pg_blocking_pids: 3 wait for pid 7" in text
    assert "runbook   fab runbook db-lock" in text
    assert text.count("  next  ") == 1
    assert "effects   scheduler-hung" in text
    assert "Looked, fine: hosts answer, disk" in text


def test_a_runbook_is_named_with_the_host_that_it_is_about():
    """So that its steps can be run as they are printed."""
    case = next(case for case in CASES if case["name"] == "root has logged here")
    text = "\n".join(line for line, _ in report.lines(diagnose(checkup(case)), 1.0, verbose=False))
    assert "runbook   fab runbook logs-not-writable --host af2" in text


def test_a_host_that_tells_nothing_is_not_well():
    """Facts that are missing make a question mark, never a tick."""
    c = checkup({})
    blind = Checkup(c.inventory, {"af1": {"unknown": {"units": "no"}}, "af2": c.hosts["af2"]}, crew=None)
    found = diagnose(blind)
    assert not found.well
    assert "units of af1" in " ".join(found.unknown)
    assert "?" in "\n".join(board.lines(blind, found))
