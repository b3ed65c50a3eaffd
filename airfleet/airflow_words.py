"""What an operator types after `airflow`, split into words; a password among them is refused. Pure.

Whatever stands in a command line is seen by everybody on that host, and is kept in its process accounting.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from airfleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NOTHING = "nothing was contacted"
PLACE = "fab airflow"
SENSITIVE = re.compile(
    r"passw|passphrase|secret|token|private_key|api_?key|keyfile|credential|authorization", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A command, its option that takes a password (argparse takes it shortened as well), and what to do instead."""

    command: tuple[str, str]
    option: str
    shortest: str
    letter: str
    instead: str


IN_FILE = "write it to a file of mode 0600 there (fab shell HOST), then: airflow connections import FILE"
GUARDED = (
    Guarded(("users", "create"), "--password", "--p", "p", "fab users.create NAME, which makes one or asks for it"),
    Guarded(("users", "reset-password"), "--password", "--p", "p", "fab users.reset-password NAME"),
    Guarded(("connections", "add"), "--conn-password", "--conn-pa", "", IN_FILE),
    Guarded(("celery", "flower"), "--basic-auth", "--ba", "", "fab start --service flower"),
)


def split(text: str) -> list[str]:
    """Return the words as a shell would split them; no shell ever sees them."""
    try:
        words = shlex.split(text)
    except ValueError as e:
        raise UsageError(
            f"the words can't be split: {e}", place=PLACE, remedy="quote them as for a shell", state=NOTHING
        ) from None
    words = words[1:] if words[:1] == ["airflow"] else words
    if not words:
        remedy = 'fab airflow "dags list"; `fab airflow --help` says more'
        raise UsageError("which command?", place=PLACE, remedy=remedy, state=NOTHING)
    if any("\0" in word for word in words):
        raise UsageError("a word can't hold a NUL character", place=PLACE, state=NOTHING)
    return words


def refuse_passwords(words: Sequence[str], mask: Callable[[str], str]) -> None:
    """Refuse a command line that holds a password: an option for one, a connection with one, or a secret of ours."""
    for guarded in GUARDED:
        if tuple(words[:2]) == guarded.command and any(_is_option(word, guarded) for word in words[2:]):
            raise _refused(f"{guarded.option} would show the password to everybody on the host", guarded.instead)
    if tuple(words[:2]) == ("connections", "add"):
        for option, value in _options(words[2:]):
            if _holds_password(option, value):
                raise _refused(f"{option} holds a password, which would be shown to everybody on the host", IN_FILE)
    if any(mask(word) != word for word in words):
        raise _refused("a secret of this installation would be shown to everybody on the host", IN_FILE)


def _refused(problem: str, instead: str) -> UsageError:
    return UsageError(problem, place=PLACE, remedy=instead, state=NOTHING)


def _is_option(word: str, guarded: Guarded) -> bool:
    name = word.partition("=")[0]
    if name.startswith("--"):
        return guarded.option.startswith(name) and name.startswith(guarded.shortest)
    # `-v` takes no value, so that `-vp` is `-v -p`.
    return bool(guarded.letter) and re.match(f"-v*{guarded.letter}", word) is not None


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each long option with its value."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            yield name, value if equals else following


def _holds_password(option: str, value: str) -> bool:
    if "--conn-uri".startswith(option):
        try:
            parts = urlsplit(value)
            return bool(parts.password) or any(SENSITIVE.search(name) for name, _ in parse_qsl(parts.query))
        except ValueError:
            return True  # it can't be told: better not
    if any(full.startswith(option) for full in ("--conn-json", "--conn-extra")):
        try:
            return _sensitive(json.loads(value))
        except ValueError:
            return SENSITIVE.search(value) is not None
    return False


def _sensitive(value: Any) -> bool:
    """Tell whether a key in a JSON value, however deep, is one of a password's that is not empty."""
    if isinstance(value, dict):
        return any((SENSITIVE.search(key) and each) or _sensitive(each) for key, each in value.items())
    if isinstance(value, list):
        return any(map(_sensitive, value))
    try:  # `extra` may be JSON in JSON
        inner = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return isinstance(inner, dict | list) and _sensitive(inner)
