"""The metadata database: which host speaks for the installation, and how all of them reach it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airfleet.inventory import Inventory
    from airfleet.model import Words
    from airfleet.secrets import Secrets


def database_host(inventory: Inventory) -> str:
    """Return the host that migrates the database and makes the first user: once, not on each."""
    return next(name for name, host in inventory.hosts.items() if "scheduler" in host.roles)


def dsn(inventory: Inventory, secrets: Secrets) -> Words:
    """Return how Airflow's own role reaches its database, in the agent's words."""
    database = inventory.database
    return {
        "host": database.host,
        "port": database.port,
        "name": database.name,
        "user": database.user,
        "password": secrets.database_password.reveal(),
        "sslmode": database.sslmode,
        "authority": database.authority,
    }
