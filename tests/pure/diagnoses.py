"""What was really seen of an installation, case by case: data/diagnoses.yaml over a healthy one."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import yaml

from airfleet.checkup import Checkup
from airfleet.inventory import parse
from airfleet.model import Change, Seen
from airfleet.plan import Plan, StagePlan
from airfleet.resources import Made

DATA = Path(__file__).parent / "data"
CASES = yaml.safe_load((DATA / "diagnoses.yaml").read_text())
HEALTHY = json.loads((DATA / "checkup-healthy.json").read_text())
INVENTORY = """\
airflow: {{version: {version}}}
database: {{host: 10.77.0.2}}
dags: {{repository: "https://git.internal/dags.git"}}
logging: {{bucket: {bucket}}}
backup: {{schedule: {schedule}}}
hosts:
  af1: {{address: 10.77.0.11, roles: [redis, webserver, scheduler, triggerer, worker, flower]}}
  af2: {{address: 10.77.0.12, roles: [worker]}}
"""
# Keys with a dot in them, which a path would otherwise take for two.
DOTTED = ("airflow.cfg", ".service")


def steps(path):
    """Return the keys of a path; units and airflow.cfg keep their dots."""
    for word in DOTTED:
        path = path.replace(word, word.replace(".", "\0"))
    return [step.replace("\0", ".") for step in path.split(".")]


def put(place, keys, value):
    """Set a value; `*` means each, and a mapping over a mapping changes only what it names."""
    first, *rest = keys
    for key in list(place) if first == "*" else [int(first) if isinstance(place, list) else first]:
        if rest:
            put(place.setdefault(key, {}) if isinstance(place, dict) else place[key], rest, value)
        elif (
            isinstance(value, dict)
            and isinstance(place, dict)
            and isinstance(place.get(key), dict)
            and value.keys() <= place[key].keys()
        ):
            place[key] = {**place[key], **value}
        else:
            place[key] = value


def make_three(facts):
    """Make an installation of Airflow 2 one of Airflow 3: the API server, the DAG processor, one secret more."""
    units = facts["hosts"]["af1"]["units"]
    units["airflow-api-server.service"] = units.pop("airflow-webserver.service")
    units["airflow-dag-processor.service"] = copy.deepcopy(units["airflow-scheduler.service"])
    for holder in facts["hosts"]["af1"]["ports"].values():
        holder["unit"] = holder["unit"].replace("webserver", "api-server")
    jobs = facts["hosts"]["af1"]["stores"]["airflow"]["jobs"]
    jobs.append({**next(job for job in jobs if job["type"] == "SchedulerJob"), "type": "DagProcessorJob"})
    for host in facts["hosts"].values():
        for digests in host["effective"]["digests"].values():
            digests["jwt_secret"] = "5a17"


def checkup(case):
    facts = copy.deepcopy(HEALTHY)
    version = case.get("airflow", "2.11.2")
    if version[0] == "3":
        make_three(facts)
    facts["clocks"] = {"af1": [0.0, 0.1], "af2": [0.0, 0.1]}
    for path, value in case.get("set", {}).items():
        put(facts, steps(path), value)
    away = case.get("unreachable", {})
    plans = {}
    for name in facts["hosts"]:
        changes = tuple(
            Change(Made(each["kind"], each["key"], each["want"]), Seen(each["have"]))
            for each in case.get("plans", {}).get(name, ())
        )
        plans[name] = Plan(name, (StagePlan("x", changes),))
    return Checkup(
        inventory=parse(
            INVENTORY.format(bucket=case.get("bucket", "~"), schedule=case.get("schedule", "~"), version=version),
            Path("inventory.yaml"),
        ),
        hosts={name: host for name, host in facts["hosts"].items() if name not in away},
        unreachable=away,
        clocks={name: tuple(clock) for name, clock in facts["clocks"].items() if name not in away},
        crew=facts["crew"],
        plans=plans,
        operation=case.get("operation"),
    )
