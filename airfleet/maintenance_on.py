"""The flow that begins maintenance: record the DAGs that run, pause them, drain the workers; or put everything back.

The order is the safety: what is about to be paused is written down first, on the host of the first scheduler.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airfleet import crew, records, rollout, session
from airfleet import workers as crews
from airfleet.errors import FleetError, GateRefused, HostUnreachable, RolloutStopped
from airfleet.maintenance import Maintenance
from airfleet.pauses import BEGUN, ON, count, make_record, some
from airfleet.remote import local_user
from airfleet.worklist import LATER

if TYPE_CHECKING:
    from airfleet.crew import Worker
    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.session import Fleet
    from airfleet.workers import Screen


@dataclass(frozen=True)
class Wish:
    """What an operator may want of a maintenance; `only` are the hosts whose workers are drained, empty for all."""

    reason: str = ""
    only: str = ""
    drain: bool = True
    max_wait_s: int = 3600
    dry_run: bool = False


def switch_on(env: str, wish: Wish, screen: Screen) -> None:
    """Pause all DAGs that are active and not paused, and drain the workers; if that fails, put everything back."""
    with session.opened(env, doing="maintenance.on", only=wish.only, connect=True) as fleet:
        run = On(fleet, screen, wish)
        if wish.dry_run:
            run.plan()
            return
        with fleet.locked():
            run.plan()
            entry = records.entry("maintenance.on", reason=run.reason, hosts=run.became)
            with records.recorded(fleet, entry, screen.say):
                run.bring(entry)


class On(Maintenance):
    """One `fab maintenance.on`."""

    def __init__(self, fleet: Fleet, screen: Screen, wish: Wish) -> None:
        super().__init__(fleet, screen)
        self.wish = wish
        self.reason = " ".join(wish.reason.split())
        drain = crews.Wish(wish.max_wait_s, allow_gap=True)
        self.workers = crews.Workers(fleet, screen, drain) if wish.drain else None
        self.seen: list[Worker] = []

    def plan(self) -> None:
        """Look at DAGs and workers and print what is about to be done; refuse where maintenance is on already."""
        record, say = self.look(), self.screen.say
        if record and record.phase != BEGUN:
            raise GateRefused(
                f"maintenance {record}", place=self.fleet.inventory.environment, remedy="fab maintenance.off ends it"
            )
        try:
            self.seen = self.workers.look() if self.workers else []
        except HostUnreachable as e:
            e.remedy += "; or leave its host out: --only OTHERS; or pause the DAGs alone: --no-drain"
            raise
        if record:
            begun = f"what {record.who} began at {record.since}, {count(record.dags, 'DAG')} recorded"
            say(f"goes on with {begun}", "yellow")
        say(f"{self.fleet.inventory.environment}: pause {count(self.active, 'DAG')}: {some(self.active)}", "bold")
        if self.seen:
            say(f"then let the workers finish their tasks, at most {crew.duration(self.wish.max_wait_s)}:", "bold")
        for worker in self.seen:
            # While all workers are away nobody serves any queue: what is in one waits in Redis.
            for line in crew.explain(replace(worker, gaps=()), self.wish.max_wait_s, kill_after_wait=False):
                say(f"  {line}")

    def bring(self, entry: Words) -> None:
        """Record, pause, drain; or put everything back and raise why."""
        try:
            self._pause()
            self._drain()
            self.note(ON)
        except KeyboardInterrupt:
            raise RolloutStopped(
                "interrupted",
                place="maintenance.on",
                remedy="fab maintenance.off puts everything back; fab maintenance.on goes on",
                state="what was recorded stays paused until then; workers that still ran tasks take new ones again",
            ) from None
        except FleetError as e:
            raise self._put_back(e, entry) from e
        paused = count(self.record.dags if self.record else (), "DAG")
        drained = (
            f"no worker of {', '.join(self.workers.hosts)} runs anything" if self.workers else "nothing was drained"
        )
        self.screen.say(f"done: maintenance is on: {paused} paused, {drained}", "bold green")
        for worker in self.seen:
            if worker.active == "active" and not worker.answers:
                self.screen.say(f"  {worker.node} does not answer: what it runs is not known", "yellow")
        self.screen.say("  fab maintenance.off puts everything back as it was")

    def _pause(self) -> None:
        words = {
            "id": uuid.uuid4().hex,
            "who": local_user(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "reason": self.reason,
            "workers": {
                name: {each.node: list(each.queues) for each in self.seen if each.host == name}
                for name in dict.fromkeys(worker.host for worker in self.seen)
            },
        }
        answer: Any = self.call("maintenance_begin", record=words)
        self.record = make_record(answer["record"])
        self.screen.probed(f"paused {count(answer['paused'], 'DAG')}, which are recorded on {self.host.name}")

    def _drain(self) -> None:
        workers = self.workers
        if workers is None:
            return

        def work(host: Host) -> None:
            workers.drain(host.name)
            self.became[host.name] = "drained"

        hosts = {name: self.fleet.hosts[name] for name in workers.hosts}
        rollout.on_each(hosts, work, parallel=len(hosts), alone=True)

    def _put_back(self, error: FleetError, entry: Words) -> FleetError:
        """Return the error to raise for what could not be brought about, everything having been put back."""
        self.screen.say(f"not done: {error.place}: {error.problem.splitlines()[0]}", "bold red")
        self.screen.say("putting everything back as it was", "bold")
        self.became.clear()
        try:
            self.look()
            self.restore()
        except (FleetError, KeyboardInterrupt) as e:
            why = f"{e.place}: {e.problem}" if isinstance(e, FleetError) else "interrupted"
            return RolloutStopped(
                f"{error.problem}\n  and it could not be put back: {why}",
                place=error.place,
                remedy="mend that, then: fab maintenance.off",
                state=self.how_far(),
            )
        entry["result"] = "put back"
        error.state = "everything is as it was: the DAGs are unpaused, the workers take tasks"
        if isinstance(error, RolloutStopped):
            error.remedy = "try again later, wait longer with --max-wait, or pause alone with --no-drain"
            error.state += f"; those that were waited for: {LATER}"
        return error
