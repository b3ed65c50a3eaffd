"""Which queues each worker that answers consumes, as Celery says on the host."""

from __future__ import annotations

import json

SERVING = """\
import configparser, json
from celery import Celery
parser = configparser.RawConfigParser(strict=False)
parser.read("/home/airflow/airflow/airflow.cfg")
app = Celery(broker=parser["celery"]["broker_url"].replace("%%", "%"))
print(json.dumps({n: [q["name"] for q in each] for n, each in (app.control.inspect().active_queues() or {}).items()}))
"""


def serving(installation):
    """Return the queues that each worker which answers consumes."""
    said = installation.on("af1", "/home/airflow/.pyenv/versions/.venv/bin/python", "-c", SERVING)
    return json.loads(said.strip().splitlines()[-1])
