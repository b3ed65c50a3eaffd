"""What a bootstrap refuses to do in passing: to make another Airflow of one that runs, or to invent new secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet.errors import GateRefused
from airfleet.generations import is_older
from airfleet.layout import layout_of
from airfleet.secret_forms import RENEWABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airfleet.inventory import Inventory
    from airfleet.model import Facts
    from airfleet.session import Fleet


def same_airflow(inventory: Inventory, facts: Mapping[str, Facts]) -> None:
    """Refuse to make another Airflow of a running one in passing: that takes a backup, and a database at rest."""
    wanted = inventory.airflow.version
    for name, fact in facts.items():
        if ("schema", "metadata") not in fact.seen:
            continue
        there = str(fact["schema", "metadata"].detail.get("airflow") or wanted)
        if there != wanted:
            remedy = f"write {there} there, then: fab upgrade --to {wanted} --rehearse"
            if is_older(wanted, there):
                remedy = f"write {there} there; was an upgrade cut short? then fab bootstrap ends it, and fab"
                remedy += " maintenance.off; or go back: fab undo-upgrade BACKUP (fab backup.list)"
            raise GateRefused(
                f"{name} has Airflow {there}, the inventory says {wanted}",
                place="airflow.version",
                remedy=remedy,
                state="nothing was changed",
            )


def same_secrets(fleet: Fleet, facts: Iterable[Facts]) -> None:
    """Refuse new secrets for an installation that has others: its stored connections could never be read again."""
    config = layout_of(fleet.inventory).config
    new = [name for name in fleet.new_secrets if name not in RENEWABLE]
    seen = [fact.seen.get(("file", config)) for fact in facts]
    push = " (then: fab secrets.push)" if fleet.secrets.into else ""
    if new and any(each and each.state for each in seen):
        raise GateRefused(
            f"{fleet.secrets.file} lacks {', '.join(new)}, but the hosts have them",
            place=fleet.inventory.environment,
            remedy=f"get the file from whoever bootstrapped{push}, or the values from {config} on a host",
        )
