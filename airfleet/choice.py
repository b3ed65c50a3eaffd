"""Which hosts are meant by `--only`: by their names, by their roles, or by a pattern. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from airfleet.errors import UsageError

if TYPE_CHECKING:
    from airfleet.inventory import Inventory


def chosen(inventory: Inventory, only: str, file: str) -> list[str]:
    """Return the hosts that are meant, in the order of the inventory; all of them where `only` is empty.

    A word that is both a host and a role means the host. A word that means nobody is a UsageError.
    """
    words = [word.strip() for word in only.split(",") if word.strip()]
    meant = {word: _meant(inventory, word) for word in words}
    if unknown := [word for word, names in meant.items() if not names]:
        raise UsageError(
            f"--only names {', '.join(unknown)}, which the inventory does not have",
            place=file,
            remedy=f"its hosts are {', '.join(inventory.hosts)}; a role, such as worker, and a pattern, such as"
            " 'gpu-*', mean all hosts that have or fit it",
            state="nothing was contacted",
        )
    names = {name for found in meant.values() for name in found}
    return [name for name in inventory.hosts if not words or name in names]


def _meant(inventory: Inventory, word: str) -> list[str]:
    if word in inventory.hosts:
        return [word]
    return [name for name, host in inventory.hosts.items() if word in host.roles or fnmatchcase(name, word)]
