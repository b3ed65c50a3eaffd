"""What a rule says: a finding with its evidence, and how rules are declared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from airfleet.units import BESIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airfleet.checkup import Checkup

ENOUGH = 2  # facts, before a finding is called a cause
LONGEST = 160  # letters of a line of a journal
STARTING_S = 45.0  # that a service may take until it answers


class Layer(IntEnum):
    """What stands on what: a trouble on a lower layer is looked for, and told, before those above it."""

    HOST = 0
    STORES = 1
    SETTINGS = 2
    UNITS = 3
    BEATS = 4
    WORK = 5
    DAGS = 6
    CAPACITY = 7


@dataclass(frozen=True, slots=True)
class Fact:
    """What was looked at, in words that a human could repeat it by, and what was seen."""

    asked: str
    saw: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble: `id` is its runbook's name, `next` the one command to type now, `then` what proves that it helped.

    `latent` is what harms nobody yet. `explains` are the findings that are effects of this one, on `host` where it has
    one, else anywhere. `about` are the services that it is about, and `since_s` is how long it has been so, where that
    is known: by these an operation under way is, or is not, what brings it about.
    """

    id: str
    layer: Layer
    where: str
    says: str
    evidence: tuple[Fact, ...]
    impact: str
    next: str
    then: str = "fab doctor"
    host: str = ""
    latent: bool = False
    explains: frozenset[str] = frozenset()
    about: frozenset[str] = frozenset()
    since_s: float | None = None

    @property
    def kind(self) -> str:
        """Tell how sure it is: `latent`, `cause`, or `suspect` where a single fact speaks for it."""
        if self.latent:
            return "latent"
        return "cause" if len(self.evidence) >= ENOUGH else "suspect"

    def covers(self, other: Finding) -> bool:
        """Tell whether another finding is an effect of this one."""
        return other.id in self.explains and (not self.host or not other.host or self.host == other.host)


class CouldNotLook(Exception):
    """What a rule needs to know could not be found out: its argument says what, and why."""


@dataclass(frozen=True, slots=True)
class Check:
    """A rule with the words by which it is told that it found nothing; `quick` where a quick look is enough for it.

    With `service` it is asked only where the generation of Airflow has that service.
    """

    title: str
    rule: Callable[[Checkup], Iterator[Finding]]
    quick: bool = False
    service: str = ""


def shown(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: 1 task, 2 tasks."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def span(seconds: float | None) -> str:
    """Return a span as people say it, `?` where it is not known."""
    if seconds is None:
        return "?"
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def service_of(unit: str) -> str:
    """Return the service that a unit is, without the number of an instance."""
    return BESIDE.get(unit) or unit.removesuffix(".service").removeprefix("airflow-").partition("@")[0]


def sign_of(host: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return {"count", "last", "unit", "ago_s"} of a sign in a host's journals, None where it does not stand there."""
    found: Mapping[str, Any] | None = (host.get("journal") or {}).get("signs", {}).get(name)
    return found


def told_by(host: Mapping[str, Any], name: str, on: str = "") -> list[Fact]:
    """Return a sign in a host's journals as a fact, `on` the host of that name; none where it does not stand there."""
    sign = sign_of(host, name)
    where = f" on {on}" if on else ""
    return [Fact(f"journal of {sign['unit']}{where}", str(sign["last"])[:LONGEST])] if sign else []
