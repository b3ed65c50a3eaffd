"""The record of a maintenance, and what becomes of each DAG that it paused: who has the last word on it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BEGUN, ON, ENDING = "begun", "on", "ending"
NAMED = 8
SPOKEN = {
    BEGUN: "is half on: `fab maintenance.on` was cut in the middle",
    ON: "is on",
    ENDING: "is half off: `fab maintenance.off` was cut in the middle",
}


@dataclass(frozen=True, slots=True)
class Record:
    """What is written down on a host before the first DAG is paused; `workers` is {host: {node: its queues}}."""

    id: str
    who: str
    since: str
    reason: str
    phase: str
    dags: tuple[str, ...]
    workers: Mapping[str, Mapping[str, Sequence[str]]]

    def drained(self, host: str) -> frozenset[str]:
        """Return the nodes of a host that took tasks before."""
        return frozenset(node for node, queues in self.workers.get(host, {}).items() if queues)

    def __str__(self) -> str:
        return f"{SPOKEN[self.phase]}, by {self.who} since {self.since}" + (f": {self.reason}" if self.reason else "")


def make_record(words: Mapping[str, Any] | None) -> Record | None:
    """Return the record from the agent's words for it."""
    if words is None:
        return None
    return Record(
        id=words["id"],
        who=words["who"],
        since=words["since"],
        reason=words["reason"],
        phase=words["phase"],
        dags=tuple(words["dags"]),
        workers=words["workers"],
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the DAGs of a record: `ours` are unpaused, the others are left as they are, and why."""

    ours: tuple[str, ...]
    others: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """Yield what became of those that are not simply unpaused: a line for each reason."""
        for why in dict.fromkeys(self.others.values()):
            yield f"{some([dag for dag in self.others if self.others[dag] == why])}: {why}"


def judge(dags: Sequence[str], states: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """Return what becomes of the recorded DAGs, as they were found in the database.

    Whoever spoke last decides: a DAG that somebody paused by hand meanwhile stays paused, one that was paused before is
    not in the record at all.
    """
    ours: list[str] = []
    others: dict[str, str] = {}
    for dag in dags:
        state = states.get(dag)
        if state is None:
            others[dag] = "deleted meanwhile"
            continue
        hand = f"by {state['by']} ({state['event']}, {state['when']})" if state["by"] else ""
        if state["paused"] and hand:
            others[dag] = f"paused meanwhile {hand}: stays paused"
        elif state["paused"]:
            ours.append(dag)
        else:
            others[dag] = f"unpaused meanwhile {hand}" if hand else "unpaused already"
    return Verdict(tuple(ours), others)


def spoken(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of what `maintenance.status` found."""
    if not found["on"]:
        yield "maintenance is off"
        return
    reason = f": {found['reason']}" if found["reason"] else ""
    yield f"maintenance {SPOKEN[found['phase']]}, by {found['who']} since {found['since']}{reason}"
    yield f"  {count(found['paused'], 'DAG')} paused by it: {', '.join(found['paused']) or 'none'}"
    yield from (f"  {line}" for line in Verdict((), found["others"]).lines())
    yield from (f"  {host}: took tasks before: {', '.join(nodes)}" for host, nodes in found["workers"].items() if nodes)
    yield f"  the record is on {found['host']}; fab maintenance.off ends it"


def some(names: Sequence[str]) -> str:
    """Return a few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more or "none"


def count(names: Sequence[object], word: str) -> str:
    """Return how many there are of something: 1 DAG, 2 DAGs."""
    return f"{len(names)} {word}" + ("" if len(names) == 1 else "s")
