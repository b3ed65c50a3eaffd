"""The inventory of one installation: `inventory.yaml`, read once, checked whole, then trusted.

What it consists of is in `sections`. Every error is told at once, with its line; nothing is contacted here.
"""

from __future__ import annotations

import re
from pathlib import Path

from airfleet import places
from airfleet.errors import UsageError
from airfleet.inventory_checks import SUPPORTED_PYTHONS, SUPPORTED_VERSIONS, cross_checks
from airfleet.inventory_errors import reading
from airfleet.sections import (
    Admin,
    Airflow,
    Celery,
    Dags,
    Database,
    Flower,
    Host,
    Inventory,
    Logging,
    Pyenv,
    Redis,
    Role,
    Ssh,
)

__all__ = [
    "SUPPORTED_PYTHONS",
    "SUPPORTED_VERSIONS",
    "Admin",
    "Airflow",
    "Celery",
    "Dags",
    "Database",
    "Flower",
    "Host",
    "Inventory",
    "Logging",
    "Pyenv",
    "Redis",
    "Role",
    "Ssh",
    "example_hosts",
    "load",
    "parse",
    "path_of",
    "refuse_examples",
]

_EXAMPLE = re.compile(  # RFC 5737, RFC 2606
    r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+|(.+\.)?example\.(com|net|org)|(.+\.)?(example|test|invalid)",
    re.IGNORECASE,
)
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def load(path: Path) -> Inventory:
    """Return the inventory in this file; a UsageError tells everything that is wrong with it."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = bytes(e.object[: e.start]).count(b"\n") + 1
        raise places.BadFile([places.Complaint(str(path), line, (), "not UTF-8 text")]) from e
    except OSError as e:
        raise UsageError(f"can't be read: {e.strerror}", place=str(path), state="nothing was contacted") from e
    return parse(text, path)


def parse(text: str, path: Path) -> Inventory:
    """Return the inventory that a text says; `path` is where it stands, for messages and relative paths."""
    document = places.read(text, str(path))
    if document.complaints and document.value is None:
        raise places.BadFile(document.complaints)
    if not isinstance(document.value, dict):
        document.complain((), "is empty" if document.value is None else "needs keys with values")
        raise places.BadFile(document.complaints)
    written, bad = reading(document, Inventory)
    inventory = _with_paths(written.resolved(), path.parent, document)
    _cross_check(inventory, document, bad)
    if document.complaints:
        raise places.BadFile(document.complaints)
    return inventory


def path_of(env: str, root: Path) -> Path:
    """Return the inventory file of an environment: inventory.yaml, or inventory.NAME.yaml beside it."""
    if env and not _ENVIRONMENT.fullmatch(env):
        raise UsageError(
            f"{env[:60]!r} can't be the name of an environment",
            remedy="use letters, digits, _ and -: `--env staging` reads inventory.staging.yaml",
            state="nothing was contacted",
        )
    path = root / (f"inventory.{env}.yaml" if env else "inventory.yaml")
    if not path.is_file():
        there = sorted(each.name for each in root.glob("inventory*.yaml"))
        names = [name.removeprefix("inventory.").removesuffix(".yaml") for name in there if name != "inventory.yaml"]
        raise UsageError(
            f"no such file{places.nearest(env, names) if env else ''}",
            place=str(path),
            remedy=f"choose one that exists: {', '.join(there)}"
            if there
            else f"write {path.name} in {root.absolute()}",
            state="nothing was contacted",
        )
    return path


def example_hosts(inventory: Inventory) -> tuple[str, ...]:
    """Return the names of the hosts whose address is only an example (RFC 5737, RFC 2606)."""
    return tuple(name for name, host in inventory.hosts.items() if _is_example(host.address))


def refuse_examples(inventory: Inventory, path: Path) -> None:
    """Raise a UsageError when the inventory still names example addresses where a command would go."""
    found = [f"hosts.{name}.address: {inventory.hosts[name].address}" for name in example_hosts(inventory)]
    if _is_example(inventory.database.host):
        found.append(f"database.host: {inventory.database.host}")
    where = re.search(r"(?:://|@)(?:[^@/]*@)?([^:/]+)", inventory.dags.repository)
    if where and _is_example(where[1]):
        found.append(f"dags.repository: {inventory.dags.repository}")
    if found:
        raise UsageError(
            f"these are example addresses: {'; '.join(found)}",
            place=str(path),
            remedy=f"edit {path.name}, or try `make demo`",
            state="nothing was contacted",
        )


def _is_example(address: str) -> bool:
    return _EXAMPLE.fullmatch(address.rstrip(".")) is not None


def _cross_check(inventory: Inventory, document: places.Document, bad: set[places.Path]) -> None:
    """Complain about contradictions, except those that only a value which is wrong already brings about."""
    for path, problem in cross_checks(inventory):
        if not any(path[: len(each)] == each[: len(path)] for each in bad):
            document.complain(path, problem)


def _with_paths(inventory: Inventory, folder: Path, document: places.Document) -> Inventory:
    """Return the inventory with its paths on the operator's computer made absolute: `~` is home, else beside the file."""

    def absolute(path: Path, *place: str) -> Path:
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
    return inventory.model_copy(update={"ssh": ssh.model_copy(update=found), "airflow": airflow})
