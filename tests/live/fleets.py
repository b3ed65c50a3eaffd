"""Installations of several hosts with different roles, on machines of their own, which no other test disturbs."""

from __future__ import annotations

import contextlib
import os

import yaml

from sandbox.fleet import down, up
from sandbox.site import REPOSITORY, Site
from tests.live.conftest import THREE, one_at_a_time

KEEP = os.environ.get("AIRFLEET_KEEP")  # the machines, and what is on them, are there for the next run


@contextlib.contextmanager
def booted(kind, tag, roles, airflow, web):
    """Boot bare machines for these hosts and svc, and yield their installation: `kind` of it, an inventory beside it.

    `roles` are the hosts' entries without their addresses; `web` is the machine at whose address the pages are found.
    """
    root = REPOSITORY / ".sandbox" / f"tests-{tag}"
    root.mkdir(parents=True, exist_ok=True)
    site = Site(root=root, state=root / "state", tag=tag)
    if not KEEP:
        down(site=site, say=lambda _: None)
        (root / "secrets.fleet.yaml").unlink(missing_ok=True)
    with one_at_a_time():
        made = kind(site, dict(up(workers=len(roles) - 1, airflow=airflow, site=site, say=lambda _: None)), env="fleet")
    made.airflow = airflow
    value = yaml.safe_load(site.inventory.read_text())
    value["environment"] = "fleet"
    value["airflow"]["constraints"] = str(REPOSITORY / value["airflow"]["constraints"])
    value["airflow"]["base_url"] = f"http://{made.machines[web].address}"
    if airflow == THREE:
        value["airflow"]["python"] = "system"
        value.pop("pyenv", None)
    value["hosts"] = {name: {"address": made.machines[name].address, **words} for name, words in roles.items()}
    made.inventory.write_text(yaml.safe_dump(value, sort_keys=False))
    if not made.secrets.exists():
        made.secrets.touch(0o600)
        made.secrets.write_text(site.secrets.read_text())
    yield made
    if not KEEP:
        down(site=site, say=lambda _: None)
