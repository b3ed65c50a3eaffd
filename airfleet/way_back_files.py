"""What a host needs for its way back: what is to be kept there, and the program, service and timer. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from airfleet import bundle
from airfleet.layout import UNITS
from airfleet.resources import Made
from airfleet.templates import fill

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airfleet.model import Change, Resource, Stage, Words

FOLDER = "/var/lib/airfleet/way-back"
INSTALLED = "/opt/airfleet"
SERVICE, TIMER = "airfleet-way-back.service", "airfleet-way-back.timer"
OF_UNITS = (SERVICE, TIMER)
STAGE = "confirm"
EVERY_S = 5  # how often a host looks whether it is time
REPLACED = ("file", "link", "leftovers", "instances")


def confirmed() -> Resource:
    """Return that nothing on a host waits to be confirmed, and that it did not go back since somebody saw to it."""
    return Made("way_back", FOLDER, None)


def replaces(change: Change) -> bool:
    """Tell whether a change is one that can be taken back: a restart, or a tree that is built beside, is not."""
    if change.resource.kind != "unit":
        return change.resource.kind in REPLACED
    return (change.seen.state or {}).get("enabled") != (change.resource.state or {}).get("enabled")


def kept(stages: Iterable[Stage]) -> Words:
    """Return what is kept before a change, in the agent's words: all that could be replaced, whatever is."""
    paths, units = list[str](), list[str]()
    for resource in (r for stage in stages for r in stage.resources):
        if resource.kind in ("file", "link"):
            paths.append(resource.key)
        elif resource.kind == "unit":
            units.append(resource.key)
        elif resource.kind == "instances":
            units.append(f"{resource.key}*.service")
        elif resource.kind == "leftovers":
            files = resource.ask["files"]
            paths += [f"{UNITS}/{name}" for name in files]  # type: ignore[attr-defined]
            units += [_units_of(name) for name in files]  # type: ignore[attr-defined]
    return {"paths": paths, "units": list(dict.fromkeys(units))}


def _units_of(file: str) -> str:
    """Return the unit that a file is of, or a pattern for a template's."""
    return file.replace("@.", "@*.") if "@." in file else file.partition(".d/")[0]


@cache
def program() -> Words:
    """Return the texts of what goes back by itself, in the agent's words."""
    command = f"{INSTALLED}/way-back.py {INSTALLED}/way-back.sources {FOLDER}"
    return {
        "launcher": bundle.launcher("way_back"),
        "sources": bundle.sources_of(("way_back",)),
        "service": fill("airfleet-way-back.service.j2", program=command),
        "timer": fill("airfleet-way-back.timer.j2", every_s=EVERY_S),
    }
