"""Who may ask the log servers of a host: the hosts with web pages, and the host itself. Pure.

Airflow has no setting for where they listen, which is everywhere. systemd keeps strangers out, by addresses in numbers.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from airfleet.generations import generation_of
from airfleet.redis_conf import LOOPBACK

if TYPE_CHECKING:
    from airfleet.inventory import Host, Inventory

LOCAL = "localhost"  # systemd's word for all of loopback


def address(inventory: Inventory, host: Host) -> str:
    """Return the address under which a host's log servers are asked; where there is no other host, that is loopback."""
    return host.address if len(inventory.hosts) > 1 else LOOPBACK


def readers(inventory: Inventory, host: Host) -> tuple[str, ...]:
    """Return from where a host's log servers may be asked, in the words of systemd's filter; none where it has none."""
    if _named(inventory):
        return ()
    pages = [inventory.hosts[name].address for name in inventory.with_role("webserver")]
    return (LOCAL, *dict.fromkeys(each for each in (host.address, *pages) if _is_number(each)))


def are_open(inventory: Inventory) -> bool:
    """Tell whether anybody may ask the log servers: there is no filter of ours, and none in the inventory's `units`."""
    services = [each for each in generation_of(inventory.airflow.version).services if each.shows_logs]
    units = [f"airflow-{each.name}" for each in services if inventory.with_role(each.role)]  # type: ignore[arg-type]
    return bool(_named(inventory)) and not all("IPAddressDeny" in inventory.units.get(unit, {}) for unit in units)


def warning(inventory: Inventory) -> str:
    """Return what is to be said where the log servers are open; empty where they are not."""
    if not are_open(inventory):
        return ""
    places = ", ".join(f"hosts.{name}.address" for name in _named(inventory))
    return f"anybody may connect to the log servers: a filter needs {places} in numbers (docs/hardening.md)"


def _named(inventory: Inventory) -> list[str]:
    """Return the hosts with web pages whose address is a name: nothing tells a filter from where they ask."""
    if len(inventory.hosts) == 1:
        return []  # it asks itself, by loopback
    return [name for name in inventory.with_role("webserver") if not _is_number(inventory.hosts[name].address)]


def _is_number(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
