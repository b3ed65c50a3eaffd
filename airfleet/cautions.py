"""What an inventory may say, and its operator had better know before anything is done. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet import connections, log_servers

if TYPE_CHECKING:
    from airfleet.inventory import Inventory


def cautions(inventory: Inventory) -> list[str]:
    """Return a line for each of them."""
    return [*filter(None, (connections.warning(inventory), log_servers.warning(inventory)))]
