"""The words of airfleet: what a host should be, what it is, and what lies between. No input, no output.

A resource has a `kind`, a `key` (what it is called on its host) and a `state`: a flat dict of plain values,
where None means absent. Its `ask` is what the host needs to know to look at it, its `means` what the host
needs beside the state to make it so. One comparison serves the plan, the dry run and the check afterwards.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.errors import FleetError

Plain = str | int | bool | None
State = dict[str, Plain] | None
Key = tuple[str, str]
Words = dict[str, object]


class Resource(Protocol):
    """Anything that a host should have."""

    kind: ClassVar[str]

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


class _Quiet:
    """A resource that is looked at and made without further words."""

    @property
    def ask(self) -> Words:
        """Nothing beside the key."""
        return {}

    @property
    def means(self) -> Words:
        """Nothing beside the state."""
        return {}


@dataclass(frozen=True, slots=True)
class File:
    """A file with exactly this text; `secret` keeps its values out of every diff."""

    kind: ClassVar[str] = "file"
    path: str
    text: str = field(repr=False)
    owner: str = "root"
    group: str = "root"
    mode: str = "0644"
    secret: bool = False

    @property
    def key(self) -> str:
        """The path."""
        return self.path

    @property
    def state(self) -> State:
        """Owner, group, mode and the SHA-256 of the text."""
        return {"sha256": digest(self.text), "owner": self.owner, "group": self.group, "mode": self.mode}

    @property
    def ask(self) -> Words:
        """The digest that is wanted: the host sends the text back only where it differs."""
        return {"sha256": digest(self.text)}

    @property
    def means(self) -> Words:
        """The text."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class Directory(_Quiet):
    """A directory; what is in it is not looked at."""

    kind: ClassVar[str] = "directory"
    path: str
    owner: str = "root"
    group: str = "root"
    mode: str = "0755"

    @property
    def key(self) -> str:
        """The path."""
        return self.path

    @property
    def state(self) -> State:
        """Owner, group and mode."""
        return {"owner": self.owner, "group": self.group, "mode": self.mode}


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, flipped atomically."""

    kind: ClassVar[str] = "link"
    path: str
    target: str
    owner: str = "root"

    @property
    def key(self) -> str:
        """The path."""
        return self.path

    @property
    def state(self) -> State:
        """The target, as written in the link."""
        return {"target": self.target}

    @property
    def ask(self) -> Words:
        """Nothing beside the key."""
        return {}

    @property
    def means(self) -> Words:
        """The owner of the link."""
        return {"owner": self.owner}


@dataclass(frozen=True, slots=True)
class Account(_Quiet):
    """A locked system account with a home folder and without a login shell."""

    kind: ClassVar[str] = "account"
    name: str
    home: str
    shell: str = "/usr/sbin/nologin"

    @property
    def key(self) -> str:
        """The account's name."""
        return self.name

    @property
    def state(self) -> State:
        """Home and shell."""
        return {"home": self.home, "shell": self.shell}


@dataclass(frozen=True, slots=True)
class Packages(_Quiet):
    """Packages of the distribution that must be installed, in whatever version it has."""

    kind: ClassVar[str] = "packages"
    names: tuple[str, ...]
    title: str = "apt"

    @property
    def key(self) -> str:
        """A title that tells this list from another one."""
        return self.title

    @property
    def state(self) -> State:
        """Each package: installed."""
        return dict.fromkeys(self.names, "installed")

    @property
    def ask(self) -> Words:
        """The names to look for."""
        return {"names": list(self.names)}


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit: enabled or not, running or not, and what its running process read when it started.

    `reads` maps each file or link that the process reads to the digest or target that it should have read.
    """

    kind: ClassVar[str] = "unit"
    name: str
    reads: tuple[tuple[str, str], ...] = ()
    enabled: bool = True
    active: bool = True
    stop_timeout_s: int = 90

    @property
    def key(self) -> str:
        """The unit's name, with its suffix."""
        return self.name

    @property
    def stamp_path(self) -> str:
        """Where the unit leaves its stamp when it starts; systemd removes it when the unit stops."""
        return f"/run/{self.name.removesuffix('.service')}/stamp"

    @property
    def state(self) -> State:
        """Enabled, active, reloaded, and a line for each thing that the process read."""
        state: dict[str, Plain] = {
            "enabled": "enabled" if self.enabled else "disabled",
            "active": "active" if self.active else "inactive",
        }
        if self.active:
            state |= {"reload": "no"} | {f"started with {path}": _short(read) for path, read in self.reads}
        return state

    @property
    def ask(self) -> Words:
        """Where the stamp is."""
        return {"stamp": self.stamp_path if self.reads else ""}

    @property
    def means(self) -> Words:
        """How long a stop may take, in seconds."""
        return {"stop_timeout_s": self.stop_timeout_s}


@dataclass(frozen=True, slots=True)
class Made:
    """A resource of a kind that only the host's half knows how to look at and to make.

    pyenv, a Python, a virtual environment, a git mirror, a release, the database schema, the admin user.
    """

    kind: str
    key: str
    state: State
    ask: Words = field(default_factory=dict, repr=False)
    means: Words = field(default_factory=dict, repr=False)


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


def digest(text: str) -> str:
    """Return the SHA-256 of the text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _short(read: str) -> str:
    """Return a digest's first letters, or the name that a link led to, as the agent does."""
    return read[:12] if len(read) == 64 else read.rsplit("/", 1)[-1]
