"""The scheduled backup: a timer and a service on the database's host, and the program that makes it there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airfleet import bundle, layout, unit_overrides
from airfleet.generations import generation_of
from airfleet.resources import File, Unit
from airfleet.templates import fill

if TYPE_CHECKING:
    from airfleet.inventory import Inventory
    from airfleet.model import Words

TIMER, SERVICE = "airfleet-backup.timer", "airfleet-backup.service"
FOLDER = "/opt/airfleet"
PROGRAM, SOURCES, WORDS = f"{FOLDER}/backup.py", f"{FOLDER}/backup.sources", f"{FOLDER}/backup.json"
RECORD = "/var/lib/airfleet/backup.json"
PARTS = ("scheduled", "inside_backup_bucket")
UNITS = (SERVICE, TIMER)


def is_scheduled(inventory: Inventory, host: str, database_host: str) -> bool:
    """Return whether this host makes the scheduled backup."""
    return bool(inventory.backup.schedule) and host == database_host


def files(inventory: Inventory, dsn: Words) -> list[File]:
    """Return the program, what it is to do, and its units; the password in `dsn` stays out of all of them."""
    schedule, folder = inventory.backup.schedule, layout.UNITS
    program = f"{PROGRAM} {SOURCES} {WORDS}"
    overrides = unit_overrides.lines(inventory.units, unit_overrides.BACKUP)
    return [
        File(SOURCES, bundle.sources_of(PARTS)),
        File(PROGRAM, bundle.LAUNCHER),
        File(WORDS, json.dumps(words(inventory, dsn), indent=1, sort_keys=True) + "\n", mode="0600"),
        File(
            f"{folder}/{SERVICE}",
            fill(
                "airfleet-backup.service.j2",
                program=program,
                proxy=inventory.database.proxy is not None,
                overrides=overrides,
            ),
        ),
        File(f"{folder}/{TIMER}", fill("airfleet-backup.timer.j2", schedule=str(schedule))),
    ]


def timer() -> Unit:
    """Return the timer, enabled and running."""
    return Unit(TIMER)


def look_words() -> Words:
    """Return what the host is asked when somebody wants to know whether it makes its backups."""
    return {"record": RECORD, "timer": TIMER, "service": SERVICE}


def words(inventory: Inventory, dsn: Words) -> Words:
    """Return what the program is to do, in the agent's words."""
    where, airflow, kept = layout.layout_of(inventory), inventory.airflow, inventory.backup
    places = generation_of(airflow.version).places
    return {
        "dsn": {key: value for key, value in dsn.items() if key != "password"},
        "account": airflow.account,
        "venv": where.venv,
        "config": where.config,
        "current": where.current,
        "fernet": list(places["fernet_key"]),
        "database_url": list(places["database_url"]),
        "environment": inventory.environment,
        "folder": kept.folder,
        "bucket": bucket_words(inventory, kept.place) if kept.place else None,
        "keep": kept.keep,
        "keep_days": kept.keep_days,
        "record": RECORD,
    }


def bucket_words(inventory: Inventory, place: str) -> Words:
    """Return what a host needs to know of `gs://BUCKET/FOLDER`, in the agent's words."""
    where = layout.layout_of(inventory)
    bucket, _, prefix = place.removeprefix("gs://").partition("/")
    return {
        "place": place,
        "bucket": bucket,
        "prefix": prefix,
        "venv": where.venv,
        "account": inventory.airflow.account,
        "environment": where.environment,
    }
