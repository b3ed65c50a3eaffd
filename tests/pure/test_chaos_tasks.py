"""The tasks that run beside a cell: those that did not end well with their first try are lost."""

from __future__ import annotations

import http.client
from types import SimpleNamespace

import pytest

from tests.live.chaos import tasks
from tests.live.chaos.tasks import Tasks


class Api:
    """Runs `run1`, `run2`, …; their tasks become what is told, and now and then the pages are away."""

    def __init__(self, *ends):
        self.ends, self.away = ends, [http.client.IncompleteRead(b""), ConnectionResetError()]
        self.begun = 0

    def trigger(self, dag, conf):
        assert (dag, conf) == ("sleeper", {"seconds": tasks.SLEEP_S})
        self.begun += 1
        return f"run{self.begun}"

    def ask(self, path):
        if self.away:
            raise self.away.pop()
        state, number = self.ends[int(path.split("/")[4].removeprefix("run")) - 1]
        return {"state": state, "try_number": number}


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([("success", 1)] * 4, (4, 0)),
        ([("success", 1), ("success", 2), ("failed", 1), ("running", 1)], (4, 3)),
    ],
)
def test_what_did_not_end_well_with_its_first_try_is_lost(monkeypatch, ends, verdict):
    """Also what never ended; pages that are away for a moment are asked again."""
    monkeypatch.setattr(tasks, "END_S", 0.2)
    monkeypatch.setattr(tasks, "POLL_S", 0.01)
    assert Tasks(SimpleNamespace(api=Api(*ends)), wanted=True).verdict() == verdict


def test_where_none_are_wanted_nobody_is_asked():
    """An upgrade stops the workers by plan."""
    assert Tasks(SimpleNamespace(api=None), wanted=False).verdict() == (0, 0)
