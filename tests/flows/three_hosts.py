"""An inventory of three hosts, the keys in its secrets file, and what a bootstrap of some of them would do."""

from __future__ import annotations

import pytest

from airfleet.bootstrap import bring_up
from airfleet.errors import ChangesPending
from airfleet.secrets import Secret, Secrets
from airfleet.wishes import BootstrapWish
from tests.flows.quiet import Quiet

KEYS = {
    "database_password": "pw",
    "flower_password": "f",
    "redis_password": "r",
    "fernet_key": "F" * 43 + "=",
    "webserver_secret_key": "w" * 40,
}
INVENTORY = {
    "ssh": {"confirm_s": 0},
    "airflow": {"version": "2.11.2"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "hosts": {
        "af1": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "webserver"]},
        "af2": {"address": "10.1.0.12", "roles": ["worker"]},
        "af3": {"address": "10.1.0.13", "roles": ["worker"]},
    },
}


def secrets_of(values):
    return Secrets({name: Secret(value) for name, value in values.items()})


def plan_of(only):
    screen = Quiet()
    with pytest.raises(ChangesPending):
        bring_up("", BootstrapWish(only, dry_run=True), screen)
    (plan,) = screen.planned
    return {(c.resource.kind, c.resource.key): c.resource.state for c in plan.changes}
