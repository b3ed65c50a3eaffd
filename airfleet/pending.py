"""What a bootstrap would change, before something begins that is not to change it in passing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet import bootstrap_run
from airfleet.desired import Target, stages_of
from airfleet.plan import describe, make_plan

if TYPE_CHECKING:
    from airfleet.session import Fleet


def pending(target: Target, fleet: Fleet) -> list[str]:
    """Return a line for each change: none, where every host is as the inventory has it."""
    target, facts = bootstrap_run.look(target, fleet.hosts, fleet.look)
    hosts = fleet.inventory.hosts
    plans = [make_plan(name, stages_of(target, hosts[name]), facts[name]) for name in fleet.hosts]
    return [f"{plan.host}: {describe(change)}" for plan in plans for change in plan.changes]
