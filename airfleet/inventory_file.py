"""Where the inventory and the secrets of an environment are, without a look into them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from airfleet.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

PREFIX: Final = "AIRFLEET_SECRET_"  # of the environment variables that win over the file of secrets
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


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
        from airfleet.places import nearest

        there = sorted(each.name for each in root.glob("inventory*.yaml"))
        names = [name.removeprefix("inventory.").removesuffix(".yaml") for name in there if name != "inventory.yaml"]
        raise UsageError(
            f"no such file{nearest(env, names) if env else ''}",
            place=path.name,
            remedy=f"choose one that exists: {', '.join(there)}"
            if there
            else f"write {path.name} in {root.absolute()}",
            state="nothing was contacted",
        )
    return path


def secrets_beside(inventory: Path) -> Path:
    """Return where the secrets of an inventory are: `secrets.NAME.yaml` beside `inventory.NAME.yaml`."""
    return inventory.with_name("secrets" + inventory.name.removeprefix("inventory"))
