"""Where the secrets of an installation come from, and where new ones are kept: its file, or Google's Secret Manager."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from airfleet import secrets as secret_store
from airfleet.errors import FleetError, GateRefused, UsageError
from airfleet.generations import GENERATIONS, generation_of
from airfleet.secret_forms import GENERATED, RENEWABLE, problem_of, tidy
from airfleet.secret_manager import LATEST, NOBODY, Manager
from airfleet.secrets import EMULATOR, Secret, Secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from airfleet.inventory import Inventory
    from airfleet.secret_manager import Held


def generated_for(version: str) -> list[str]:
    """Return the names of the secrets that are made for this Airflow: those of other generations are not."""
    own = generation_of(version).secrets
    others = {name for each in GENERATIONS for name in each.secrets if name not in own}
    return [name for name in GENERATED if name not in others]


def needed(inventory: Inventory) -> list[str]:
    """Return the names of the secrets that this inventory has a use for."""
    names = [*generated_for(inventory.airflow.version), "database_password"]
    names += ["deploy_key"] if inventory.dags.needs_key else []
    names += ["webhook_url"] if any(entry.webhook == "secret" for entry in inventory.notify) else []
    return names


def manager_of(inventory: Inventory, environ: Mapping[str, str]) -> Manager | None:
    """Return the Secret Manager of the inventory; None where secrets are in the file."""
    source = inventory.secrets
    if source.provider == "file":
        return None
    return Manager(str(source.project), source.prefix, environ.get(EMULATOR) or source.emulator or "")


def load(inventory: Inventory, path: Path, environ: Mapping[str, str]) -> Secrets:
    """Return the secrets of the environment, and the others from where the inventory says: `path`, or the manager.

    The manager is asked for those alone that the inventory has a use for; one that it lacks is missing, as one that
    is not in the file. Whatever else it answers is an error.
    """
    manager = manager_of(inventory, environ)
    if manager is None:
        return secret_store.load(path, environ)
    given = secret_store.from_environment(environ)
    asked = [name for name in needed(inventory) if name not in given]
    versions = inventory.secrets.versions
    if not asked:
        return replace(given, file=manager.place)
    with manager.connected(), ThreadPoolExecutor(max_workers=len(asked)) as pool:
        found = pool.map(lambda name: manager.read(name, versions.get(name, LATEST)), asked)
        values = {name: taken(manager, name, held) for name, held in zip(asked, found, strict=True) if held}
    into = f"{path.name} (mode 0600) and type fab secrets.push"
    return replace(given, values={**values, **given.values}, file=manager.place, into=into)


def taken(manager: Manager, name: str, held: Held) -> Secret:
    """Return the secret that a payload is: without the line break that `echo` leaves behind one."""
    try:
        value = held.payload.decode()
        problem = problem_of(name, value := _line(name, value))
    except UnicodeDecodeError:
        value, problem = "", "is not UTF-8 text"
    if problem:
        raise UsageError(
            f"version {held.version} of {manager.called(name)} {problem}",
            place=manager.place,
            remedy=f"write {name} into the secrets file, then: fab secrets.push; or pin another: secrets.versions",
            state=NOBODY,
        )
    return Secret(tidy(name, value))


def keep(known: Secrets, new: Iterable[str], inventory: Inventory, path: Path, environ: Mapping[str, str]) -> str:
    """Keep secrets that were made where the inventory says, and return the line that tells it.

    In the manager none is put in the place of another that somebody has made meanwhile: GateRefused.
    """
    names = list(new)
    manager = manager_of(inventory, environ)
    if manager is None:
        secret_store.save(path, known)
        return f"made the secrets {', '.join(names)} in {path.name} (0600): keep this file"
    with manager.connected():
        _add(manager, known, names)
    return f"made the secrets {', '.join(names)} in {manager.place}"


def _add(manager: Manager, known: Secrets, names: list[str]) -> None:
    held = {name: manager.read(name) for name in names}
    lacking = [name for name, there in held.items() if not (there and taken(manager, name, there) == known[name])]
    if there := [name for name in lacking if held[name] and name not in RENEWABLE]:
        raise GateRefused(
            f"somebody else has made {', '.join(there)} meanwhile",
            place=manager.place,
            remedy="run it again: theirs are read then",
        )
    made: list[str] = []
    for name in lacking:
        try:
            manager.add(name, known[name].reveal().encode())
        except FleetError as e:
            e.state = f"no host was changed; made in {manager.place}: {', '.join(made) or 'nothing'}"
            raise
        made.append(name)


def at_hand(inventory: Inventory, path: Path, environ: Mapping[str, str]) -> Secrets:
    """Return the secrets that can be looked at without contacting anybody."""
    if inventory.secrets.provider == "file":
        return secret_store.load(path, environ)
    return secret_store.from_environment(environ)


def _line(name: str, value: str) -> str:
    return value if name == "deploy_key" else value.removesuffix("\n").removesuffix("\r")
