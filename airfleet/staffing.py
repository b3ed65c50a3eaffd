"""The flows that change which workers take tasks: scale them up and down, drain them for a while, let them go on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airfleet import records, session
from airfleet.errors import UsageError
from airfleet.workers import Workers
from airfleet.worklist import GOES_ON, LATER, Worklist

if TYPE_CHECKING:
    from airfleet.crew import Worker
    from airfleet.workers import Screen, Wish


def scale_workers(env: str, *, count: int, only: str, dry_run: bool, wish: Wish, screen: Screen) -> None:
    """Have exactly the workers 1..count on each chosen host: new ones are started, others drained and stopped."""
    if count < 1:
        raise UsageError(
            "how many workers shall there be on each host?",
            place="--count",
            remedy="name a number from 1 on; fab stop --service worker stops all",
            state="nothing was contacted",
        )
    with session.opened(env, doing="scale-workers", only=only) as fleet:
        workers = Workers(fleet, screen, wish)
        up, down = _difference(workers, workers.look(), count)
        for worker in up:
            screen.say(f"  + {worker.node}")
        if down:
            workers.explain(down, "stop and disable")
        if not up and not down:
            screen.say(f"in order: {count} workers on {', '.join(workers.hosts)}", "green")
        if dry_run or not (up or down):
            return
        workers.refuse_gaps(down)
        worklist = Worklist([worker.node for worker in (*up, *down)])
        with records.worked_off(fleet, worklist, records.entry(fleet.doing, count=count), screen.say):
            for worker in up:
                with worklist.doing(worker.node, GOES_ON):
                    workers.start(worker, enable=True)
            for worker in down:
                with worklist.doing(worker.node):
                    workers.stop(worker, disable=True)
        hosts = ", ".join(workers.hosts)
        screen.say(f"done: {count} workers on {hosts} ({len(up)} started, {len(down)} stopped)", "bold green")
        for name in workers.hosts:
            have = fleet.inventory.hosts[name].celery.instances
            if have != count:
                screen.say(
                    f"  {name}: the inventory says {have}: `fab plan` shows the difference, `fab bootstrap` undoes it;"
                    f" to keep it, set celery.instances to {count}"
                )


def _difference(workers: Workers, seen: list[Worker], count: int) -> tuple[list[Worker], list[Worker]]:
    """Return the workers to start and those to stop, the highest number of each host first."""
    up, down = [], []
    for name in workers.hosts:
        mine = {worker.instance: worker for worker in seen if worker.host == name}
        pattern = mine[1]
        for number in range(1, count + 1):
            worker = mine.get(number) or _not_there(pattern, number)
            if worker.active != "active" or not worker.enabled:
                up.append(worker)
        beyond = [mine[number] for number in sorted(mine, reverse=True) if number > count]
        down += [worker for worker in beyond if worker.active not in ("inactive", "failed") or worker.enabled]
    return up, down


def _not_there(pattern: Worker, number: int) -> Worker:
    node = pattern.node.replace("worker1@", f"worker{number}@", 1)
    return replace(
        pattern,
        instance=number,
        node=node,
        active="inactive",
        enabled=False,
        answers=False,
        queues=(),
        running=(),
        unnamed=0,
        reserved=0,
        gaps=(),
    )


def drain_workers(env: str, *, only: str, wish: Wish, screen: Screen) -> None:
    """Let all workers of the chosen hosts finish their tasks and take no new ones, until `resume_workers`."""
    with session.opened(env, doing="drain-workers", only=only) as fleet:
        workers = Workers(fleet, screen, wish)
        workers.explain(workers.look(), "drain")
        worklist = Worklist(list(workers.hosts))
        with records.worked_off(fleet, worklist, records.entry(fleet.doing), screen.say):
            for name in workers.hosts:
                with worklist.doing(name):
                    workers.drain(name)
        screen.say("done: `fab resume-workers` lets them take tasks again, as does a restart", "bold green")


def resume_workers(env: str, *, only: str, screen: Screen) -> None:
    """Let the workers of the chosen hosts take tasks again."""
    with session.opened(env, doing="resume-workers", only=only) as fleet:
        workers = Workers(fleet, screen)
        workers.look()
        worklist = Worklist(list(workers.hosts))
        with records.worked_off(fleet, worklist, records.entry(fleet.doing), screen.say):
            for name in workers.hosts:
                with worklist.doing(name):
                    workers.resume(name)
        screen.say("done: all of them take tasks", "bold green")
        screen.say(f"  {LATER}")
