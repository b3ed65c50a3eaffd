"""The words of airfleet: what a host should be, what it is, and what lies between. No input, no output.

A resource has a `kind`, a `key` (what it is called on its host) and a `state`: a flat dict of plain values,
where None means absent. Its `ask` is what the host needs to know to look at it, its `means` what the host
needs beside the state to make it so. One comparison serves the plan, the dry run and the check afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.errors import FleetError

Plain = str | int | bool | None
State = dict[str, Plain] | None
Key = tuple[str, str]
Words = dict[str, object]


class Resource(Protocol):
    """Anything that a host should have."""

    @property
    def kind(self) -> str:
        """Which `look_KIND` and `make_KIND` of the agent it is for."""

    @property
    def key(self) -> str:
        """What it is called on its host; unique within its kind."""

    @property
    def state(self) -> State:
        """What it should be."""

    @property
    def ask(self) -> Words:
        """What the host needs to know to look at it."""

    @property
    def means(self) -> Words:
        """What the host needs, beside the state, to make it so."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host answered about one resource: its state, and words that help a human (never compared)."""

    state: State
    detail: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """What one host answered; asking for what was not looked at is a KeyError."""

    seen: Mapping[Key, Seen]

    def __getitem__(self, key: Key) -> Seen:
        """Return what was seen of the resource with this kind and key."""
        return self.seen[key]


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that is not as it should be."""

    resource: Resource
    seen: Seen

    @property
    def differing(self) -> Iterator[tuple[str, Plain, Plain]]:
        """Yield (name, seen, wanted) for each value of the state that differs."""
        have, want = self.seen.state or {}, self.resource.state or {}
        for name in dict.fromkeys([*want, *have]):
            if have.get(name) != want.get(name):
                yield name, have.get(name), want.get(name)


@dataclass
class Outcome:
    """What became of some changes on one host: those done, the one in doubt, those untouched."""

    done: list[Key] = field(default_factory=list)
    in_doubt: list[Key] = field(default_factory=list)
    untouched: list[Key] = field(default_factory=list)
    told: dict[Key, Words] = field(default_factory=dict)
    error: FleetError | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A set of resources whose facts can all be known before the first of them is changed."""

    name: str
    resources: tuple[Resource, ...]
