"""How what runs on something stale is restarted before systemd would: workers drained, the page's outage told."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airfleet.api_guard import refuse_long_outage
from airfleet.batches import ONE
from airfleet.errors import GateRefused, HostUnreachable
from airfleet.generations import generation_of
from airfleet.units import REDIS_UNIT, STOP_S
from airfleet.waves import in_waves
from airfleet.workers import Wish, Workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airfleet.batches import Batch
    from airfleet.model import Change, Words
    from airfleet.remote import Host
    from airfleet.session import Fleet
    from airfleet.workers import Screen


WORKER = "airflow-worker@"


class Restarts:
    """The restarts of one run; the lock is held. `proven` are the hosts whose every worker has run a task since."""

    def __init__(self, fleet: Fleet, screen: Screen, max_wait_s: int, batch: Batch = ONE) -> None:
        self.fleet = fleet
        self.screen = screen
        self.batch = batch
        # The last consumer of a queue is away for the time of a restart: its messages wait in Redis.
        self.wish = Wish(max_wait_s, allow_gap=True)
        self.proven: set[str] = set()

    def workers(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Drain and restart the workers that run on something stale: a canary host, then the others in batches."""
        stale = {name: [unit for unit in _stale(made) if unit.startswith(WORKER)] for name, made in changes.items()}

        def work(name: str) -> None:
            workers = Workers(replace(self.fleet, hosts={name: self.fleet.hosts[name]}), self.screen, self.wish)
            found = [w for w in workers.look() if f"{WORKER}{w.instance}.service" in stale[name]]
            workers.explain(found, "restart")
            for worker in found:
                workers.restart(worker)
            if len(found) == self.fleet.inventory.hosts[name].celery.instances:
                self.proven.add(name)

        in_waves(self.fleet, [name for name, units in stale.items() if units], self.batch, work)

    def redis(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Before a Redis that runs is restarted: let no worker run a task, and no scheduler send one.

        A worker ends with its tasks when its broker does (celery/kombu#2582), and a task that can't be sent fails.
        Whatever was stopped or drained for it is started by the stages that follow.
        """
        if not any(REDIS_UNIT in _stale(made) for made in changes.values()):
            return
        fleet = self.fleet
        if elsewhere := self._busy_elsewhere():
            raise GateRefused(
                f"{', '.join(elsewhere)} runs tasks, which would end with Redis, and is not among the chosen hosts",
                place="redis",
                remedy="fab bootstrap, without --only",
            )
        scheduler = generation_of(fleet.inventory.airflow.version).service("scheduler").unit_file
        running = self._running(fleet.hosts, f"{WORKER}*.service", scheduler)
        if draining := [name for name, units in running.items() if set(units) - {scheduler}]:
            workers = Workers(replace(fleet, hosts={n: fleet.hosts[n] for n in draining}), self.screen, self.wish)
            workers.look()
            for name in workers.seen:
                workers.drain(name)
        for name in (name for name, units in running.items() if scheduler in units):
            fleet.check_lock()
            self.screen.step(name, ("stop", scheduler), "")
            words: Words = {"unit": scheduler, "verb": "stop", "timeout_s": STOP_S, "page": ""}
            fleet.hosts[name].call("steer", words, _teller(self.screen, name, scheduler))

    @staticmethod
    def _running(hosts: Mapping[str, Host], *patterns: str) -> dict[str, list[str]]:
        """Return the units of these patterns that run, on each host."""
        asked: Words = {"patterns": list(patterns)}
        answers: dict[str, Any] = {name: host.call("active_units", asked) for name, host in hosts.items()}
        return {name: list(answer["active"]) for name, answer in answers.items()}

    def _busy_elsewhere(self) -> list[str]:
        found: list[str] = []
        for name in self.fleet.inventory.with_role("worker"):
            others = {} if name in self.fleet.hosts else {name: self.fleet.everyone[name]}
            # One that can't be reached is left out on purpose, or was: what it runs is not waited for.
            with suppress(HostUnreachable):
                if any(self._running(others, f"{WORKER}*.service").values()):
                    workers = Workers(replace(self.fleet, hosts=others), self.screen).look()
                    found += [worker.node for worker in workers if worker.tasks]
        return found

    def web(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Restart web pages that run on something stale, one host after the other, and tell how long they were away."""
        airflow = self.fleet.inventory.airflow
        generation = generation_of(airflow.version)
        pages = {generation.web.unit_file}
        url = f"http://127.0.0.1:{airflow.web_port}{generation.health.web_path}"
        for name, made in changes.items():
            for unit in sorted(_stale(made) & pages):
                self.fleet.check_lock()
                refuse_long_outage(self.fleet, self.screen, name, "restart")
                self.screen.step(name, ("restart", unit), "")
                words: Words = {"unit": unit, "verb": "restart", "timeout_s": STOP_S, "page": url}
                answer: Any = self.fleet.hosts[name].call("steer", words, _teller(self.screen, name, unit))
                if answer["outage_s"] is not None:
                    self.screen.probed(f"{name}: the web page was away for {answer['outage_s']:.1f} s")


def _stale(changes: Sequence[Change]) -> set[str]:
    """Return the units among the changes whose process runs: what a change does to them is a restart."""
    running = [c for c in changes if c.resource.kind == "unit" and (c.seen.state or {}).get("active") == "active"]
    return {change.resource.key for change in running}


def _teller(screen: Screen, host: str, unit: str) -> Any:
    return lambda _, text: screen.step(host, ("", unit), text)
