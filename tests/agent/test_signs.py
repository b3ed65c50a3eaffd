"""The signs that are looked for in the journals: real lines of Airflow's, of both generations."""

from __future__ import annotations

import re

import pytest

from airfleet.agent.signs import SIGNS


@pytest.mark.parametrize(
    "line",
    [
        "Could not write logs to gs://aflogs/logs/hello/1.log: 403 POST …",
        "GCSRemoteLogIO - WARNING - Refusing to overwrite remote log gs://aflogs/logs/1.log: could not read existing",
        "*** Unable to read remote log 403 GET …",
    ],
)
def test_a_log_that_did_not_reach_its_bucket_is_seen(line):
    """Airflow 3 says it in other words where it may not even read what is there."""
    assert re.search(SIGNS["gcs"], line)
