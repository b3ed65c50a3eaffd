"""Where the history of a host is copied to: beside the task logs in their bucket, or beside the backups. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet.schedule import bucket_words

if TYPE_CHECKING:
    from airfleet.inventory import Inventory
    from airfleet.model import Words

FOLDER = "audit"


def place_of(inventory: Inventory, host: str) -> str:
    """Return `gs://BUCKET/…/audit/ENVIRONMENT/HOST`; "" where the inventory has no bucket."""
    logging = inventory.logging
    place = f"gs://{logging.bucket}/{logging.prefix}" if logging.bucket else inventory.backup.place
    if not place:
        return ""
    bucket, _, folder = place.removeprefix("gs://").partition("/")
    beside = folder.rpartition("/")[0]
    return "gs://" + "/".join(part for part in (bucket, beside, FOLDER, inventory.environment, host) if part)


def words_of(inventory: Inventory, host: str) -> Words | None:
    """Return what the host has to know of that place, in the agent's words; None without a bucket."""
    place = place_of(inventory, host)
    return {"bucket": bucket_words(inventory, place)} if place else None
