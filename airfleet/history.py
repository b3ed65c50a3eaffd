"""What was done to an installation: an entry for each run, and what follows from them. Pure.

An entry is a flat dict of plain values, kept as a line of JSON on every host: `id`, `doing`, `who`, `began` (UTC),
`seconds`, `ref`, `commit`, `subject`, `before`, `service`, `count`, `user`, `role`, `reason`, `backup`, `result` (done,
refused, stopped, put back), `problem`, `accepted`, and `hosts`: {name: what became of it}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airfleet.model import Words

DONE = "done"
BACKWARD = "rollback"


def merged(of_each: Iterable[Sequence[Words]]) -> list[Words]:
    """Return the entries of all hosts, each once, oldest first: a host that was away misses some."""
    found = {str(entry.get("id")): entry for entries in of_each for entry in entries}
    return sorted(found.values(), key=lambda entry: (str(entry.get("began")), str(entry.get("id"))))


def stack(entries: Iterable[Words]) -> list[str]:
    """Return the releases that ran successfully, the newest last; a rollback takes off what was above its release."""
    found: list[str] = []
    for entry in entries:
        commit, before = str(entry.get("commit") or ""), str(entry.get("before") or "")
        if entry.get("result") != DONE or not commit:
            continue
        if entry.get("doing") == BACKWARD and commit in found:
            del found[found.index(commit) + 1 :]
            continue
        if before and not found:
            found.append(before)
        if found[-1:] != [commit]:
            found.append(commit)
    return found


def previous(entries: Iterable[Words], current: str) -> str | None:
    """Return the release to go back to from this one; None where none ran before it."""
    below = stack(entries)
    if current in below:
        below = below[: len(below) - 1 - below[::-1].index(current)]
    below = [commit for commit in below if commit != current]
    return below[-1] if below else None


def line_of(entry: Words) -> str:
    """Return an entry as one line for a human."""
    hosts: Any = entry.get("hosts") or {}
    what = f"{entry.get('ref')} " if entry.get("ref") and entry.get("ref") != entry.get("commit") else ""
    names = ("service", "count", "user", "role", "reason", "backup")
    what += " ".join(str(entry[name]) for name in names if entry.get(name))
    commit = str(entry.get("commit") or "")[:12]
    each = ", ".join(f"{name} {became}" for name, became in hosts.items())
    problem = str(entry.get("problem") or "").split("\n", maxsplit=1)[0]
    parts = [
        f"{entry.get('began')}  {entry.get('who')}  {entry.get('doing')} {what}{commit}".rstrip(),
        f"{entry.get('result')} in {entry.get('seconds')} s",
        each,
        problem[:160],
    ]
    return "; ".join(part for part in parts if part)
