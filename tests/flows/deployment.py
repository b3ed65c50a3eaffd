"""Three hosts in order on the old release, which a deploy brings to the new one: a fixture, and the deploy."""

from __future__ import annotations

from pathlib import Path

import pytest

from airfleet import inventory, release_stages
from airfleet.deploy_run import Deploy
from airfleet.desired import Target
from airfleet.secret_forms import NAMES
from airfleet.secrets import Secret, Secrets
from airfleet.session import Fleet
from airfleet.wishes import DeployWish
from tests.flows.deploy_host import OLD, DeployHost

HOSTS = """
ssh: {confirm_s: 0}
database: {host: 10.0.0.9}
dags: {repository: "ssh://git@10.0.0.9/dags.git", known_hosts: "10.0.0.9 ssh-ed25519 AAAA"}
hosts:
  af1: {address: 10.0.0.1, roles: [redis, webserver, scheduler, triggerer, worker, flower]}
  af2: {address: 10.0.0.2, roles: [worker]}
  af3: {address: 10.0.0.3, roles: [worker]}
"""


@pytest.fixture
def fleet(diary):
    """Three hosts in order on the old release."""
    given = inventory.parse(HOSTS, Path("inventory.yaml"))
    secrets = Secrets({name: Secret("x" * 44) for name in NAMES})
    target = Target(given, secrets, {"url": given.airflow.constraints_for("{python}")}, OLD, every_release=True)
    hosts = {}
    for name in given.hosts:
        stages = release_stages.desired(target, [name], "always")[name]
        resources = [*release_stages.all_of(stages), *release_stages.settled(target, name).resources]
        hosts[name] = DeployHost(name, diary, {(r.kind, r.key): r.state for r in resources})
    return Fleet(given, dict(hosts), hosts, secrets, Path("secrets.yaml"), "deploy")


def deploy(fleet, screen, **wish):
    Deploy(fleet, screen, DeployWish(**wish).checked()).to_ref()
