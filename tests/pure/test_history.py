"""What follows from the history: to which release a rollback goes."""

import pytest

from airfleet.history import line_of, merged, previous, stack

A, B, C, D = (letter * 40 for letter in "abcd")


def entry(doing, commit, result="done", before="", **more):
    return {"doing": doing, "commit": commit, "result": result, "before": before, **more}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], []),
        ([entry("deploy", B, before=A)], [A, B]),
        ([entry("bootstrap", A), entry("deploy", B, before=A)], [A, B]),
        ([entry("deploy", B, before=A), entry("deploy", C, before=B), entry("rollback", B, before=C)], [A, B]),
        ([entry("deploy", B, before=A), entry("deploy", C, "refused", B), entry("deploy", D, "put back", B)], [A, B]),
        ([entry("deploy", B, before=A), entry("rollback", D, before=B)], [A, B, D]),
        ([entry("deploy", B, before=A), entry("bootstrap", B), entry("deploy", B, before=A)], [A, B]),
    ],
)
def test_only_what_ran_successfully_counts(entries, expected):
    """Refused and stopped deploys are nothing to go back to; a rollback takes off what was above it."""
    assert stack(entries) == expected


@pytest.mark.parametrize(
    ("entries", "current", "expected"),
    [
        ([], A, None),
        ([entry("bootstrap", A)], A, None),
        ([entry("deploy", B, before=A)], B, A),
        ([entry("deploy", B, before=A), entry("deploy", C, before=B), entry("rollback", B, before=C)], B, A),
        ([entry("deploy", B, before=A), entry("rollback", A, before=B)], A, None),
        ([entry("deploy", B, before=A), entry("deploy", C, "stopped", B)], C, B),
        ([entry("deploy", B, before=A), entry("deploy", A, before=B)], A, B),
    ],
)
def test_a_rollback_goes_to_what_ran_before(entries, current, expected):
    """From a release that a stopped deploy left, to the last one that ran; twice in a row, one further."""
    assert previous(entries, current) == expected


def test_a_host_that_was_away_misses_entries_but_the_history_does_not():
    """Each entry once, in the order of time."""
    one, two = {"id": "1", "began": "2026-01-01"}, {"id": "2", "began": "2026-01-02"}
    assert merged([[two], [one, two]]) == [one, two]


def test_an_entry_is_one_line():
    """Who, what, what became of it on each host; of a problem its first line."""
    words = entry("deploy", A, "refused", who="ann@desk", began="now", seconds=2.0, ref="main", problem="no\nmore")
    assert line_of({**words, "hosts": {"af1": "b"}}) == (
        "now  ann@desk  deploy main aaaaaaaaaaaa; refused in 2.0 s; af1 b; no"
    )


def test_a_maintenance_is_told_with_its_reason():
    """Whoever looks later reads why."""
    words = {"doing": "maintenance.on", "result": "done", "who": "ann@desk", "began": "now", "seconds": 2.0}
    assert line_of({**words, "reason": "disk swap"}) == "now  ann@desk  maintenance.on disk swap; done in 2.0 s"


def test_a_restart_is_told_with_its_service_and_what_became_of_each_host():
    """Also how many workers there were to be."""
    words = {"result": "done", "who": "ann@desk", "began": "now", "seconds": 2.0, "hosts": {"af1": "worker1 done"}}
    assert line_of({**words, "doing": "stop", "service": "worker"}) == (
        "now  ann@desk  stop worker; done in 2.0 s; af1 worker1 done"
    )
    assert "scale-workers 3;" in line_of({**words, "doing": "scale-workers", "count": 3})
