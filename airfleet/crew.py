"""The Celery workers of a fleet as they were seen, and what draining them would mean for the tasks that run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MINUTE_S = 60
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Task:
    """A running task as Airflow knows it; `usual_s` is the median of its last successful runs, if there are any."""

    dag: str
    task: str
    run: str
    tried: int
    retries_left: int
    elapsed_s: float | None = None
    usual_s: float | None = None

    @property
    def left_s(self) -> float | None:
        """How long it will probably run on; None where nobody can tell."""
        if self.usual_s is None:
            return None
        left = self.usual_s - (self.elapsed_s or 0.0)
        return left if left > 0 else None

    def __str__(self) -> str:
        words = [f"{self.dag}.{self.task} ({self.run}) try {self.tried}"]
        if self.elapsed_s is not None:
            words.append(f"{duration(self.elapsed_s)} so far")
        if self.usual_s is not None:
            words.append(f"usually {duration(self.usual_s)}")
        retries = f"{self.retries_left} retries left" if self.retries_left != 1 else "1 retry left"
        return ", ".join([*words, retries])


@dataclass(frozen=True, slots=True)
class Gap:
    """A queue that has work and that nobody else serves."""

    queue: str
    waiting: int
    running: int

    def __str__(self) -> str:
        return f"{self.queue} ({self.waiting} waiting, {self.running} running)"


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker as it was seen."""

    host: str
    instance: int
    node: str
    active: str
    enabled: bool
    answers: bool
    queues: tuple[str, ...]
    running: tuple[Task, ...]
    unnamed: int
    reserved: int
    gaps: tuple[Gap, ...]

    @property
    def tasks(self) -> int:
        """How many tasks it has, running or about to."""
        return len(self.running) + self.unnamed + self.reserved

    @property
    def condition(self) -> str:
        """What it is doing, in a few words."""
        if self.active != "active":
            return self.active
        if not self.answers:
            return "runs, but does not answer"
        if not self.queues:
            return f"drained: takes no tasks; {self._count()}"
        return f"serves {', '.join(self.queues)}; {self._count()}"

    def _count(self) -> str:
        running = len(self.running) + self.unnamed
        if not self.tasks:
            return "idle"
        return f"{running} running" + (f", {self.reserved} about to" if self.reserved else "")


def make_workers(host: str, answer: Mapping[str, Any]) -> tuple[Worker, ...]:
    """Return the workers of a host from the agent's answer."""
    return tuple(
        Worker(
            host=host,
            instance=seen["instance"],
            node=seen["node"],
            active=seen["active"],
            enabled=seen["enabled"],
            answers=seen["answers"],
            queues=tuple(seen["queues"]),
            running=make_tasks(seen["running"]),
            unnamed=seen["unnamed"],
            reserved=seen["reserved"],
            gaps=tuple(Gap(gap["queue"], gap["waiting"], gap["running"]) for gap in seen["gaps"]),
        )
        for seen in answer["workers"]
    )


def make_tasks(seen: Sequence[Mapping[str, Any]]) -> tuple[Task, ...]:
    """Return tasks from the agent's words for them."""
    return tuple(
        Task(
            each["dag"],
            each["task"],
            each["run"],
            each["try"],
            each["retries_left"],
            each["elapsed_s"],
            each["usual_s"],
        )
        for each in seen
    )


def expected_wait(worker: Worker) -> str:
    """Return how long its tasks will probably still run, in words."""
    if not worker.tasks:
        return "no wait"
    known = [task.left_s for task in worker.running]
    longest = max((left for left in known if left is not None), default=None)
    unknown = sum(left is None for left in known) + worker.unnamed + worker.reserved
    if longest is None:
        return "expected wait unknown: no earlier run to go by, or longer than those already"
    more = f", and {unknown} that can't be estimated" if unknown else ""
    return f"expected wait about {duration(longest)}{more}"


def explain(worker: Worker, max_wait_s: int, *, kill_after_wait: bool) -> Iterator[str]:
    """Yield the lines that say what draining this worker means."""
    yield f"{worker.node}: {worker.condition}; {expected_wait(worker)}"
    for task in worker.running:
        yield f"    {task}"
    if worker.unnamed:
        yield f"    {worker.unnamed} that Airflow does not name: just begun, just ended, or its database is silent"
    if late := [task for task in worker.running if task.left_s is None or task.left_s > max_wait_s]:
        names = ", ".join(f"{task.dag}.{task.task}" for task in late)
        if kill_after_wait:
            yield f"    what still runs after {duration(max_wait_s)} (--max-wait) would be CUT; that may be: {names}"
        else:
            yield (
                f"    if {names} still runs after {duration(max_wait_s)} (--max-wait): it takes tasks again, nothing is"
                " cut, exit 7"
            )
    for gap in worker.gaps:
        yield f"    nobody else serves the queue {gap}: refused without --allow-gap"


def duration(seconds: float) -> str:
    """Return a duration as people say it: 5 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"
