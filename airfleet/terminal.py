"""What only a person at a terminal can answer: a secret, which is not shown, and a yes to what can't be undone."""

from __future__ import annotations

import getpass
import sys
import warnings

from airfleet.errors import UsageError


def require(what: str, *, place: str, remedy: str) -> None:
    """Refuse to go on without a terminal; `what` needs it."""
    if not sys.stdin.isatty():
        raise UsageError(f"there is no terminal to {what}", place=place, remedy=remedy, state="nothing was contacted")


def ask_secret(prompt: str) -> str:
    """Return what is typed, without showing it."""
    with warnings.catch_warnings():
        # Where the terminal can't be told to show nothing, getpass would warn and show it.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except (EOFError, UnicodeError, getpass.GetPassWarning) as e:
            raise UsageError("no secret could be read from the terminal", state="nothing was contacted") from e


def confirmed(question: str) -> bool:
    """Return whether the answer is yes; no answer is none."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
