"""Secrets: a value that never prints, and the file or environment that it is read from.

`secrets.yaml` stands beside `inventory.yaml` with mode 0600 and is never committed; `AIRFLEET_SECRET_<NAME>` in the
environment wins over it. Where the inventory is not concerned; how a secret reaches a host is in `desired`.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import shlex
import stat
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NoReturn, SupportsIndex

from airfleet import places
from airfleet.errors import UsageError
from airfleet.inventory_file import PREFIX
from airfleet.masking import Mask
from airfleet.secret_forms import GENERATED, KNOWN, NEXT, PREVIOUS, problem_of, tidy
from airfleet.secrets_file import with_values, write_privately

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

EMULATOR: Final = PREFIX + "MANAGER_EMULATOR"  # no secret: where a stand-in for Google's Secret Manager listens
_NOTHING: Final = "nothing was contacted"


class Secret:
    """A value that shows itself only to `reveal()`: not when printed, formatted, logged, compared or pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __format__(self, _spec: str) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce_ex__(self, _protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a secret is not to be pickled")


@dataclass(frozen=True)
class Secrets:
    """The secrets of one installation; asking for one that is not there is a UsageError that says how to give it.

    `file` is where they were read from, in words; `into` where a missing one is to be written, if not there.
    """

    values: Mapping[str, Secret] = field(repr=False)
    file: str = "secrets.yaml"
    from_environment: frozenset[str] = frozenset()
    into: str = ""

    def present(self) -> tuple[str, ...]:
        """Return the names of those that are there."""
        return tuple(name for name in KNOWN if name in self.values)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> Secret:
        """Return a secret by its name; a UsageError says how to give one that is missing."""
        if name not in KNOWN:
            raise KeyError(name)
        if name not in self.values:
            self.require(name)
        return self.values[name]

    def accepted(self, name: str) -> tuple[Secret, ...]:
        """Return the value that is in use, and behind it the one that a rotation is about to bring or to take away."""
        beside = (name + NEXT, name + PREVIOUS)
        return (self[name], *(self.values[each] for each in beside if each in self.values))

    @property
    def redis_password(self) -> Secret:
        """Redis asks for it."""
        return self["redis_password"]

    @property
    def fernet_key(self) -> Secret:
        """Airflow encrypts connections and variables with it: one key, or several by commas, the newest first."""
        return Secret(",".join(each.reveal() for each in self.accepted("fernet_key")))

    @property
    def webserver_secret_key(self) -> Secret:
        """Signs the sessions of the web pages and the requests for logs; the same on all hosts."""
        return self["webserver_secret_key"]

    @property
    def flower_password(self) -> Secret:
        """Flower's page asks for it."""
        return self["flower_password"]

    @property
    def database_password(self) -> Secret:
        """The database user's."""
        return self["database_password"]

    @property
    def deploy_key(self) -> Secret:
        """The private key that reads the DAG repository, with a line break at its end."""
        return self["deploy_key"]

    def require(self, *names: str) -> None:
        """Raise a UsageError that names each of these secrets that is missing, and both ways to give it."""
        missing = [name for name in names if name not in self.values]
        if missing:
            variables = ", ".join(PREFIX + name.upper() for name in missing)
            keys = ", ".join(missing)
            made = "; `fab bootstrap` generates it" if set(missing) <= set(GENERATED) else ""
            into = self.into or f"{self.file} (mode 0600)"
            raise UsageError(
                f"missing: {keys}",
                place=self.file,
                remedy=f"write {keys} into {into}, or set {variables} in the environment{made}",
                state=_NOTHING,
            )

    def mask(self, text: str) -> str:
        """Return the text with every value of four characters or more, however quoted, replaced by `<secret>`."""
        return self._mask(text)

    @cached_property
    def _mask(self) -> Mask:
        return Mask(secret.reveal() for secret in self.values.values())


def load(path: Path, environ: Mapping[str, str]) -> Secrets:
    """Return the secrets of this file, which need not exist, and of the environment, which wins.

    A UsageError tells everything that is wrong with them, and never shows a value.
    """
    text = _private_text(path)
    document = places.read(text, path.name)
    values = {}
    if isinstance(document.value, dict):
        values = {name: _taken(document, name, value) for name, value in document.value.items()}
    elif document.value is not None:
        document.complain((), "needs keys with values")
    given = _given(environ, document.complaints)
    if document.complaints:
        raise places.BadFile(document.complaints)
    return Secrets(values | given, path.name, frozenset(given))


def from_environment(environ: Mapping[str, str]) -> Secrets:
    """Return the secrets of the environment alone."""
    complaints: list[places.Complaint] = []
    given = _given(environ, complaints)
    if complaints:
        raise places.BadFile(complaints)
    return Secrets(given, "environment", frozenset(given))


def complete(known: Secrets, names: Sequence[str] = GENERATED) -> Secrets:
    """Return the secrets with a new random value for each of these that is not there yet."""
    made = {name: generate(name) for name in names if name not in known}
    return replace(known, values={**known.values, **made})


def generate(name: str) -> Secret:
    """Return a new random value for one of the generated secrets."""
    if name not in GENERATED:
        raise UsageError(f"{name} can't be generated: it is given by somebody else", state="nothing was changed")
    if name == "fernet_key":
        return Secret(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    return Secret(secrets.token_urlsafe(32))


def save(path: Path, known: Secrets, gone: Collection[str] = ()) -> None:
    """Write the secrets that did not come from the environment, with mode 0600 from the first byte on.

    What stands in the file already, comments included, is kept, but for those of `gone`.
    """
    text = _private_text(path)
    values = {name: known[name].reveal() for name in known.present() if name not in known.from_environment}
    new = with_values(text, values, gone)
    if new == text:
        return
    try:
        write_privately(path, new)
    except OSError as e:
        raise UsageError(f"can't be written: {e.strerror}", place=path.name) from e


def _given(environ: Mapping[str, str], complaints: list[places.Complaint]) -> dict[str, Secret]:
    given = {}
    for variable in sorted(name for name in environ if name.startswith(PREFIX) and name != EMULATOR):
        name = variable.removeprefix(PREFIX).lower()
        if problem := problem_of(name, environ[variable]):
            complaints.append(places.Complaint(f"environment: {variable}", 0, (), problem))
        given[name] = Secret(tidy(name, environ[variable]))
    return given


def _private_text(path: Path) -> str:
    """Return the text of a file that nobody else can read or replace; "" when there is none."""
    try:
        link = path.lstat()
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as e:
        raise UsageError(f"can't be read: {e.strerror}", place=path.name, state=_NOTHING) from e
    try:
        _refuse_shared(path, link, os.fstat(handle))
        with os.fdopen(os.dup(handle), "rb") as file:
            content = file.read()
    finally:
        os.close(handle)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = content[: e.start].count(b"\n") + 1
        raise places.BadFile([places.Complaint(path.name, line, (), "not UTF-8 text")]) from None


def _refuse_shared(path: Path, link: os.stat_result, found: os.stat_result) -> None:
    name = shlex.quote(str(path))
    if not stat.S_ISREG(found.st_mode):
        raise UsageError("is not a file", place=path.name, state=_NOTHING)
    if {link.st_uid, found.st_uid} != {os.geteuid()}:
        raise UsageError(
            "belongs to another user, who could read and change it",
            place=path.name,
            remedy=f"sudo chown $(id -un) {name} && chmod 600 {name}",
            state=_NOTHING,
        )
    if found.st_mode & 0o177:
        raise UsageError(
            f"its mode is {stat.S_IMODE(found.st_mode):04o}: others could read it",
            place=path.name,
            remedy=f"chmod 600 {name}",
            state=_NOTHING,
        )


def _taken(document: places.Document, name: str, value: object) -> Secret:
    if name in KNOWN and not isinstance(value, str):
        document.complain((name,), "is empty" if value is None else "needs text: write it in quotes")
        return Secret("")
    if problem := problem_of(name, str(value)):
        document.complain((name,), problem)
    return Secret(tidy(name, str(value)))
