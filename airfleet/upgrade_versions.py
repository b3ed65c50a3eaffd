"""The two inventories of an upgrade, which differ in the version of Airflow, and the line of the file that names it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from airfleet import secrets as secret_store
from airfleet.errors import UsageError
from airfleet.generations import generation_of, is_older
from airfleet.inventory_checks import SUPPORTED_PYTHONS
from airfleet.secret_origins import generated_for

if TYPE_CHECKING:
    from airfleet.bootstrap_run import Screen
    from airfleet.session import Fleet

NOTHING = "nothing was contacted"
LINE = re.compile(r"(?m)^(?P<before>[ \t]+version:[ \t]*)(?P<quote>[\"']?){}(?P=quote)(?P<after>[ \t]*(#.*)?)$")


def both(old: Fleet, version: str) -> Fleet:
    """Return the session as the new version has it: its inventory, and the secrets that only it needs.

    Raises UsageError for a version that is not known, or is the one that the inventory has.
    """
    inventory = old.inventory
    there = inventory.airflow.version
    generation_of(version)
    if is_older(version, there) is is_older(there, version):
        raise UsageError(f"the inventory has Airflow {there} already", place="--to", state=NOTHING)
    if is_older(version, there):
        raise UsageError(
            f"Airflow {version} is older than {there}: no migration can be undone",
            place="--to",
            remedy="fab undo-upgrade BACKUP brings back what a backup has",
            state=NOTHING,
        )
    minor = inventory.airflow.python_minor
    if minor and minor not in SUPPORTED_PYTHONS[version]:
        raise UsageError(
            f"Airflow {version} does not run on Python {inventory.airflow.python}",
            place="airflow.python",
            remedy=f"one of {', '.join(SUPPORTED_PYTHONS[version])}; bootstrap it first",
            state=NOTHING,
        )
    return with_version(old, version)


def with_version(fleet: Fleet, version: str) -> Fleet:
    """Return a session as another version of Airflow has it."""
    airflow = fleet.inventory.airflow.model_copy(update={"version": version})
    inventory = fleet.inventory.model_copy(update={"airflow": airflow})
    secrets = secret_store.complete(fleet.secrets, generated_for(version))
    made = tuple(name for name in secrets.present() if name not in fleet.secrets)
    return replace(fleet, inventory=inventory, secrets=secrets, new_secrets=made)


def write_version(old: Fleet, version: str, screen: Screen) -> None:
    """Have the inventory's file say the new version: its one line is changed, or the operator is told to."""
    path = old.path
    there = old.inventory.airflow.version
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(LINE.pattern.replace("{}", re.escape(there)))
    if len(pattern.findall(text)) == 1:
        path.write_text(
            pattern.sub(lambda m: f"{m['before']}{m['quote']}{version}{m['quote']}{m['after']}", text),
            encoding="utf-8",
        )
        screen.say(f"  {path.name}: airflow.version is {version} now; commit it")
    else:
        screen.say(f"  write it down in {path.name}, before anything else: airflow.version: {version}", "bold yellow")
