"""Which of the recorded DAGs are unpaused at the end of a maintenance: whoever spoke last decides."""

import pytest

from airfleet.pauses import count, judge, make_record, some, spoken

HAND = {"by": "ann", "event": "paused", "when": "2026-11-25T10:00:00+00:00"}
NOBODY = {"by": None, "event": None, "when": None}
WORDS = {
    "id": "1",
    "who": "ann@desk",
    "since": "then",
    "reason": "kernel",
    "phase": "on",
    "dags": ["a", "b"],
    "workers": {"af1": {"worker1@af1": ["default"], "worker2@af1": []}},
    "mark": 4,
}


@pytest.mark.parametrize(
    ("state", "ours", "said"),
    [
        ({"paused": True, **NOBODY}, True, ""),
        ({"paused": True, **HAND}, False, "paused meanwhile by ann (paused, 2026-11-25T10:00:00+00:00): stays paused"),
        ({"paused": False, **NOBODY}, False, "unpaused already"),
        ({"paused": False, **HAND}, False, "unpaused meanwhile by ann"),
        (None, False, "deleted meanwhile"),
    ],
)
def test_only_what_maintenance_itself_paused_is_unpaused(state, ours, said):
    """What somebody paused, unpaused or deleted by hand meanwhile is named, not touched."""
    verdict = judge(["a"], {} if state is None else {"a": state})
    assert verdict.ours == (("a",) if ours else ())
    assert said in "\n".join(verdict.lines())
    assert bool(list(verdict.lines())) != ours


def test_a_dag_that_is_not_in_the_record_is_none_of_its_business():
    """One that was paused before, or that appeared meanwhile, is neither unpaused nor named."""
    states = {"a": {"paused": True, **NOBODY}, "new": {"paused": True, **NOBODY}}
    assert (judge(["a"], states).ours, list(judge(["a"], states).lines())) == (("a",), [])


def test_a_thousand_dags_with_one_reason_are_one_line():
    """As after an `on` that was killed before it paused any."""
    dags = [f"dag{number:03}" for number in range(1000)]
    states = {dag: {"paused": False, **NOBODY} for dag in dags} | {"dag007": {"paused": True, **HAND}}
    first, second = judge(dags, states).lines()
    assert first.endswith("dag006, dag008 and 991 more: unpaused already")
    assert second.startswith("dag007: paused meanwhile by ann")


def test_a_record_names_who_since_when_and_why():
    """So does a refusal that shows it; a worker that took no tasks before is not one to give back."""
    record = make_record(WORDS)
    assert str(record) == "is on, by ann@desk since then: kernel"
    assert record.drained("af1") == {"worker1@af1"}
    assert record.drained("af2") == set()
    assert make_record(None) is None


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ("begun", "maintenance is half on: `fab maintenance.on` was cut in the middle, by ann@desk since then: kernel"),
        ("ending", "maintenance is half off: `fab maintenance.off` was cut in the middle, by ann@desk since then"),
    ],
)
def test_a_status_tells_that_a_run_was_cut(phase, said):
    """Half on and half off are said as such, with what ends it."""
    found = {"on": True, "host": "af1", "paused": ["a"], "others": {"b": "deleted meanwhile"}, **WORDS}
    lines = list(spoken({**found, "phase": phase, "workers": {"af1": ["worker1@af1"]}}))
    assert lines[0].startswith(said)
    assert lines[1:4] == [
        "  1 DAG paused by it: a",
        "  b: deleted meanwhile",
        "  af1: took tasks before: worker1@af1",
    ]
    assert list(spoken({"on": False, "host": "af1"})) == ["maintenance is off"]


def test_many_names_are_shortened_and_counted():
    """A plan of a thousand DAGs is one line."""
    assert some([str(number) for number in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert (some([]), count([1], "DAG"), count([], "DAG")) == ("none", "1 DAG", "0 DAGs")
