"""What a deploy brings about on each host, from what the host should be: prepare, migrate, switch, restart. Pure.

A deploy changes the release, the environment that it needs, and the processes that read them. Whatever else is not as
the inventory has it is left to `fab bootstrap`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airfleet import way_back_files
from airfleet.desired import UNKNOWN_COMMIT, Target, stages_of
from airfleet.errors import GateRefused
from airfleet.layout import layout_of, release_target, venv_target
from airfleet.model import Stage
from airfleet.plan import describe
from airfleet.resources import Link, Made, Unit
from airfleet.wishes import NEVER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airfleet.model import Change, Facts, Resource

SETTLED = ("system", "python", "config", "code", "redis")
PREPARE, MIGRATE, SWITCH, SCHEDULER, WEB, FLOWER = "prepare", "migrate", "switch", "scheduler", "web", "flower"
WORKERS = "workers of "
NAMED = 6


def settled(target: Target, host: str) -> Stage:
    """Return what must be in order before a deploy: all that it does not change itself."""
    stages = stages_of(target, target.inventory.hosts[host])
    found = [r for stage in stages if stage.name in SETTLED for r in stage.resources if not _deployed(target, r)]
    return Stage("in order", tuple(found))


def prepare(target: Target, host: str) -> tuple[Stage, ...]:
    """Return what is harmless to all that runs: the environment and the tree of the release."""
    stages = _by_name(target, host)
    venv = [r for r in stages["python"].resources if r.kind == "venv"]
    release = [r for r in stages["release"].resources if r.kind == "release"]
    return (Stage(PREPARE, (*venv, *release)),)


def switch(target: Target, host: str, restart: str) -> tuple[Stage, ...]:
    """Return what makes the release the one that runs. All hosts have the same stages, some of them empty.

    The workers of each host are a stage of their own: the first host's are the canary of the others.
    """
    stages = _by_name(target, host)
    links = [r for name in ("config", "release") for r in stages[name].resources if isinstance(r, Link)]
    migrate = [_in_target(target, r) for r in stages["database"].resources if r.kind == "schema"]

    def of(name: str) -> tuple[Resource, ...]:
        units = [r for r in stages[name].resources if isinstance(r, Unit)]
        return tuple(units) if restart != NEVER else ()

    workers = [
        Stage(WORKERS + name, of("workers") if name == host else ()) for name in target.inventory.with_role("worker")
    ]
    return (
        Stage(MIGRATE, tuple(migrate)),
        Stage(SWITCH, tuple(links)),
        Stage(SCHEDULER, of("scheduler")),
        Stage(WEB, of("web")),
        *workers,
        Stage(FLOWER, of("flower")),
    )


def desired(target: Target, hosts: Mapping[str, object], restart: str) -> dict[str, tuple[Stage, ...]]:
    """Return the stages of a deploy for each host, as they are planned and applied."""
    confirm = Stage(way_back_files.STAGE, (way_back_files.confirmed(),))
    return {name: (*prepare(target, name), *switch(target, name, restart), confirm) for name in hosts}


def only_from(stages: Sequence[Stage], facts: Facts, current: str, commit: str) -> tuple[Stage, ...]:
    """Return the stages without the units that run and did not start with this commit: the way back is not theirs."""

    def left_alone(resource: Resource) -> bool:
        state = facts[resource.kind, resource.key].state or {}
        started = state.get(f"started with {current}")
        return isinstance(resource, Unit) and state.get("active") == "active" and started != commit

    return tuple(Stage(stage.name, tuple(r for r in stage.resources if not left_alone(r))) for stage in stages)


def all_of(stages: Sequence[Stage]) -> list[Resource]:
    """Return the resources of several stages."""
    return [resource for stage in stages for resource in stage.resources]


def current_link(target: Target) -> Link:
    """Return the link to the release in use, which every host has."""
    return Link(layout_of(target.inventory).current, release_target(target.release or UNKNOWN_COMMIT))


def not_in_order(pending: Mapping[str, Sequence[Change]]) -> GateRefused:
    """Return the refusal of a deploy to hosts on which something else is to be done first; a few of it are named."""
    lines = [f"{name}: {describe(change)}" for name, changes in pending.items() for change in changes]
    more = f"\n    and {len(lines) - NAMED} more" if len(lines) > NAMED else ""
    return GateRefused(
        "a deploy changes code alone, and these hosts are not as the inventory has them:\n    "
        + "\n    ".join(lines[:NAMED])
        + more,
        remedy="fab plan, then fab bootstrap; then deploy",
        state="nothing was switched",
    )


def _by_name(target: Target, host: str) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages_of(target, target.inventory.hosts[host])}


def _deployed(target: Target, resource: Resource) -> bool:
    """Tell whether a deploy changes this itself: the environment, and the link to it."""
    layout = layout_of(target.inventory)
    return resource.kind in ("venv", "unit") or (resource.kind, resource.key) == ("link", layout.venv)


def _in_target(target: Target, resource: Resource) -> Resource:
    """Return the schema as the environment of the release wants it: the link to it leads elsewhere until the switch."""
    venv = f"{layout_of(target.inventory).versions}/{venv_target(target.venv_digest)}"
    if not isinstance(resource, Made):
        return resource
    return replace(resource, ask={**resource.ask, "venv": venv}, means={**resource.means, "venv": venv})
