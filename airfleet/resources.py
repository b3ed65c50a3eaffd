"""The resources: what a host can be asked to have. Each is a value; how it is looked at and made is the agent's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from airfleet.model import Plain, State, Words

DIGEST_LENGTH = 64


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
        """Home, shell and the group of its own."""
        return {"home": self.home, "shell": self.shell, "group": self.name}


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

    `reads` maps each file or link that the process reads to the digest or target that it should have read. `release`
    (path, commit, plugins) lets another release count as this one where a running process has read the same of both.
    `reloads` are those of `reads` that the process reads again when it is reloaded: no connection is dropped for them.
    """

    kind: ClassVar[str] = "unit"
    name: str
    reads: tuple[tuple[str, str], ...] = ()
    enabled: bool = True
    active: bool = True
    stop_timeout_s: int = 90
    release: tuple[tuple[str, str | None], ...] = ()
    reloads: tuple[str, ...] = ()

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
        """Where the stamp is, and which other releases are as good."""
        words: Words = {"stamp": self.stamp_path if self.reads else ""}
        return {**words, "release": dict(self.release)} if self.release else words

    @property
    def means(self) -> Words:
        """How long a stop may take, in seconds, and what a reload reads again."""
        words: Words = {"stop_timeout_s": self.stop_timeout_s}
        return {**words, "reloads": list(self.reloads)} if self.reloads else words


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


def digest(text: str) -> str:
    """Return the SHA-256 of the text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _short(read: str) -> str:
    """Return a digest's first letters, or the name that a link led to, as the agent does."""
    return read[:12] if len(read) == DIGEST_LENGTH else read.rsplit("/", 1)[-1]
