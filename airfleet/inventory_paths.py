"""The paths in an inventory: from the file's folder, made absolute, and what stands in the files that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airfleet import authority, patterns

if TYPE_CHECKING:
    from collections.abc import Callable

    from airfleet.inventory import Inventory
    from airfleet.places import Document


def with_paths(inventory: Inventory, folder: Path, document: Document) -> Inventory:
    """Return the inventory with the paths on the operator's computer made absolute, from the file's folder."""

    def absolute(path: Path, *place: str) -> Path:
        if not re.fullmatch(patterns.LINE, str(path)):
            document.complain(place, "the path has a control character in it")
        try:
            return folder.absolute() / path.expanduser()
        except RuntimeError:
            document.complain(place, f"'{path}': there is no such home folder")
            return path

    def content(path: Path, read: Callable[[Path], str], *place: str) -> tuple[Path, str] | None:
        """Return the absolute path and what is in the file; None, and a complaint, where that can not be had."""
        readable = re.fullmatch(patterns.LINE, str(path))
        whole = absolute(path, *place)
        try:
            return (whole, read(whole)) if readable else None
        except authority.BadAuthority as e:
            document.complain(place, str(e))
            return None

    ssh, airflow = inventory.ssh, inventory.airflow
    found = {
        "config": absolute(ssh.config, "ssh", "config"),
        "known_hosts": absolute(ssh.known_hosts, "ssh", "known_hosts"),
        "identity": ssh.identity and absolute(ssh.identity, "ssh", "identity"),
    }
    if not airflow.constraints_are_remote:
        file = absolute(Path(airflow.constraints), "airflow", "constraints")
        airflow = airflow.model_copy(update={"constraints": str(file)})
    database, tls = inventory.database, inventory.tls
    if database.ca and (found_ca := content(database.ca, authority.read, "database", "ca")):
        database = database.trusting(*found_ca)
    if tls.certificate and (chain := content(tls.certificate, authority.read_chain, "tls", "certificate")):
        tls = tls.showing(*chain)
    ssh = ssh.model_copy(update=found)
    return inventory.model_copy(update={"ssh": ssh, "airflow": airflow, "database": database, "tls": tls})
