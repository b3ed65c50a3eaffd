"""Facts in, plan out; and what a plan shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airfleet.model import Facts, Seen, Stage
from airfleet.plan import _lines, describe, diff, differing, make_plan
from airfleet.resources import Directory, File, Link, Packages, Unit


def change_of(resource, state, detail=None):
    facts = Facts({(resource.kind, resource.key): Seen(state, detail or {})})
    (change,) = differing([resource], facts)
    return change


def same(text):
    return text


def test_what_is_as_it_should_be_is_no_change():
    """The one comparison: equal states give no change, for every kind."""
    resources = [File("/f", "x"), Directory("/d"), Link("/l", "t"), Packages(("a",)), Unit("u.service")]
    facts = Facts({(r.kind, r.key): Seen(r.state) for r in resources})
    assert not make_plan("h", [Stage("s", tuple(resources))], facts)


def test_what_was_not_asked_is_a_key_error():
    """Absent is None; not asked is a KeyError."""
    with pytest.raises(KeyError):
        differing([Directory("/d")], Facts({}))


@pytest.mark.parametrize(
    ("resource", "state", "line"),
    [
        (Directory("/d"), None, "+ directory /d"),
        (Directory("/d"), {"owner": "root", "group": "root", "mode": "0700"}, "~ directory /d: mode 0700 → 0755"),
        (Packages(("git", "curl")), {"curl": "installed"}, "~ packages apt: git is missing"),
        (Packages(("git", "curl")), None, "+ packages apt: git curl"),
        (Link("/l", "new"), {"target": "old"}, "~ link /l: target old → new"),
        (
            Unit("u.service", reads=(("/x/airflow.cfg", "a" * 64),)),
            {"enabled": "enabled", "active": "active", "reload": "no", "started with /x/airflow.cfg": "b" * 12},
            "~ unit u.service: its process started with an older airflow.cfg",
        ),
        (
            Unit("u.service"),
            {"enabled": "enabled", "active": "failed"},
            "~ unit u.service: is failed",
        ),
    ],
)
def test_a_change_is_one_line(resource, state, line):
    """An operator reads what is done, to what, and why."""
    assert line == describe(change_of(resource, state))


def test_a_diff_hides_known_secrets_and_what_sounds_like_one():
    """Neither the new password nor the one that was there before is shown."""
    new = "[celery]\nbroker_url = redis://:NEWPASS@h/0\nworker_concurrency = 4\n"
    old = "[celery]\nbroker_url = redis://:OLDPASS@h/0\nworker_concurrency = 8\n"
    change = change_of(File("/c", new, secret=True), {"sha256": "old"}, {"text": old})
    lines = diff(change, lambda text: text.replace("NEWPASS", "<secret>"))
    text = "\n".join(lines)
    assert "NEWPASS" not in text
    assert "OLDPASS" not in text
    assert "-worker_concurrency = 8" in lines
    assert "+worker_concurrency = 4" in lines


def test_only_files_whose_content_differs_have_a_diff():
    """A wrong mode alone shows no content."""
    file = File("/c", "x\n")
    change = change_of(file, {**file.state, "mode": "0600"}, {})
    assert [] == diff(change, same)


LINES = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


@given(before=st.lists(LINES), after=st.lists(LINES))
def test_a_diff_tells_the_whole_truth(before, after):
    """The lines that a diff adds and removes are those in which the texts differ, whatever is in them."""
    old, new = "\n".join(before), "\n".join(after)
    file = File("/f", new)
    if old == new:
        return
    lines = diff(change_of(file, {"sha256": "other"}, {"text": old}), same, 10_000)
    added = sorted(line[1:] for line in lines if line[:1] == "+")
    removed = sorted(line[1:] for line in lines if line[:1] == "-")
    rest_old, rest_new = _lines(old), _lines(new)
    for line in removed:
        rest_old.remove(line)
    for line in added:
        rest_new.remove(line)
    assert sorted(rest_old) == sorted(rest_new)
