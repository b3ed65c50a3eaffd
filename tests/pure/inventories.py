"""The inventory that is shipped, as the tests need it: with a version, with other keys, with a second host."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from airfleet import inventory

SHIPPED = Path(__file__).parents[2] / "inventory.yaml"


@cache
def shipped_with(version="2.11.2"):
    """Return the shipped inventory with this version of Airflow: most of these tests are about the note's own."""
    written = inventory.load(SHIPPED).airflow.version
    return inventory.parse(SHIPPED.read_text().replace(f"version: {written} ", f"version: {version} ", 1), SHIPPED)


def changed(whole, **sections):
    return whole.model_copy(
        update={name: getattr(whole, name).model_copy(update=keys) for name, keys in sections.items()}
    )


def two_hosts():
    text = SHIPPED.read_text().replace("\nhosts:\n", "\nhosts:\n  af2: {address: 192.0.2.11, roles: [worker]}\n")
    return inventory.parse(text.replace("version: 3.3.2 ", "version: 2.11.2 "), SHIPPED)
