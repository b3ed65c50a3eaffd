"""How many connections to the metadata database an installation may open, against what the server has. Pure.

A process that works in several threads may fill its pool (SQLAlchemy: its size and the overflow); one that does one
thing at a time has one connection, whatever the pool would allow. Which is which, each generation's services say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airfleet.generations import generation_of
from airfleet.generations.kinds import PARSERS, POOL, TASKS, WEB_WORKERS

if TYPE_CHECKING:
    from airfleet.inventory import Host, Inventory

POOL_SIZE: Final = 5  # Airflow's own settings, 2.11.2 and 3.3.2
OVERFLOW: Final = 10
PARSING_PROCESSES: Final = 2
BACKUP: Final = 2  # psql with the snapshot, and pg_dump
RESERVED: Final = 3  # PostgreSQL's superuser_reserved_connections


def most(inventory: Inventory) -> dict[str, int]:
    """Return how many connections each service may open at most, on all hosts together, and airfleet itself."""
    found: dict[str, int] = {}
    for host in inventory.hosts.values():
        for service in generation_of(inventory.airflow.version).services_of(set(host.roles)):
            for processes, each in service.connections:
                count = _number(inventory, host, processes) * _number(inventory, host, each)
                found[service.name] = found.get(service.name, 0) + count
    return {**found, "airfleet": len(inventory.hosts) + BACKUP}


def warning(inventory: Inventory) -> str:
    """Return what is to be said when `database.max_connections` may not suffice; empty when it does or isn't known."""
    limit = inventory.database.max_connections
    if limit is None:
        return ""
    found = most(inventory)
    need = sum(found.values()) + RESERVED
    if need <= limit:
        return ""
    parts = ", ".join(f"{name} {count}" for name, count in found.items())
    return (
        f"database.max_connections: {limit} may not suffice: {need} can be open at one time ({parts}, kept back for"
        f" administrators {RESERVED}); raise it, lower airflow.config database.sql_alchemy_max_overflow, or put"
        " PgBouncer in front (docs/google-cloud-sql.md)"
    )


def _number(inventory: Inventory, host: Host, what: str | int) -> int:
    if what == POOL:
        size = _configured(inventory, "database", "sql_alchemy_pool_size", POOL_SIZE)
        return size + _configured(inventory, "database", "sql_alchemy_max_overflow", OVERFLOW)
    if what == WEB_WORKERS:
        return inventory.airflow.web_workers
    if what == PARSERS:
        return _configured(inventory, "scheduler", "parsing_processes", PARSING_PROCESSES)
    if what == TASKS:
        return host.celery.instances * host.celery.concurrency
    return int(what)


def _configured(inventory: Inventory, section: str, key: str, default: int) -> int:
    """Return a number of airflow.cfg; what is none, or sets no limit, counts as Airflow's own."""
    for name, options in inventory.airflow.config.items():
        for option, value in options.items():
            if (name.lower(), option.lower()) == (section, key) and str(value).isdigit():
                return int(str(value))
    return default
