"""A unit that is stopped has what its TimeoutStopSec gives it, and systemd's kill behind that."""

import pytest

from airfleet.agent import run, units


@pytest.fixture
def systemd(monkeypatch):
    """A systemd whose unit ends when it was killed: `killed_s` after it was asked to stop; its clock is our own."""
    told = {"clock": 0.0, "killed_s": 90.0, "asked": []}
    monkeypatch.setattr(units.time, "monotonic", lambda: told["clock"])
    monkeypatch.setattr(run, "run", lambda argv, **_: told["asked"].append(argv[1:]) or "")
    monkeypatch.setattr(units, "show", lambda names, *_: {name: state_at(told) for name in names})

    def wait_until(reached, timeout_s, poll_s):
        until = told["clock"] + timeout_s
        while told["clock"] < until:
            if found := reached():
                return found
            told["clock"] += 1.0
        return None

    monkeypatch.setattr(run, "wait_until", wait_until)
    return told


def state_at(told):
    gone = told["clock"] > told["killed_s"]
    return {"ActiveState": "failed" if gone else "deactivating", "SubState": "failed" if gone else "stop-sigterm"}


def test_a_unit_that_systemd_has_to_kill_is_waited_for(systemd):
    """Not ended in 90 s, dead a moment later: stopped."""
    said = []
    assert units.stop("x.service", 90, said.append) == "failed"
    assert "at most 120 s" in said[-1]


def test_a_unit_that_not_even_systemd_ends_is_refused(systemd):
    """The refusal says how long it was waited for."""
    systemd["killed_s"] = 1000.0
    with pytest.raises(run.Refused, match=r"x\.service is deactivating 120 s after systemd was asked to stop it"):
        units.stop("x.service", 90, lambda _: None)
