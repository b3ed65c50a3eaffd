"""How much is tried, and what: few examples, always the same, in an ordinary run; 10,000 new ones in `make fuzz`."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.nested import paths_of, replaced

FULL = os.environ.get("AIRFLEET_FUZZ") == "full"
# By a thread, which ends all: what is held once is held again where the smallest example is searched for.
HELD = pytest.mark.timeout(7200 if FULL else 300, method="thread")
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


def tried(ordinarily=40, fully=10_000):
    """Return how often a test is run; the machine may be busy, so nothing is measured."""
    return settings(
        max_examples=fully if FULL else ordinarily, derandomize=not FULL, deadline=None, suppress_health_check=QUIET
    )


HARD = st.sampled_from(
    [
        *(
            "",
            " ",
            "a b",
            "'",
            '"',
            "%",
            "%%s",
            "$(reboot)",
            "`id`",
            "a\nb",
            "한국어",
            "-rf",
            "--",
            "../..",
            "\\",
            "{{ x }}",
        ),
        *(
            "\x00",
            "\x1b[2J",
            "\x1b]0;owned\x07",
            "\r",
            "\u202e",
            "\ud800",
            "\x9b31m",
            "²",
            "1" * 5000,
            "-1",
            "NaN",
            "[" * 3000,
        ),
        *("/etc/shadow", "/dev/zero", ";", "|", "&&", ">", "*", "~", "$HOME", "\u2028"),
    ]
)
TEXT = HARD | st.text(max_size=40)
NUMBERS = st.integers() | st.floats(allow_nan=False) | st.just(10**400)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def spoiled(value):
    """Return a strategy for this value with anything at one to three places of it."""
    return st.lists(st.tuples(st.sampled_from(paths_of(value)), VALUES), min_size=1, max_size=3).map(
        lambda changes: _spoil(value, changes)
    )


def _spoil(value, changes):
    for path, new in changes:
        try:
            value = replaced(value, path, new)
        except (AttributeError, LookupError, TypeError):
            continue  # an earlier change took the place away
    return value
