"""What the inventory's `units` adds to a unit: directives for services that need more, or should have less."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from airfleet.generations import GENERATIONS
from airfleet.places import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.places import Path

Directives: TypeAlias = "Mapping[str, str | int | bool]"

REDIS, BACKUP, PROXY = "redis-server", "airfleet-backup", "nginx"
# What airfleet relies on: the stamp, the account, and a stop that waits for running tasks.
OURS: Final = re.compile(
    r"Exec.*|Type|User|Group|DynamicUser|RootDirectory|RuntimeDirectory.*|EnvironmentFile|WorkingDirectory"
    r"|TimeoutStopSec|TimeoutSec|KillMode|KillSignal|Restart|FinalKillSignal|SendSIGKILL|PIDFile"
)


def names() -> tuple[str, ...]:
    """Return the names that stand under `units`: those of the services of every generation, Redis and the backup."""
    services = dict.fromkeys(f"airflow-{each.name}" for generation in GENERATIONS for each in generation.services)
    return (*services, REDIS, BACKUP, PROXY)


def lines(units: Mapping[str, Directives], name: str) -> list[str]:
    """Return the lines that a unit's section [Service] ends with: what stands last overrides, or adds to a list."""
    return [f"{key}={_written(value)}" for key, value in units.get(name, {}).items()]


def problems(units: Mapping[str, Directives]) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong with `units`, beyond the form of its words."""
    for name, directives in units.items():
        if name not in names():
            yield ("units", name), f"no service is called so{nearest(name, names())}"
        for key in directives:
            if OURS.fullmatch(key):
                yield ("units", name, key), "airfleet itself says this: no override may change it"


def _written(value: str | int | bool) -> str:  # noqa: FBT001  # a value, not a switch
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
