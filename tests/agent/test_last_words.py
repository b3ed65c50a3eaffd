"""The end of a unit's journal, asked for at the very moment at which the unit has failed."""

from __future__ import annotations

from airfleet.agent import run, units


def test_what_was_said_in_the_same_second_is_not_missed(monkeypatch):
    """The journal is brought up to date first, and the moment is rounded down: a unit may fail within milliseconds."""
    asked = []

    def said(argv, **_):
        asked.append(argv)
        return "its last words\n"

    monkeypatch.setattr(run, "run", said)
    assert units.journal({"unit": "x.service", "since": 100.7}, None) == {"text": "its last words"}
    assert asked[0] == ["journalctl", "--sync"]
    assert asked[1][asked[1].index("--since") + 1] == "@100"
