"""What is wanted of a host: its resources by kind and key, and its airflow.cfg as a parser reads it."""

from __future__ import annotations

from configparser import ConfigParser

from given_secrets import Given

from airfleet import airflow_cfg
from airfleet.desired import stages_of

CONSTRAINTS = {"text": "celery==5.6.2\n"}


def resources(target, host="af1"):
    stages = stages_of(target, target.inventory.hosts[host])
    return {(r.kind, r.key): r for stage in stages for r in stage.resources}


def cfg_of(whole, secrets=None):
    settings = airflow_cfg.settings(whole, next(iter(whole.hosts.values())), secrets or Given())
    parser = ConfigParser()
    parser.read_string(airflow_cfg.render_cfg(settings))
    return parser
