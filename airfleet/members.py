"""Which hosts an installation has had: remembered in the history, on the hosts themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from airfleet import history
from airfleet.errors import FleetError, UsageError
from airfleet.inventory import Host
from airfleet.rollout import on_each

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airfleet.inventory import Inventory
    from airfleet.model import Words
    from airfleet.remote import Host as Remote
    from airfleet.session import Fleet

ENOUGH = 2  # each host has the whole history, but for what was done while it was away


def ask(fleet: Fleet, but: str = "") -> list[Words]:
    """Return what the first hosts of the inventory remember; those that can't be asked are left out."""
    found: dict[str, Words] = {}

    def work(host: Remote) -> None:
        try:
            found[host.name] = host.call("members", {})
        except FleetError:
            return  # whoever needs it for more than its memory says so

    names = [name for name in fleet.inventory.hosts if name in fleet.everyone and name != but]
    on_each({name: fleet.everyone[name] for name in names[:ENOUGH]}, work, parallel=ENOUGH)
    return list(found.values())


def unwritten(fleet: Fleet, told: Sequence[Words]) -> dict[str, Words]:
    """Return the parts of the inventory of the hosts that are worked on, where the history does not have them yet."""
    return history.not_yet_members(told, parts_of(fleet.inventory, fleet.hosts))


def parts_of(inventory: Inventory, names: Iterable[str]) -> dict[str, Words]:
    """Return what is to be remembered of these hosts: their parts of the inventory, as plain values."""
    return {name: inventory.hosts[name].model_dump(mode="json") for name in names}


def host_of(inventory: Inventory, name: str, part: Words) -> Host:
    """Return a host as it was remembered; a UsageError where another version of airfleet wrote that down."""
    try:
        return Host.model_validate(_with_tuples(part)).resolved(name, inventory.ssh, inventory.celery)
    except ValidationError as e:
        raise UsageError(
            f"what the history has of {name} can't be read: {e.errors()[0]['msg']}",
            place=name,
            remedy=f"put it back into the inventory, then fab retire {name}",
        ) from e


def lines(told: Sequence[Words], inventory: Inventory) -> list[str]:
    """Return a line for each host that was left behind: what it is, and what to type."""
    found: dict[str, Any] = history.left_behind(told, inventory.hosts)
    return [
        f"left behind: {name} ({part.get('address', 'address unknown')}) is not in the inventory any more, and may"
        f" still run what it ran: fab retire {name} drains and clears it"
        for name, part in found.items()
    ]


def _with_tuples(value: Any) -> Any:
    """Return plain values with tuples for lists, as the inventory has them."""
    if isinstance(value, dict):
        return {key: _with_tuples(each) for key, each in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
