"""Works on hosts in waves: a canary alone, then batches of them; a host that fails may be left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet.batches import next_batch
from airfleet.errors import FleetError, RolloutStopped
from airfleet.failures import together
from airfleet.rollout import on_each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airfleet.batches import Batch
    from airfleet.remote import Host
    from airfleet.session import Fleet


def in_waves(fleet: Fleet, names: Sequence[str], batch: Batch, work: Callable[[str], None]) -> None:
    """Do the work for each of these hosts: the first one alone, then as many at the same time as the batch says.

    When the canary fails its error is raised, whatever the fleet bears; of the others, when that is more than it bears.
    Raises with no state of its own: what was done the caller knows.
    """
    todo, most = list(names), batch.of(len(names))
    wave: Sequence[str] = todo[:1]
    try:
        while wave:
            fleet.check_lock()
            canary = len(todo) == len(names)
            todo = [name for name in todo if name not in wave]
            errors = _at_once(fleet, wave, work)
            if canary and errors:
                raise together(errors)
            fleet.failures.take(errors)
            wave = next_batch(fleet.inventory, todo, most, fleet.failures.found)
    except KeyboardInterrupt:
        raise RolloutStopped("interrupted", place=", ".join(wave), state="") from None


def _at_once(fleet: Fleet, wave: Sequence[str], work: Callable[[str], None]) -> dict[str, FleetError]:
    """Do the work for all of them at the same time; return what went wrong on which."""
    errors: dict[str, FleetError] = {}

    def guarded(host: Host) -> None:
        try:
            work(host.name)
        except FleetError as e:
            errors[host.name] = e

    hosts = {name: fleet.hosts[name] for name in wave}
    on_each(hosts, guarded, parallel=len(hosts), alone=len(hosts) > 1)
    return {name: errors[name] for name in wave if name in errors}
