"""What was done to an installation: an entry for each run, and what follows from them. Pure.

An entry is a flat dict of plain values, kept as a line of JSON on every host: `id`, `doing`, `who`, `began` (UTC),
`seconds`, `ref`, `commit`, `subject`, `before`, `service`, `count`, `user`, `role`, `reason`, `backup`, `result` (done,
refused, stopped, put back; "went back" of a host that did so by itself), `problem`, `accepted`, `hosts`: {name: what
became of it}, `members`: {name: its part of the inventory, where that is new}, and `retired`: names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airfleet.answer_shapes import ENTRY
from airfleet.answers import fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airfleet.model import Words

DONE = "done"
BACKWARD = "rollback"
RETIRE = "retire"


def merged(of_each: Iterable[Sequence[Words]]) -> list[Words]:
    """Return the entries of all hosts, each once, oldest first: a host that was away misses some.

    What has not the form of an entry is passed over: `fab history --verify` names who was there.
    """
    found = {str(entry.get("id")): entry for entries in of_each for entry in entries if fits(entry, ENTRY)}
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


def left_behind(of_each: Iterable[Words], names: Iterable[str]) -> dict[str, Words]:
    """Return the hosts that were brought up, not retired since, and are not among these names, as they were remembered.

    `of_each` is what hosts answered to `members`; the latest word on a host counts.
    """
    seen, retired = _latest(of_each)
    return {
        name: part for name, (when, part) in seen.items() if name not in set(names) and retired.get(name, "") < when
    }


def retired_at(of_each: Iterable[Words], name: str) -> str:
    """Return when a host was retired, if nothing was done on it since; else an empty text."""
    seen, retired = _latest(of_each)
    when = retired.get(name, "")
    return when if when > (seen[name][0] if name in seen else "") else ""


def not_yet_members(of_each: Iterable[Words], parts: Mapping[str, Words]) -> dict[str, Words]:
    """Return those of these hosts that are not remembered as they are now."""
    seen, retired = _latest(of_each)
    return {
        name: part
        for name, part in parts.items()
        if name not in seen or seen[name][1] != part or retired.get(name, "") > seen[name][0]
    }


def _latest(of_each: Iterable[Words]) -> tuple[dict[str, tuple[str, Words]], dict[str, str]]:
    seen: dict[str, tuple[str, Words]] = {}
    retired: dict[str, str] = {}
    for answer in of_each:
        members: Any = answer.get("members") or {}
        gone: Any = answer.get("retired") or {}
        for name, (when, part) in members.items():
            if when >= seen.get(name, ("", {}))[0]:
                seen[name] = (when, part or seen.get(name, ("", {}))[1])
        for name, when in gone.items():
            retired[name] = max(when, retired.get(name, ""))
    return seen, retired


def contradictions(of_each: Mapping[str, Words]) -> list[str]:
    """Return each entry that one host tells otherwise than another; `of_each` is {host: its `verify_history`}."""
    tellers: dict[str, dict[str, list[str]]] = {}
    what: dict[str, str] = {}
    for name, answer in of_each.items():
        told: Any = answer["entries"]
        for each, (began, doing, digest) in told.items():
            tellers.setdefault(each, {}).setdefault(digest, []).append(name)
            what.setdefault(each, f"{doing} of {began}")
    return [
        f"{what[each]}: {' and '.join(', '.join(names) for names in digests.values())} tell it differently"
        for each, digests in tellers.items()
        if len(digests) > 1
    ]


def missed(of_each: Mapping[str, Words]) -> dict[str, int]:
    """Return how many of the others' entries each host lacks, from its own first one on: it may have been away."""
    all_of: dict[str, str] = {}
    for answer in of_each.values():
        told: Any = answer["entries"]
        all_of |= {each: began for each, (began, _, _) in told.items()}
    found = {}
    for name, answer in of_each.items():
        own: Any = answer["entries"]
        first = min((began for began, _, _ in own.values()), default="9")
        found[name] = sum(1 for each, began in all_of.items() if each not in own and began > first)
    return {name: count for name, count in found.items() if count}


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
