"""Brings work to a stand for a change under which nothing may run: workers drained, what schedules stopped."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airfleet import rollout
from airfleet.checkup import crew_words
from airfleet.errors import FleetError, RolloutStopped
from airfleet.generations import generation_of
from airfleet.metadata import database_host
from airfleet.services import Steering, Step
from airfleet.workers import Wish, Workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airfleet.remote import Host
    from airfleet.session import Fleet
    from airfleet.workers import Screen

POLL_S = 1
SCHEDULES = "scheduler"  # the stage of the scheduler, the triggerer and the DAG processor: all that has a job there


class Standstill:
    """The workers and schedulers of all hosts; the lock is held. Whatever is not done any more is put back."""

    def __init__(self, fleet: Fleet, screen: Screen, max_wait_s: int) -> None:
        self.fleet = fleet
        self.screen = screen
        self.max_wait_s = max_wait_s
        self.workers = Workers(fleet, screen, Wish(max_wait_s, allow_gap=True))

    def drain(self) -> None:
        """Let the workers finish what they run, then stop what schedules. What is queued waits in Redis."""
        with self._or_back():
            self._drain()
            self._steer("stop")

    def empty(self) -> None:
        """Stop what schedules, let the workers finish what is queued as well, then take their consumers away."""
        with self._or_back():
            self._steer("stop")
            self._resume()
            self._wait_until_empty()
            self._drain()

    def _drain(self) -> None:
        self.fleet.check_lock()
        self.workers.explain(self.workers.look(), "let the workers finish", "all hosts at the same time")
        hosts = {name: self.fleet.hosts[name] for name in self.workers.hosts}

        def work(host: Host) -> None:
            self.workers.drain(host.name)

        rollout.on_each(hosts, work, parallel=len(hosts), alone=True)

    def _resume(self) -> None:
        """Give the consumers back that a try which was cut short has taken away: the queues would never be empty."""
        self.workers.look()
        for name, workers in self.workers.seen.items():
            if any(worker.active == "active" and not worker.queues for worker in workers):
                self.workers.resume(name)

    def _steer(self, verb: str) -> None:
        inventory = self.fleet.inventory
        steering = Steering(self.fleet, self.screen, Wish(allow_gap=True), verb)
        for service in generation_of(inventory.airflow.version).services:
            for name, host in inventory.hosts.items():
                if service.stage == SCHEDULES and service.job and service.role in host.roles:
                    steering.steer(Step(service, name))

    def _wait_until_empty(self) -> None:
        host = self.fleet.hosts[database_host(self.fleet.inventory)]
        deadline, told = time.monotonic() + self.max_wait_s, ""
        while True:
            self.fleet.check_lock()
            found: Any = host.call("crew", crew_words(self.fleet.inventory, twice=False))
            waiting = ", ".join(f"{count} in {queue}" for queue, count in found["queues"].items() if count)
            waiting = found["error"] or waiting
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise RolloutStopped(
                    f"after {self.max_wait_s} s there is still work: {waiting}",
                    place="queues",
                    remedy="run it again when less is queued, or wait longer with --max-wait",
                )
            if waiting != told:
                self.screen.step(host.name, ("wait", waiting), "")
                told = waiting
            time.sleep(POLL_S)

    @contextmanager
    def _or_back(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            # The connections are closed, and with them the lock is gone.
            raise RolloutStopped(
                "interrupted",
                place="standstill",
                remedy="type it again; or fab bootstrap, which starts what was stopped, with the secret of before",
            ) from None
        except FleetError as error:
            self.screen.say(f"not done: {error.place}: {error.problem.splitlines()[0]}", "bold red")
            try:
                self._steer("start")
                self._resume()
            except FleetError as back:
                error.state = f"and it could not be put back: {back.place}: {back.problem}; fab bootstrap does that"
                raise error from back
            error.state = "everything runs as before, with the old secret; the new one is made and not in use"
            raise
