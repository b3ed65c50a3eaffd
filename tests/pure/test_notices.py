"""What others are told of a run, and who wants to know."""

import json
from pathlib import Path

import pytest

from airfleet.notices import event_of, shown, wants
from airfleet.sections_notify import Notify

ROOT = Path(__file__).parents[2]
ENTRY = {
    "id": "1",
    "doing": "deploy",
    "who": "ann@desk",
    "began": "2026-11-25T10:00:00.000+00:00",
    "seconds": 41.5,
    "ref": "main",
    "commit": "b" * 40,
    "subject": "mend the loader",
    "before": "a" * 40,
    "result": "put back",
    "problem": "af1: worker1@af1: not well: redis://:hunter22@af1\nits journal",
    "hosts": {"af1": "aaaa", "af2": "had hunter22"},
}


def event(**more):
    return event_of("production", {**ENTRY, **more}, lambda text: text.replace("hunter22", "<secret>"))


def test_an_event_is_what_the_history_has_without_secrets():
    """Every key is always there; what does not apply is null; every text is masked."""
    told = event(ref=None)
    assert told == {
        "schema": 1,
        "event": "deploy",
        "environment": "production",
        "who": "ann@desk",
        "began": "2026-11-25T10:00:00.000+00:00",
        "seconds": 41.5,
        "result": "put back",
        "problem": "af1: worker1@af1: not well: redis://:<secret>@af1\nits journal",
        "ref": None,
        "commit": "b" * 40,
        "subject": "mend the loader",
        "before": "a" * 40,
        "reason": None,
        "user": None,
        "service": None,
        "backup": None,
        "hosts": {"af1": "aaaa", "af2": "had <secret>"},
        "text": "production: deploy bbbbbbbbbbbb by ann@desk: put back in 41.5 s; mend the loader;"
        " af1: worker1@af1: not well: redis://:<secret>@af1",
    }
    assert json.loads(json.dumps(told)) == told


def test_every_key_of_an_event_is_documented():
    """docs/notifications.md has a row for each, and no other."""
    page = (ROOT / "docs/notifications.md").read_text()
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows == list(event())


def test_a_maintenance_has_its_reason_and_no_commit():
    """What an entry does not have is null, never missing."""
    bare = {name: ENTRY[name] for name in ("who", "began", "seconds")}
    told = event_of("staging", {**bare, "doing": "maintenance.on", "result": "done", "reason": "kernel"}, str)
    assert (told["reason"], told["commit"], told["hosts"]) == ("kernel", None, {})
    assert told["text"] == "staging: maintenance.on by ann@desk: done in 41.5 s; kernel"
    told = event_of("staging", {**bare, "doing": "users.delete", "result": "done", "user": "eve", "role": "Op"}, str)
    assert told["text"] == "staging: users.delete eve by ann@desk: done in 41.5 s"
    told = event_of("staging", {**bare, "doing": "stop", "result": "done", "service": "worker"}, str)
    assert told["text"] == "staging: stop worker by ann@desk: done in 41.5 s"


def test_a_ref_that_is_the_commit_is_said_once():
    """`--ref COMMIT` does not make a line twice as long; an endless problem is cut."""
    assert event(ref="b" * 40)["text"].startswith("production: deploy bbbbbbbbbbbb by")
    assert event(ref="main")["text"].startswith("production: deploy main bbbbbbbbbbbb by")
    assert len(event(problem="x" * 99_999)["problem"]) == 4000


@pytest.mark.parametrize(
    ("on", "doing", "result", "expected"),
    [
        (["all"], "users.create", "done", True),
        (["deploy"], "deploy", "done", True),
        (["deploy"], "deploy", "refused", True),
        (["deploy"], "rollback", "done", False),
        (["maintenance"], "maintenance.off", "done", True),
        (["workers"], "drain-workers", "done", True),
        (["services"], "stop", "done", True),
        (["services"], "restart-workers", "done", False),
        (["gate"], "deploy", "refused", True),
        (["gate"], "deploy", "stopped", False),
        (["failure"], "bootstrap", "stopped", True),
        (["failure"], "deploy", "put back", True),
        (["failure"], "deploy", "refused", False),
        (["failure", "gate"], "deploy", "done", False),
        (["rollback", "failure"], "rollback", "done", True),
    ],
)
def test_an_entry_is_told_of_commands_and_of_what_became_of_them(on, doing, result, expected):
    """Any of its words that fits is enough."""
    to = Notify.model_validate({"command": ("x",), "on": tuple(on)})
    assert wants(to, event(doing=doing, result=result)) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hooks.internal:8443/services/T0/B0/token?x=y", "https://hooks.internal:8443/…"),
        ("http://127.0.0.1/", "http://127.0.0.1/…"),
        ("https://h:99999/token", "a webhook"),
    ],
)
def test_of_an_address_the_host_is_shown(url, expected):
    """What is behind it may be a token."""
    assert shown(url) == expected
