"""Which hosts' workers are restarted at the same time: a canary alone, then batches that leave each queue a consumer.

Pure: a batch is decided when its turn comes, from who is left and who has failed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airfleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from airfleet.inventory import Inventory

WHOLE = 100


@dataclass(frozen=True, slots=True)
class Batch:
    """How many hosts at the same time: a number of them, or a share of all that are to be restarted, in percent."""

    number: int = 1
    percent: bool = False

    def of(self, hosts: int) -> int:
        """Return how many of so many hosts that is: at least one, a share rounded down."""
        return max(1, hosts * self.number // WHOLE) if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


ONE = Batch()


def batch_of(text: str) -> Batch:
    """Return what is meant by `2` or `25%`; a UsageError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,3})(%?)", text.strip())
    if not found or (found[2] and int(found[1]) > WHOLE):
        raise UsageError(
            f"{text!r} is neither a number of hosts nor a share of them",
            place="--batch",
            remedy="such as 2, or 25%",
            state="nothing was contacted",
        )
    return Batch(int(found[1]), bool(found[2]))


def checked_failures(limit: int) -> int:
    """Return how many hosts may fail, or raise UsageError for what can't be meant."""
    if limit < 0:
        raise UsageError(f"{limit} hosts", place="--max-failures", state="nothing was contacted")
    return limit


def next_batch(inventory: Inventory, todo: Sequence[str], most: int, away: Collection[str] = ()) -> tuple[str, ...]:
    """Return the hosts whose turn it is: the first of `todo`, with as many behind it as may go with it.

    On each host one worker after the other is away, so a batch takes at most one consumer a host from each of its
    queues; one always stays, unless a queue has just one: its turn comes too. `away` are the hosts that have failed.
    """
    serving = _consumers(inventory, (name for name in inventory.with_role("worker") if name not in away))
    taken: Counter[str] = Counter()
    batch: list[str] = []
    for name in todo:
        queues = inventory.hosts[name].celery.queues
        if any(taken[queue] and taken[queue] + 1 >= serving[queue] for queue in queues):
            continue
        taken.update(queues)
        batch.append(name)
        if len(batch) == most:
            break
    return tuple(batch)


def replaceable(inventory: Inventory) -> frozenset[str]:
    """Return the hosts that a rollout may go on without: those with workers alone, save the one with the lock."""
    first = next(iter(inventory.hosts))
    return frozenset(name for name, host in inventory.hosts.items() if host.roles == ("worker",) and name != first)


def _consumers(inventory: Inventory, hosts: Iterable[str]) -> Counter[str]:
    """Return how many workers of these hosts serve each queue."""
    found: Counter[str] = Counter()
    for name in hosts:
        celery = inventory.hosts[name].celery
        for queue in celery.queues:
            found[queue] += celery.instances
    return found
