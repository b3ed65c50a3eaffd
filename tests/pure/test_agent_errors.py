"""What the agent says of an error: its own refusal, the operating system's, one that nobody foresaw."""

from __future__ import annotations

import errno

import pytest

from airfleet.agent import run

FULL = "no space left on the device"


@pytest.mark.parametrize(("names", "said"), [((), FULL), (("/home/airflow/x",), f"{FULL}: /home/airflow/x")])
def test_a_full_disk_is_told_with_the_file_where_one_is_known(names, said):
    """A write that fails names none, an open does."""
    words = run.words_of(OSError(errno.ENOSPC, "No space left on device", *names))
    assert (words["error"], words["remedy"]) == (said, "make room on this host")


def test_an_error_that_nobody_foresaw_is_told_with_its_place():
    """One line of what it is; below it where in airfleet it was raised."""
    try:
        {}["x"]
    except KeyError as e:
        words = run.words_of(e)
    assert words["error"] == "airfleet did not foresee this: KeyError: 'x'"
    assert "test_agent_errors.py" in words["tail"]
