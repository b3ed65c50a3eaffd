"""The flows of `fab secrets.check`, `push` and `pull`: where each secret comes from, how it gets there and back."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airfleet import inventory as inventories
from airfleet import secrets as secret_store
from airfleet import session
from airfleet.errors import ChangesPending, FleetError, GateRefused, HostUnreachable, UsageError
from airfleet.inventory_file import PREFIX, secrets_beside
from airfleet.secret_forms import GENERATED, NAMES
from airfleet.secret_manager import LATEST, NOBODY, Manager, NotEnabled
from airfleet.secret_origins import load, manager_of, needed, taken
from airfleet.secrets import EMULATOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airfleet.inventory import Inventory
    from airfleet.secret_manager import Held
    from airfleet.secrets import Secret, Secrets


@dataclass(frozen=True)
class Origin:
    """Where one secret comes from, without a word of its value. `source` is empty where there is none."""

    name: str
    needed: bool
    source: str = ""
    version: str = ""
    problem: str = ""
    remedy: str = ""

    @property
    def says(self) -> str:
        """The line about it."""
        if self.problem:
            return f"{self.problem}\n    do: {self.remedy}"
        if self.source:
            return self.source + (f", version {self.version}" if self.version else "")
        if not self.needed:
            return "not there, and not needed"
        return "not there: fab bootstrap makes it" if self.name in GENERATED else "MISSING"


@dataclass(frozen=True)
class Checked:
    """What there is; `error` is what is wrong with that, if anything."""

    place: str
    origins: tuple[Origin, ...]
    error: FleetError | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"place": self.place, "secrets": [asdict(each) for each in self.origins]}


def check(env: str) -> Checked:
    """Look for each secret where the inventory says; nothing is changed, and no host is contacted."""
    path, inventory = _opened(env)
    manager = manager_of(inventory, os.environ)
    if manager is None:
        known = secret_store.load(path, os.environ)
        return _judged(path.name, [_at_hand(name, known, inventory) for name in NAMES], known)
    given = secret_store.from_environment(os.environ)
    with manager.connected(), ThreadPoolExecutor(max_workers=len(NAMES)) as pool:
        looked = list(pool.map(lambda name: _looked(name, given, inventory, manager), NAMES))
    errors = [error for _, error in looked if error]
    if len(errors) > 1 and len({error.remedy for error in errors}) == 1:
        raise errors[0]  # no login, no API: the same of all
    refused = next((error for error in errors if isinstance(error, GateRefused)), None)
    return _judged(manager.place, [origin for origin, _ in looked], given, refused)


def push(env: str, say: Callable[[str], None], *, dry_run: bool) -> None:
    """Upload what the secrets file has and the manager lacks, or has otherwise; the environment is left out of it."""
    path, inventory, manager = _managed(env)
    known = secret_store.load(path, {})
    if not _names(known):
        raise UsageError("there is no secret in it", place=path.name, remedy="fab secrets.check", state=NOBODY)
    with manager.connected():
        _push(manager, known, inventory.secrets.versions, say, dry_run=dry_run)


def pull(env: str, say: Callable[[str], None]) -> None:
    """Write what the manager has, and the inventory has a use for, into the secrets file, over no other value."""
    path, inventory, manager = _managed(env)
    theirs = load(inventory, path, {EMULATOR: manager.emulator})
    ours = secret_store.load(path, {})
    if other := [name for name in _names(theirs) if name in ours and ours[name] != theirs[name]]:
        raise GateRefused(
            f"has another {', '.join(other)} than {manager.place}",
            place=path.name,
            remedy="fab secrets.push, if the file is right; else move it away first",
        )
    new = [name for name in _names(theirs) if name not in ours]
    secret_store.save(path, theirs)
    say(f"{path.name} (0600): {', '.join(new) + ' written' if new else 'has them all'}")


def _managed(env: str) -> tuple[Path, Inventory, Manager]:
    path, inventory = _opened(env)
    manager = manager_of(inventory, os.environ)
    if manager is None:
        raise UsageError(
            "secrets are kept in the file",
            place="secrets.provider",
            remedy="write into the inventory: secrets: {provider: gcp, project: PROJECT}",
            state=NOBODY,
        )
    return path, inventory, manager


def _names(known: Secrets) -> list[str]:
    return [name for name in NAMES if name in known]


def _push(
    manager: Manager, known: Secrets, pinned: Mapping[str, str], say: Callable[[str], None], *, dry_run: bool
) -> None:
    held = {name: _newest(manager, name) for name in _names(known)}
    different = {name: why for name in held if (why := _differs(manager, name, held[name], known[name]))}
    for name in held:
        if name not in different:
            say(f"{name}: as {manager.called(name)} has it")
        elif dry_run:
            say(f"{name}: {different[name]}: would be uploaded")
    if dry_run and different:
        raise ChangesPending(f"{len(different)} to upload", place=manager.place, remedy="fab secrets.push")
    _upload(manager, known, different, pinned, say)


def _upload(
    manager: Manager,
    known: Secrets,
    different: Mapping[str, str],
    pinned: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    done: list[str] = []
    for name, why in different.items():
        try:
            version = manager.add(name, known[name].reveal().encode())
        except FleetError as e:
            e.state = f"uploaded: {', '.join(done) or 'nothing'}; no host was contacted"
            raise
        done.append(name)
        stays = pinned.get(name, LATEST)
        still = "" if stays in {LATEST, version} else f"; secrets.versions.{name} still says {stays}"
        say(f"{name}: {why}: version {version} of {manager.called(name)} uploaded{still}")


def _opened(env: str) -> tuple[Path, Inventory]:
    path = inventories.path_of(env, session.inventories_root())
    return secrets_beside(path), inventories.load(path)


def _at_hand(name: str, known: Secrets, inventory: Inventory) -> Origin:
    source = known.file if name in known else ""
    if name in known.from_environment:
        source = f"environment: {PREFIX}{name.upper()}"
    return Origin(name, name in needed(inventory), source)


def _looked(name: str, given: Secrets, inventory: Inventory, manager: Manager) -> tuple[Origin, FleetError | None]:
    if name in given:
        return _at_hand(name, given, inventory), None
    wanted = name in needed(inventory)
    try:
        held = manager.read(name, inventory.secrets.versions.get(name, LATEST))
        if held is None:
            return Origin(name, wanted), None
        taken(manager, name, held)
    except HostUnreachable:
        raise
    except FleetError as e:
        if not wanted and isinstance(e, GateRefused):
            return Origin(name, wanted), None  # who may not read one that is not needed is not told whether it is there
        return Origin(name, wanted, problem=e.problem, remedy=e.remedy), e
    return Origin(name, wanted, f"{manager.place}: {manager.called(name)}", held.version), None


def _judged(place: str, origins: list[Origin], known: Secrets, refused: FleetError | None = None) -> Checked:
    """Say what is wrong: what somebody may not read (8), or what is missing or no good (2)."""
    wrong = [each.name for each in origins if each.problem]
    missing = [each.name for each in origins if each.needed and not each.source and not each.problem]
    missing = [name for name in missing if name not in GENERATED]
    error: FleetError | None = None
    if wrong:
        kind = GateRefused if refused else UsageError
        error = kind(f"can't be used: {', '.join(wrong)}", place=place, remedy="as is said above", state=NOBODY)
    elif missing:
        error = UsageError(
            f"missing: {', '.join(missing)}",
            place=place,
            remedy=f"write them into {known.into or 'the secrets file (mode 0600)'}, or set "
            + ", ".join(PREFIX + name.upper() for name in missing),
            state=NOBODY,
        )
    return Checked(place, tuple(origins), error)


def _newest(manager: Manager, name: str) -> Held | str | None:
    try:
        return manager.read(name)
    except NotEnabled:
        return "the newest version is disabled"


def _differs(manager: Manager, name: str, held: Held | str | None, ours: Secret) -> str:
    """Return why a secret is to be uploaded; "" where the manager has it."""
    if held is None:
        return "is not there"
    if isinstance(held, str):
        return held
    try:
        same = taken(manager, name, held) == ours
    except UsageError:
        same = False
    return "" if same else f"differs from version {held.version}"
