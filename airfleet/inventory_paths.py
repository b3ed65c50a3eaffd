"""The paths in an inventory: from the file's folder, made absolute, and what stands in the files that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airfleet import authority, patterns

if TYPE_CHECKING:
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

    ssh, airflow = inventory.ssh, inventory.airflow
    found = {
        "config": absolute(ssh.config, "ssh", "config"),
        "known_hosts": absolute(ssh.known_hosts, "ssh", "known_hosts"),
        "identity": ssh.identity and absolute(ssh.identity, "ssh", "identity"),
    }
    if not airflow.constraints_are_remote:
        file = absolute(Path(airflow.constraints), "airflow", "constraints")
        airflow = airflow.model_copy(update={"constraints": str(file)})
    database = inventory.database
    if database.ca:
        readable = re.fullmatch(patterns.LINE, str(database.ca))
        ca = absolute(database.ca, "database", "ca")
        try:
            database = database.trusting(ca, authority.read(ca)) if readable else database
        except authority.BadAuthority as e:
            document.complain(("database", "ca"), str(e))
    tls = inventory.tls
    if tls.certificate:
        readable = re.fullmatch(patterns.LINE, str(tls.certificate))
        chain = absolute(tls.certificate, "tls", "certificate")
        try:
            tls = tls.showing(chain, authority.read_chain(chain)) if readable else tls
        except authority.BadAuthority as e:
            document.complain(("tls", "certificate"), str(e))
    inventory = inventory.model_copy(update={"tls": tls})
    return inventory.model_copy(update={"ssh": ssh.model_copy(update=found), "airflow": airflow, "database": database})
