"""What draining a worker would mean, from what was seen of it."""

import pytest

from airfleet.crew import Gap, Task, Worker, duration, expected_wait, explain, make_workers
from airfleet.worklist import Worklist

SEEN = {
    "workers": [
        {
            "instance": 1,
            "node": "worker1@a",
            "active": "active",
            "enabled": True,
            "answers": True,
            "queues": ["default"],
            "unnamed": 1,
            "reserved": 2,
            "running": [
                {"dag": "d", "task": "t[3]", "run": "r", "try": 2, "elapsed_s": 5, "retries_left": 0, "usual_s": None}
            ],
            "gaps": [{"queue": "default", "waiting": 1, "running": 4}],
        }
    ]
}


def worker(*running, **more):
    values = {
        "host": "a",
        "instance": 1,
        "node": "worker1@a",
        "active": "active",
        "enabled": True,
        "answers": True,
        "queues": ("default",),
        "unnamed": 0,
        "reserved": 0,
        "gaps": (),
    }
    return Worker(**{**values, **more}, running=running)


def task(elapsed_s=None, usual_s=None):
    return Task("d", "t", "r", 1, 2, elapsed_s, usual_s)


def test_what_the_agent_answers_becomes_workers():
    """Each word has its place, and all tasks are counted, named or not."""
    (made,) = make_workers("a", SEEN)
    assert (made.tasks, made.gaps) == (4, (Gap("default", 1, 4),))
    assert "d.t[3] (r) try 2, 5 s so far, 0 retries left" in list(explain(made, 60, kill_after_wait=False))[1]


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (worker(), "no wait"),
        (worker(task(10, 40), task(10, 100)), "expected wait about 1 min 30 s"),
        (worker(task(10, 40), task(50, 40)), "expected wait about 30 s, and 1 that can't be estimated"),
        (worker(task(10)), "expected wait unknown: no earlier run to go by, or longer than those already"),
        (worker(unnamed=1), "expected wait unknown: no earlier run to go by, or longer than those already"),
    ],
)
def test_the_expected_wait_goes_by_earlier_runs(seen, says):
    """The longest rest of all that can be estimated; what can't is said."""
    assert says == expected_wait(seen)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"active": "failed"}, "failed"),
        ({"answers": False}, "runs, but does not answer"),
        ({"queues": ()}, "drained: takes no tasks; idle"),
        ({"reserved": 1}, "serves default; 0 running, 1 about to"),
    ],
)
def test_a_worker_says_how_it_is(more, says):
    """Dead, silent, drained or at work: four different things to an operator."""
    assert says == worker(**more).condition


def test_the_deadline_is_spoken_of_only_where_it_matters():
    """A task that will probably end in time is no reason to warn."""
    assert len(list(explain(worker(task(10, 40)), 60, kill_after_wait=True))) == 2
    assert "CUT" in list(explain(worker(task(10, 400)), 60, kill_after_wait=True))[2]


def test_durations_are_said_as_people_say_them():
    """Seconds, then minutes, then hours."""
    assert ["0 s", "59 s", "1 min 0 s", "1 h 1 min"] == [duration(s) for s in (0.2, 59.4, 60, 3661)]


def test_a_ledger_tells_the_state_of_the_world():
    """Done, in hand, untouched; after the last one nothing is left over."""
    worklist = Worklist(["a", "b", "c"])
    with worklist.doing("a"):
        assert worklist.state() == "done: nothing; in doubt: a; untouched: b, c — the next run goes on from here"
    with worklist.doing("b"):
        pass
    assert worklist.state() == "done: a, b; untouched: c — the next run goes on from here"
