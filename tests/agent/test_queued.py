"""What the database tells of queued tasks: against a real PostgreSQL, by the drivers that a host's environment has."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from agent_services import POSTGRES, postgres

pytestmark = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import json, sys
import psycopg2
sys.path.insert(0, sys.argv[1])
from airfleet.agent import inside_condition
connection = psycopg2.connect(host="127.0.0.1", port=sys.argv[2], user="postgres", password="sup", dbname="postgres")
connection.cursor().execute(sys.stdin.read())
print(json.dumps(inside_condition.queued(connection, {})))
"""
TABLE = """\
create temporary table task_instance (queue text, state text, queued_dttm timestamptz);
insert into task_instance select queue, state, now() - age * interval '1 second' from (values
  ('default', 'running', 100), ('default', 'running', 200), ('default', 'success', 1),
  ('default', 'queued', 300), ('default', 'queued', 110), ('default', 'queued', 5),
  ('gpu', 'queued', 400)
) as rows (queue, state, age)
"""


def test_a_task_is_overtaken_where_one_that_was_queued_long_after_it_runs(drivers):
    """By half a minute; in its own queue alone, and only by what runs."""
    with postgres() as port:
        argv = [drivers / "bin" / "python", "-c", PROGRAM, ROOT, str(port)]
        done = subprocess.run(argv, input=TABLE, capture_output=True, text=True, check=True)
    default, gpu = json.loads(done.stdout)
    assert (default["queue"], default["count"], default["overtaken"]) == ("default", 3, 1)
    assert (gpu["queue"], gpu["count"], gpu["overtaken"]) == ("gpu", 1, 0)
    assert 300 <= default["oldest_s"] < 360
