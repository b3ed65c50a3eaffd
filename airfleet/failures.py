"""Which hosts have failed in a rollout, and whether it goes on without them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airfleet.errors import RolloutStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airfleet.errors import FleetError
    from airfleet.remote import Host


@dataclass
class Failures:
    """How many hosts may fail before a rollout stops, and those that have: they are left out of `hosts` from then on.

    Only hosts in `may_fail` are borne with; any other host that fails stops the rollout, as one too many does.
    """

    limit: int = 0
    may_fail: frozenset[str] = frozenset()
    hosts: dict[str, Host] = field(default_factory=dict)
    say: Callable[[str, str], None] | None = None
    found: dict[str, FleetError] = field(default_factory=dict)

    def bearable(self, names: Iterable[str]) -> bool:
        """Tell whether it would go on if these hosts, too, had failed."""
        failed = {*names, *self.found}
        return len(failed) <= self.limit and failed <= self.may_fail

    def take(self, errors: Mapping[str, FleetError]) -> None:
        """Leave out the hosts with these errors, or raise them all where that is more than is borne with."""
        if not errors:
            return
        if not self.bearable(errors):
            raise self._too_many(errors) if self.found else together(errors)
        for name, error in errors.items():
            self.found[name] = error
            self.hosts.pop(name, None)
            if self.say:
                self.say(f"left out: {name}: {error.problem}", "bold red")

    def stop_if_any(self, *, remedy: str, state: str) -> None:
        """Raise RolloutStopped at the end of a rollout that went on without some hosts."""
        if self.found:
            raise RolloutStopped(f"left out: {self}", remedy=remedy, state=state)

    def _too_many(self, errors: Mapping[str, FleetError]) -> RolloutStopped:
        first = next(iter(errors.values()))
        said = "; ".join(f"{name}: {error.problem}" for name, error in errors.items())
        return RolloutStopped(
            f"{said}\n  and left out before: {self}", place=first.place, remedy=first.remedy, state=first.state
        )

    def __str__(self) -> str:
        return "; ".join(f"{name}: {error.problem}" for name, error in self.found.items())


def together(errors: Mapping[str, FleetError]) -> FleetError:
    """Return one error that tells all of them, of the class of the first."""
    first = next(iter(errors.values()))
    if len(errors) == 1:
        return first
    text = "\n  ".join(f"{e.place}: {e.problem}" for e in errors.values())
    return type(first)(text, remedy=first.remedy, state=first.state)
